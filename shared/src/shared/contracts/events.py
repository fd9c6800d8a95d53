"""Every event that travels on a topic. The Avro schemas are generated from these classes; see `avro.py`.

An event keeps few fields where it is hot (encoding costs about 0.6 us a field). `event_id` is derived from what the
event says, so that a stage that repeats itself publishes the same id and every consumer can drop the repeat.
"""

from typing import Annotated

from msgspec import Meta, Struct, field

from shared.contracts.fields import (
    ContactId,
    ContactRef,
    Country,
    Currency,
    Int,
    MessageId,
    Millis,
    Money,
    NumberHash,
    Prefix,
    SealedNumber,
    SealedPdu,
    SealedText,
)


def text(description: str) -> Meta:
    return Meta(description=description)


class Event(Struct, kw_only=True, gc=False):
    """What every event has."""

    event_id: Annotated[str, text("derived from what the event says: a repeat has the same id")]
    tenant_id: Annotated[str, text("the customer; `system` where no customer owns it")]
    occurred_at: Millis


class Envelope(Event, kw_only=True, gc=False):
    """What a message carries from preparation to the carrier, and back when it needs another way."""

    message_id: MessageId
    contact_id: ContactId
    number_hash: NumberHash
    purpose: Annotated[str, text("marketing, transactional or otp")]
    number: SealedNumber
    text: SealedText
    encoding: Annotated[str, text("gsm7, latin1 or ucs2: the cheapest that carries the text")]
    parts: Annotated[Int, text("how many SMS the text takes")]
    country: Country
    prefix: Prefix
    sender: Annotated[str | None, text("the sender asked for; null lets the route choose")] = None
    time_zone: Annotated[str | None, text("IANA name of the recipient's zone")] = None
    campaign_id: Annotated[str | None, text("the tenant's campaign, or null for the API")] = None
    not_before: Annotated[Millis | None, text("earliest moment on the wire")] = None
    not_after: Annotated[Millis, text("no submit_sm after this: end of window or validity")]
    accepted_at: Annotated[Millis, text("when the message was taken in")]


class MessageAccepted(Event, kw_only=True, gc=False):
    """ingest has taken a message from a caller: from here on it is not lost."""

    message_id: MessageId
    contact_id: ContactId
    number_hash: NumberHash
    purpose: Annotated[str, text("marketing, transactional or otp")]
    number: SealedNumber
    content: Annotated[SealedText, text("JSON: {text} or {template, variables}")]
    sender: Annotated[str | None, text("the sender asked for")] = None
    client_ref: Annotated[str | None, text("the caller's own reference, handed back in callbacks")] = None
    callback_url: Annotated[str | None, text("where this message's states are posted")] = None
    send_at: Annotated[Millis | None, text("not before")] = None
    validity_s: Annotated[Int, text("seconds after which the message is worthless")] = 86400


class MessagePrepared(Envelope, kw_only=True, gc=False):
    """segmenter has decided that this person receives this text."""

    contact_ref: ContactRef | None = None
    run: Annotated[str | None, text("the campaign's run")] = None
    variant: Annotated[str | None, text("the campaign's variant")] = None
    segment: Annotated[str | None, text("the segment that chose the person")] = None
    locale: Annotated[str | None, text("BCP 47 tag of the text")] = None
    client_ref: Annotated[str | None, text("the caller's own reference")] = None
    callback_url: Annotated[str | None, text("where this message's states are posted")] = None
    fingerprint: Annotated[str, text("keyed hash of the text, to see repeats")] = ""
    verdict: Annotated[
        str, text("content check: pass, or hold: kept in segmenter for a person, and without number or text here")
    ] = "pass"
    features: Annotated[str, text("what the text has: link, and the ids of content rules it meets")] = ""
    rules: Annotated[str, text("versions of the rules that decided")] = ""


class MessageDeferred(Event, kw_only=True, gc=False):
    """router keeps the message until its moment comes."""

    message_id: MessageId
    until: Annotated[Millis | None, text("when it is looked at again; null: when its campaign resumes")] = None
    reason: Annotated[
        str,
        text("quiet_hours, send_at, campaign_paused, no_healthy_carrier, carrier_busy, rate_limited, budget_exceeded"),
    ]


class SubmitRequested(Envelope, kw_only=True, gc=False):
    """router has chosen the carrier; the topic names it."""

    attempt: Annotated[Int, text("1 for the first way tried")]
    carrier: Annotated[str, text("the carrier's id")]
    network: Annotated[str | None, text("MCC and MNC, where known")] = None
    price: Annotated[Money, text("for one part")]
    currency: Currency
    decision: Annotated[str, text("why this carrier: rule, candidates and their prices, in compact words")]
    tried: Annotated[list[str], text("carriers already tried, oldest first")] = field(default_factory=list)


class MessageReturned(Envelope, kw_only=True, gc=False):
    """The carrier did not take it for a reason that another way may cure."""

    attempt: Annotated[Int, text("the attempt that failed")]
    carrier: Annotated[str, text("the carrier that failed")]
    cause: Annotated[str, text("catalogue reason: carrier_down, throttled, campaign_paused, temporary, ...")]
    tried: Annotated[list[str], text("carriers already tried, this one included")] = field(default_factory=list)


class SubmittedPart(Struct, kw_only=True, gc=False):
    part: Annotated[Int, text("1 for the first part")]
    carrier_message_id: Annotated[
        str | None, text("the carrier's id in its canonical form; null when it gave none")
    ] = None
    command_status: Annotated[Int, text("SMPP command_status of the answer; 0 is ESME_ROK")] = 0


class MessageSubmitted(Event, kw_only=True, gc=False):
    """What the carrier answered to one attempt, or that it never did."""

    message_id: MessageId
    attempt: Annotated[Int, text("1 for the first way tried")]
    outcome: Annotated[str, text("submitted, rejected (final), failed (another way follows) or unknown (no answer)")]
    reason: Annotated[str | None, text("catalogue reason, unless submitted")] = None
    carrier: Annotated[str, text("the carrier's id")]
    bind: Annotated[Int, text("number of the bind slot")] = 0
    number_hash: NumberHash
    sender: Annotated[str, text("the source address used")]
    network: Annotated[str | None, text("MCC and MNC, where known")] = None
    parts: Annotated[list[SubmittedPart], text("one entry a part, in order")]
    price: Annotated[Money, text("for one part")]
    currency: Currency
    decision: Annotated[str, text("the route's decision, as in the request")]
    purpose: Annotated[str, text("marketing, transactional or otp")]


class ReceiptReceived(Event, kw_only=True, gc=False):
    """A delivery receipt as the carrier sent it, before anyone knows whose message it is."""

    carrier: Annotated[str, text("the carrier's id")]
    carrier_message_id: Annotated[str | None, text("canonical id; null when the receipt names none")] = None
    raw_id: Annotated[str | None, text("the id as written by the carrier")] = None
    state: Annotated[str, text("delivered, undelivered, expired, rejected, deleted, unknown, enroute or accepted")]
    final: Annotated[bool, text("false for enroute and accepted")]
    error_code: Annotated[str | None, text("the carrier's own code")] = None
    reason: Annotated[str | None, text("catalogue reason")] = None
    submit_date: Annotated[str | None, text("as written; carries no zone")] = None
    done_date: Annotated[str | None, text("as written; carries no zone")] = None
    number_hash: NumberHash
    sender: Annotated[str, text("our source address, from the receipt's destination")]
    pdu: SealedPdu | None = None


class InboundReceived(Event, kw_only=True, gc=False):
    """A message from a handset."""

    carrier: Annotated[str, text("the carrier's id")]
    number: SealedNumber
    number_hash: NumberHash
    recipient: Annotated[str, text("our address it was sent to")]
    text: SealedText
    keyword: Annotated[
        str | None, text("stop, start or help when the first word says so; stop? for a person to look at")
    ] = None


class MessageReplied(Event, kw_only=True, gc=False):
    """Somebody answered a message: a handset wrote to the sender of its tenant's last message to it. Without the text."""

    message_id: Annotated[MessageId, text("the last message that the tenant sent to this handset")]
    keyword: Annotated[str | None, text("stop, start or help when the first word says so")] = None
    carrier: Annotated[str, text("the carrier's id over which the answer came")]


class MessageDropped(Event, kw_only=True, gc=False):
    """A stage decided that this message goes no further."""

    message_id: MessageId
    stage: Annotated[str, text("segmenter, router, smpp-connector or dlr-processor")]
    reason: Annotated[str, text("one of the catalogue: no_consent, opted_out, suppressed, ...")]
    detail: Annotated[str | None, text("a sentence for a person, without number or text")] = None
    rules: Annotated[str, text("versions of the rules that decided")] = ""
    attempt: Annotated[Int, text("0 before any attempt")] = 0
    contact_id: ContactId
    contact_ref: ContactRef | None = None
    purpose: Annotated[str, text("marketing, transactional or otp")]
    country: Country | None = None
    campaign_id: str | None = None
    run: str | None = None
    variant: str | None = None
    segment: str | None = None
    client_ref: Annotated[str | None, text("the caller's own reference, where the stage knows it")] = None
    callback_url: Annotated[str | None, text("where this message's states are posted, where the stage knows it")] = None
    accepted_at: Annotated[Millis, text("when the message was taken in")]


class StateReached(Struct, kw_only=True, gc=False):
    state: Annotated[str, text("accepted, prepared, held, deferred, submitted, delivered, ...")]
    at: Millis
    reason: Annotated[str | None, text("catalogue reason, where one is needed")] = None


class MessageStatus(Event, kw_only=True, gc=False):
    """The one truth about a message, with every dimension an analyst needs: no join."""

    message_id: MessageId
    version: Annotated[Int, text("raised by every change; lower ones are stale")]
    status: Annotated[str, text("the state now")]
    reason: Annotated[str | None, text("why, unless delivered or on its way")] = None
    states: Annotated[list[StateReached], text("states reached since the last record, oldest first")]
    final: Annotated[bool, text("no further change is expected")]
    purpose: Annotated[str, text("marketing, transactional or otp")]
    contact_ref: ContactRef | None = None
    contact_id: ContactId | None = None
    campaign_id: str | None = None
    run: str | None = None
    variant: str | None = None
    segment: str | None = None
    country: Country | None = None
    network: str | None = None
    carrier: str | None = None
    attempt: Annotated[Int, text("attempts made")] = 0
    parts: Annotated[Int, text("SMS of the last attempt")] = 0
    cost: Annotated[Money, text("of all parts that a carrier took, over all attempts")] = 0
    currency: Currency | None = None
    client_ref: str | None = None
    accepted_at: Millis


class CampaignChunk(Event, kw_only=True, gc=False):
    """A slice of a run's audience; expanded by whichever segmenter reads it."""

    campaign_id: str
    run: str
    chunk: Annotated[Int, text("0-based number of the slice")]
    size: Annotated[Int, text("contacts in the slice")]


class CampaignChanged(Event, kw_only=True, gc=False):
    campaign_id: str
    version: Annotated[int, text("raised by every change")]
    state: Annotated[str, text("draft, running, paused, cancelled or completed")]
    run: str | None = None


class LinkClicked(Event, kw_only=True, gc=False):
    """Somebody, or some machine, followed a short link. analytics finds the message by `recipient`."""

    code: str
    link_id: str
    message_id: MessageId | None = None
    campaign_id: Annotated[str | None, text("the link's own campaign")] = None
    human: Annotated[bool, text("false for link previews, scanners and bots")]
    agent: Annotated[str, text("ios, android, desktop; preview, scanner, bot, program, prefetch or probe for machines")]
    recipient: Annotated[
        int | None, text("36 bits of the message id's hash, of the message whose link it was; null for nobody's")
    ] = None


class EventTracked(Event, kw_only=True, gc=False):
    """A person's behaviour as the tenant tells it: a purchase, a sign-up, anything."""

    contact_ref: ContactRef
    name: str
    value: Money | None = None
    currency: Currency | None = None
    properties: SealedText | None = None


class ContactChanged(Event, kw_only=True, gc=False):
    contact_ref: ContactRef
    contact_id: ContactId
    country: Country
    locale: str | None = None
    time_zone: str | None = None


class ConsentChanged(Event, kw_only=True, gc=False):
    """All purposes of one person at once. Never a tombstone: erasure leaves `suppressed`."""

    contact_ref: ContactRef
    contact_id: ContactId | None = None
    number_hash: NumberHash | None = None
    version: Annotated[int, text("raised by every change; lower ones are stale")]
    purposes: Annotated[dict[str, str], text("purpose to granted, withdrawn or suppressed")]
    source: str


class ContactErased(Event, kw_only=True, gc=False):
    contact_ref: ContactRef
    contact_id: ContactId | None = None


class CarrierHealth(Event, kw_only=True, gc=False):
    carrier: str
    state: Annotated[str, text("up, degraded or down")]
    binds_up: Int
    binds_wanted: Int
    window_used: Annotated[float, text("share of the window in use, 0 to 1")]
    latency_ms: Annotated[float, text("submit_sm to its answer, mean of the last period")]
    rate: Annotated[float, text("parts a second written in the last period")]
    limit: Annotated[float, text("parts a second allowed by contract")]
    throttled: Annotated[Int, text("throttle answers in the last period")]
    errors: Annotated[dict[str, Int], text("answers other than ESME_ROK in the last period, by class")]
    unknown: Annotated[Int, text("messages whose answer never came, in the last period")]
    alarm: Annotated[str | None, text("what needs a person: a wrong password, a refused bind")] = None
    receipt_delay_ms: Annotated[float | None, text("answer to final receipt, mean of the last period's receipts")] = (
        None
    )


class CarrierDelta(Event, kw_only=True, gc=False):
    """What changed for one carrier and country in one short span: pre-aggregated, for Faust."""

    carrier: str
    country: Country
    span_ms: Int
    submitted: Int
    delivered: Int
    failed: Int
    delay_ms_sum: Annotated[int, text("sum over the delivered, submit to receipt")]
    clicked: Annotated[Int, text("messages whose link a person followed for the first time")] = 0
    delays: Annotated[
        dict[str, Int],
        text(
            "deliveries by delay: n counts those within 100 ms x 2^(n/4), and above the delay of n-1; 0 all within 100 ms"
        ),
    ] = field(default_factory=dict)
    errors: Annotated[dict[str, Int], text("failures by the catalogue's reason")] = field(default_factory=dict)


class CarrierQuality(Event, kw_only=True, gc=False):
    """How one carrier delivers to one country: the last window, and what the last hour says about its receipts."""

    carrier: str
    country: Country
    window_s: Int
    submitted: int
    delivered: int
    failed: int
    delivery_rate: Annotated[float, text("delivered of those that ended")]
    delay_ms: Annotated[float, text("mean, submit to receipt")]
    delay_p50_ms: Annotated[float, text("median, submit to receipt; 0 without deliveries")] = 0.0
    delay_p95_ms: float = 0.0
    delay_p99_ms: float = 0.0
    errors: Annotated[dict[str, int], text("the window's failures by the catalogue's reason")] = field(
        default_factory=dict
    )
    hour_delivered: Annotated[int, text("deliveries of the last hour, which the next three rest on")] = 0
    clicked: Annotated[int, text("messages whose link a person followed for the first time, in the last hour")] = 0
    suspicion: Annotated[
        float,
        text(
            "0 to 1: how much speaks for receipts that are made up (too fast, too uniform, no clicks). 0: nothing, or too "
            "few receipts to say; above 0.65 only where people also do not click what they click elsewhere; 1: all three at full strength"
        ),
    ] = 0.0
    anomalies: Annotated[
        list[str],
        text("what the last window does unlike the hour before: delivery_fell, delays_rose, or fake_receipts"),
    ] = field(default_factory=list)
