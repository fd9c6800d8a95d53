"""What is recorded of an attempt, and the events that tell of it: a pure function, so that a repeat is equal."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct
from shared.contracts.events import (
    Event,
    MessageDropped,
    MessageReturned,
    MessageSubmitted,
    SubmitRequested,
    SubmittedPart,
)

from smpp_connector.domain.answers import PartAnswer
from smpp_connector.domain.claim_rules import Claim, Outcome

STAGE = "smpp-connector"


class About(Struct, frozen=True, array_like=True, gc=False):
    """What the claim's row keeps of the request, so that its end can be published without the record."""

    tenant_id: str
    number_hash: str
    sender: str
    network: str | None
    price: int
    currency: str
    decision: str
    purpose: str


class Settlement(Struct, gc=False):
    """The end of an attempt, as the row has it. `answers`: one a part, empty where nothing was written."""

    message_id: str
    attempt: int
    slot: int
    outcome: Outcome
    cause: str | None
    at: int  # ms
    about: About
    answers: Sequence[PartAnswer] = ()


_encode = msgspec.msgpack.Encoder().encode
_about = msgspec.msgpack.Decoder(About)
_answers = msgspec.msgpack.Decoder(list[tuple[int, str | None]])


def about_of(request: SubmitRequested, default_sender: str) -> About:
    return About(
        request.tenant_id,
        request.number_hash,
        request.sender or default_sender,
        request.network,
        request.price,
        request.currency,
        request.decision,
        request.purpose,
    )


def pack_about(about: About) -> bytes:
    return _encode(about)


def pack_answers(answers: Sequence[PartAnswer]) -> bytes | None:
    return _encode(answers) if answers else None


def settlement_of(claim: Claim) -> Settlement:
    """From a settled row. ValueError for one that is open or free."""
    if claim.outcome is None or claim.outcome == Outcome.FREE:
        raise ValueError("the claim is not settled")
    return Settlement(
        claim.message_id,
        claim.attempt,
        claim.slot,
        Outcome(claim.outcome),
        claim.cause,
        claim.settled_at or 0,
        _about.decode(claim.about),
        _answers.decode(claim.answer) if claim.answer else (),
    )


def submitted_event(s: Settlement, carrier: str) -> MessageSubmitted | None:
    """None for attempts that never reached the wire."""
    if s.outcome in (Outcome.RETURNED, Outcome.DROPPED, Outcome.FREE):
        return None
    return MessageSubmitted(
        event_id=f"{s.message_id}:submit:{s.attempt}",
        tenant_id=s.about.tenant_id,
        occurred_at=s.at,
        message_id=s.message_id,
        attempt=s.attempt,
        outcome=str(s.outcome),
        reason=s.cause,
        carrier=carrier,
        bind=s.slot,
        number_hash=s.about.number_hash,
        sender=s.about.sender,
        network=s.about.network,
        parts=[
            SubmittedPart(
                part=i,
                carrier_message_id=message_id or None,
                command_status=_signed(status),
            )
            for i, (status, message_id) in enumerate(s.answers, 1)
        ],
        price=s.about.price,
        currency=s.about.currency,
        decision=s.about.decision,
        purpose=s.about.purpose,
    )


def returned_event(s: Settlement, request: SubmitRequested, carrier: str) -> MessageReturned:
    return MessageReturned(
        event_id=f"{s.message_id}:returned:{s.attempt}",
        tenant_id=request.tenant_id,
        occurred_at=s.at,
        message_id=s.message_id,
        contact_id=request.contact_id,
        number_hash=request.number_hash,
        purpose=request.purpose,
        number=request.number,
        text=request.text,
        encoding=request.encoding,
        parts=request.parts,
        country=request.country,
        prefix=request.prefix,
        sender=request.sender,
        time_zone=request.time_zone,
        campaign_id=request.campaign_id,
        not_before=request.not_before,
        not_after=request.not_after,
        accepted_at=request.accepted_at,
        attempt=s.attempt,
        carrier=carrier,
        cause=s.cause or "unknown",
        tried=[*request.tried, carrier] if carrier not in request.tried else list(request.tried),
    )


def dropped_event(s: Settlement, request: SubmitRequested) -> MessageDropped:
    return MessageDropped(
        event_id=f"{s.message_id}:dropped",
        tenant_id=request.tenant_id,
        occurred_at=s.at,
        message_id=s.message_id,
        stage=STAGE,
        reason=s.cause or "window_missed",
        attempt=s.attempt,
        contact_id=request.contact_id,
        purpose=request.purpose,
        country=request.country,
        campaign_id=request.campaign_id,
        accepted_at=request.accepted_at,
    )


def wants_another_way(s: Settlement, purpose: str, unknown_before: bool) -> bool:
    """Whether the router gets the message back. A one-time code that may never have left gets one further attempt."""
    if s.outcome in (Outcome.FAILED, Outcome.RETURNED):
        return True
    return s.outcome is Outcome.UNKNOWN and purpose == "otp" and not unknown_before


def events_of(s: Settlement, request: SubmitRequested, carrier: str, *, unknown_before: bool) -> list[Event]:
    """Everything to publish for a settled attempt whose record is at hand. `unknown_before`: an earlier attempt of
    the same message is unknown as well."""
    events: list[Event] = []
    submitted = submitted_event(s, carrier)
    if submitted is not None:
        events.append(submitted)
    if wants_another_way(s, request.purpose, unknown_before):
        events.append(returned_event(s, request, carrier))
    if s.outcome is Outcome.DROPPED:
        events.append(dropped_event(s, request))
    return events


def _signed(status: int) -> int:
    """Avro's int is signed; command_status fills 32 bits only in nonsense. NO_ANSWER stays -1."""
    return status if status < 0x80000000 else status - 0x1_0000_0000
