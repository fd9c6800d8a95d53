"""From a message and its decision to the record that says so."""

from shared.contracts.events import MessageDeferred, MessageDropped, MessagePrepared, SubmitRequested
from shared.contracts.topics import DEFERRED, DROPPED, lane_of, submit
from shared.kafka.publisher import Outgoing, Publisher
from shared.telemetry.traces import Headers

from router.domain.choose_carrier import Defer, Drop, Send
from router.domain.decide import Message, history_of, tried_with


class Outcomes:
    """Ids are made of what is said, so that a repeat says the same thing again."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def sent(self, m: Message, decision: Send, now: int, headers: Headers = ()) -> Outgoing:
        history = history_of(m)
        event = SubmitRequested(
            event_id=f"{m.message_id}:submit:{history.attempt}", tenant_id=m.tenant_id, occurred_at=now,
            message_id=m.message_id, contact_id=m.contact_id, number_hash=m.number_hash, purpose=m.purpose,
            number=m.number, text=m.text, encoding=m.encoding, parts=m.parts, country=m.country, prefix=m.prefix,
            sender=decision.sender or m.sender, time_zone=m.time_zone, campaign_id=m.campaign_id, not_before=m.not_before,
            not_after=decision.not_after or m.not_after, accepted_at=m.accepted_at, attempt=history.attempt, network=decision.network, carrier=decision.carrier,
            price=decision.price, currency=decision.currency, decision=decision.decision, tried=tried_with(history, decision.carrier),
        )  # fmt: skip
        topic = submit(lane_of(m.purpose)).named(decision.carrier)
        return self._publisher.record(topic, m.contact_id, event, headers)

    def deferred(self, m: Message, decision: Defer, now: int, headers: Headers = ()) -> Outgoing:
        event = MessageDeferred(
            event_id=f"{m.message_id}:deferred:{history_of(m).attempt}:{decision.reason}", tenant_id=m.tenant_id,
            occurred_at=now, message_id=m.message_id, until=decision.until, reason=decision.reason,
        )  # fmt: skip
        return self._publisher.record(DEFERRED.name, m.message_id, event, headers)

    def dropped(self, m: Message, decision: Drop, now: int, rules: str, headers: Headers = ()) -> Outgoing:
        prepared = m if isinstance(m, MessagePrepared) else None
        event = MessageDropped(
            event_id=f"{m.message_id}:dropped", tenant_id=m.tenant_id, occurred_at=now, message_id=m.message_id,
            stage="router", reason=decision.reason, detail=decision.detail, rules=rules,
            attempt=history_of(m).attempt - 1, contact_id=m.contact_id, purpose=m.purpose, country=m.country,
            campaign_id=m.campaign_id, accepted_at=m.accepted_at,
            contact_ref=prepared.contact_ref if prepared else None, run=prepared.run if prepared else None,
            variant=prepared.variant if prepared else None, segment=prepared.segment if prepared else None,
            client_ref=prepared.client_ref if prepared else None, callback_url=prepared.callback_url if prepared else None,
        )  # fmt: skip
        return self._publisher.record(DROPPED.name, m.message_id, event, headers)
