"""Every topic of Relais, in one place. What is not here does not exist.

From these declarations come the topics themselves (`apply.py`), the registry's subjects, AsyncAPI, the README's
picture and the manifests. A contract test fails when a service produces or consumes anything else.

A name is `<domain>.<entity>.<event>[.<lane>].v<major>`. Another partition count is another major version: order for
one contact holds only while its key stays on its partition.
"""

from dataclasses import dataclass
from enum import StrEnum

from shared.contracts import events as e

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class Lane(StrEnum):
    """Two lanes on the road, so that a one-time code never waits behind a campaign."""

    NOW = "now"  # otp and transactional
    BULK = "bulk"  # marketing


def lane_of(purpose: str) -> Lane:
    return Lane.BULK if purpose == "marketing" else Lane.NOW


class Pii(StrEnum):
    NONE = "none"
    PSEUDONYM = "pseudonym"  # keyed hashes and the tenant's own references
    SEALED = "sealed"  # number or text, encrypted; lives 72 h


class Width(StrEnum):
    """How many partitions: local and production counts."""

    ROAD = "road"
    CARRIER = "carrier"
    OPS = "ops"


PARTITIONS = {Width.ROAD: (4, 24), Width.CARRIER: (2, 6), Width.OPS: (1, 1)}


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One declared topic, or with `carrier=True` one a carrier.

    `retention_ms` None means kept by compaction alone.
    """

    base: str
    event: type[e.Event]
    key: str
    width: Width = Width.ROAD
    retention_ms: int | None
    compacted: bool = False
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    pii: Pii
    doc: str
    lane: Lane | None = None
    carrier: bool = False
    major: int = 1
    changelog: bool = False
    later: tuple[str, ...] = ()  # services that will use it and do not yet: they may not, until they are moved above

    @property
    def name(self) -> str:
        """The topic's name; `{carrier}` stays in it where there is one a carrier."""
        middle = ".{carrier}" if self.carrier else ""
        lane = f".{self.lane}" if self.lane else ""
        return f"{self.base}{middle}{lane}.v{self.major}"

    def named(self, carrier: str) -> str:
        return self.name.format(carrier=carrier)

    @property
    def dead_letters(self) -> str:
        return f"{self.name}.dead"

    def partitions(self, production: bool) -> int:
        return PARTITIONS[self.width][production]


def _lanes(**kwargs: object) -> tuple[Topic, Topic]:
    return Topic(lane=Lane.NOW, **kwargs), Topic(lane=Lane.BULK, **kwargs)  # type: ignore[arg-type]


ACCEPTED = _lanes(
    base="sms.message.accepted",
    event=e.MessageAccepted,
    key="contact_id",
    retention_ms=72 * HOUR_MS,
    pii=Pii.SEALED,
    producers=("ingest",),
    consumers=("segmenter", "dlr-processor"),
    doc="taken from a caller, durable",
)
PREPARED = _lanes(
    base="sms.message.prepared",
    event=e.MessagePrepared,
    key="contact_id",
    retention_ms=72 * HOUR_MS,
    pii=Pii.SEALED,
    producers=("segmenter",),
    consumers=("router", "dlr-processor"),
    doc="this person receives this text",
)
SUBMIT = _lanes(
    base="sms.submit",
    carrier=True,
    event=e.SubmitRequested,
    key="contact_id",
    width=Width.CARRIER,
    retention_ms=72 * HOUR_MS,
    pii=Pii.SEALED,
    producers=("router",),
    consumers=("smpp-connector",),
    doc="for this carrier's connector",
)
RETURNED = _lanes(
    base="sms.message.returned",
    event=e.MessageReturned,
    key="contact_id",
    retention_ms=72 * HOUR_MS,
    pii=Pii.SEALED,
    producers=("smpp-connector", "dlr-processor"),
    consumers=("router",),
    doc="needs another way",
)
DEFERRED = Topic(
    base="sms.message.deferred",
    event=e.MessageDeferred,
    key="message_id",
    retention_ms=30 * DAY_MS,
    pii=Pii.NONE,
    producers=("router",),
    consumers=("dlr-processor",),
    doc="waits for its moment",
)
SUBMITTED = Topic(
    base="sms.message.submitted",
    event=e.MessageSubmitted,
    key="message_id",
    retention_ms=30 * DAY_MS,
    pii=Pii.PSEUDONYM,
    producers=("smpp-connector",),
    consumers=("dlr-processor",),
    doc="what the carrier answered to one attempt",
)
RECEIPT = Topic(
    base="sms.receipt.received",
    event=e.ReceiptReceived,
    key="carrier:carrier_message_id",
    retention_ms=7 * DAY_MS,
    pii=Pii.SEALED,
    producers=("smpp-connector",),
    consumers=("dlr-processor",),
    doc="delivery receipts, before matching",
)
INBOUND = Topic(
    base="sms.inbound.received",
    event=e.InboundReceived,
    key="number_hash",
    retention_ms=72 * HOUR_MS,
    pii=Pii.SEALED,
    producers=("smpp-connector",),
    consumers=("dlr-processor",),
    doc="messages from handsets",
)
REPLIED = Topic(
    base="sms.message.replied",
    event=e.MessageReplied,
    key="message_id",
    retention_ms=30 * DAY_MS,
    pii=Pii.NONE,
    producers=("dlr-processor",),
    consumers=("analytics",),
    doc="somebody answered a message",
)
DROPPED = Topic(
    base="sms.message.dropped",
    event=e.MessageDropped,
    key="message_id",
    retention_ms=30 * DAY_MS,
    pii=Pii.PSEUDONYM,
    producers=("segmenter", "router", "smpp-connector", "dlr-processor"),
    consumers=("dlr-processor", "segmenter"),
    doc="goes no further, and why",
)
STATUS = Topic(
    base="sms.message.status",
    event=e.MessageStatus,
    key="message_id",
    retention_ms=30 * DAY_MS,
    pii=Pii.PSEUDONYM,
    producers=("dlr-processor",),
    consumers=("analytics", "segmenter"),
    doc="the truth about each message",
)
CHUNK = Topic(
    base="sms.campaign.chunk",
    event=e.CampaignChunk,
    key="tenant:campaign:chunk",
    retention_ms=7 * DAY_MS,
    pii=Pii.NONE,
    producers=("segmenter",),
    consumers=("segmenter",),
    doc="slices of an audience, expanded in parallel",
)
CAMPAIGN = Topic(
    base="sms.campaign.changed",
    event=e.CampaignChanged,
    key="tenant:campaign",
    width=Width.OPS,
    retention_ms=None,
    compacted=True,
    pii=Pii.NONE,
    producers=("segmenter",),
    consumers=("router", "smpp-connector"),
    doc="launch, pause, resume, cancel",
)
CLICKED = Topic(
    base="sms.link.clicked",
    event=e.LinkClicked,
    key="code",
    retention_ms=30 * DAY_MS,
    pii=Pii.PSEUDONYM,
    producers=("ingest",),
    consumers=("analytics", "segmenter"),
    doc="clicks on short links",
)
TRACKED = Topic(
    base="crm.event.tracked",
    event=e.EventTracked,
    key="tenant:contact_ref",
    retention_ms=30 * DAY_MS,
    pii=Pii.SEALED,
    producers=("ingest",),
    consumers=("segmenter", "analytics"),
    doc="purchases, sign-ups, any behaviour",
)
CONTACT = Topic(
    base="crm.contact.changed",
    event=e.ContactChanged,
    key="tenant:contact_ref",
    retention_ms=None,
    compacted=True,
    pii=Pii.PSEUDONYM,
    producers=("segmenter",),
    consumers=(),
    doc="dimensions without personal attributes",
    later=("analytics",),
)
CONSENT = Topic(
    base="crm.consent.changed",
    event=e.ConsentChanged,
    key="tenant:contact_ref",
    retention_ms=None,
    compacted=True,
    pii=Pii.PSEUDONYM,
    producers=("segmenter",),
    consumers=("router", "smpp-connector", "analytics"),
    doc="what each person agreed to, all purposes",
)
ERASED = Topic(
    base="crm.contact.erased",
    event=e.ContactErased,
    key="tenant:contact_ref",
    retention_ms=30 * DAY_MS,
    pii=Pii.PSEUDONYM,
    producers=("segmenter",),
    consumers=("analytics",),
    doc="erasures that warehouse jobs honour",
)
HEALTH = Topic(
    base="ops.carrier.health",
    event=e.CarrierHealth,
    key="carrier",
    width=Width.OPS,
    retention_ms=None,
    compacted=True,
    pii=Pii.NONE,
    producers=("smpp-connector",),
    consumers=("router",),
    doc="binds, window, latency, errors",
)
DELTA = Topic(
    base="ops.carrier.delta",
    event=e.CarrierDelta,
    key="carrier",
    width=Width.OPS,
    retention_ms=7 * DAY_MS,
    pii=Pii.NONE,
    producers=("analytics",),
    consumers=("analytics",),
    doc="pre-aggregated outcomes, Faust's input",
)
QUALITY = Topic(
    base="ops.carrier.quality",
    event=e.CarrierQuality,
    key="carrier:country",
    width=Width.OPS,
    retention_ms=None,
    compacted=True,
    pii=Pii.NONE,
    producers=("analytics",),
    consumers=("router",),
    doc="windows over the deltas",
)
QUALITY_CHANGELOG = Topic(
    base="ops.carrier.windows",
    event=e.CarrierQuality,
    key="Faust's own",
    width=Width.OPS,
    retention_ms=None,
    compacted=True,
    pii=Pii.NONE,
    producers=("analytics",),
    consumers=("analytics",),
    doc="changelog of Faust's table; rebuilt when wiped",
    changelog=True,
)

TOPICS: tuple[Topic, ...] = (
    *ACCEPTED,
    CHUNK,
    *PREPARED,
    DEFERRED,
    *SUBMIT,
    *RETURNED,
    SUBMITTED,
    RECEIPT,
    INBOUND,
    REPLIED,
    DROPPED,
    STATUS,
    CAMPAIGN,
    CLICKED,
    TRACKED,
    CONTACT,
    CONSENT,
    ERASED,
    HEALTH,
    DELTA,
    QUALITY,
    QUALITY_CHANGELOG,
)


def accepted(lane: Lane) -> Topic:
    return ACCEPTED[lane is Lane.BULK]


def prepared(lane: Lane) -> Topic:
    return PREPARED[lane is Lane.BULK]


def submit(lane: Lane) -> Topic:
    return SUBMIT[lane is Lane.BULK]


def returned(lane: Lane) -> Topic:
    return RETURNED[lane is Lane.BULK]


def topic_of(name: str) -> Topic:
    """The declaration behind a concrete topic name, a carrier's topic included. KeyError for an undeclared one."""
    found = _BY_NAME.get(name)
    if found is None:
        parts = name.split(".")
        for topic in SUBMIT:
            if len(parts) == 5 and topic.named(parts[2]) == name:
                return topic
        raise KeyError(f"no topic is declared as {name}; declare it in shared/contracts/topics.py")
    return found


_BY_NAME = {topic.name: topic for topic in TOPICS if not topic.carrier}
