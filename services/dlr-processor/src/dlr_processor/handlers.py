"""One batch of the ledger's topics: match the receipts, load the rows, fold, save with the outbox, look once more.

Why a submission and its receipt never miss each other, though two replicas may hold them: whoever finds no partner
commits first (the part, or the waiting receipt) and looks for the partner once more after that commit. Of two commits
one is the later, and the look after it sees the earlier. A process that dies between commit and look has not committed
its offset, so the batch comes again and the look with it.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from shared.clock import Clock
from shared.contracts.events import (
    InboundReceived,
    MessageAccepted,
    MessageDeferred,
    MessageDropped,
    MessagePrepared,
    MessageReplied,
    MessageSubmitted,
    ReceiptReceived,
)
from shared.contracts.fields import SYSTEM_TENANT
from shared.contracts.topics import REPLIED, STATUS, lane_of
from shared.contracts.topics import returned as returned_topic
from shared.crypto.ids import NumberIndex
from shared.crypto.sealing import CannotOpenError, Kind
from shared.crypto.vault import Vault, day_of
from shared.db.database import Database
from shared.db.migrate import EVERYONE
from shared.db.outbox import OutboxPump, put
from shared.errors import PoisonError, RetryLaterError
from shared.kafka.consumer import Received
from shared.kafka.publisher import Outgoing, Publisher
from shared.telemetry.logs import logger
from shared.telemetry.metrics import Metrics

from dlr_processor.adapters import callback_queue, inbound, ledger, numbers, retries, waiting
from dlr_processor.adapters.segmenter import OptOutPump
from dlr_processor.callbacks import CallbackWorker
from dlr_processor.domain.fold import Change, Fact, Lost, MatchedReceipt, MayRetry, fold
from dlr_processor.domain.inbound import KEYWORDS, RecentSend, addressed, replies
from dlr_processor.domain.ledger import Message
from dlr_processor.domain.match import Submission, newest, only_unknown
from dlr_processor.domain.odd_receipts import mended
from dlr_processor.domain.retry_policy import may_retry, returned
from dlr_processor.domain.tell import status_of

RECENT_DAYS = 1  # receipts come within minutes; those of older submissions are found by the look at waiting ones
STALE_RETRIES = 5
POLICIES_MS = 5_000  # how late a changed retry policy may be noticed
_NEVER = 2**63
TIE_AFTER_MS = 60_000  # a receipt with an id may only be early: its submission gets this long to appear

_OF_MESSAGES = frozenset({MessageAccepted, MessagePrepared, MessageDeferred, MessageDropped, MessageSubmitted})


class LedgerHandler:
    """Batch in, ledger out. `handle` may be called again with any of its records: the second time changes nothing."""

    def __init__(
        self,
        *,
        database: Database,
        publisher: Publisher,
        outbox: OutboxPump,
        callbacks: CallbackWorker,
        opt_outs: OptOutPump,
        numbers: NumberIndex,
        master: bytes,
        metrics: Metrics,
        now_ms: Clock,
        invalid_after: int = 3,
        pump_numbers: Callable[[], None] = lambda: None,
        owner_of: Callable[[str], str | None] = lambda recipient: None,
    ) -> None:
        """`invalid_after`: permanent failures in a row that suppress a number; `pump_numbers` is called when one was;
        `owner_of`: the tenant of an address that handsets write to, where it has one."""
        self._database, self._publisher, self._outbox = database, publisher, outbox
        self._callbacks, self._opt_outs, self._numbers, self._master = callbacks, opt_outs, numbers, master
        self._published = metrics.counter("relais_status_published")
        self._odd = metrics.counter("relais_receipts_odd")
        self._retries = metrics.counter("relais_message_retries")
        self._now, self._invalid_after, self._pump_numbers = now_ms, invalid_after, pump_numbers
        self._owner_of = owner_of
        self._policies: retries.Policies = {}
        self._policies_until = 0
        self._log = logger(part="ledger")
        self._vault: Vault | None = None
        # Two batches of one process that meet the same messages would make each other stale and begin again.
        self._alone = asyncio.Lock()

    async def handle(self, batch: Sequence[Received]) -> None:
        facts: list[Fact] = []
        receipts: list[ReceiptReceived] = []
        messages: list[InboundReceived] = []
        now = self._now()
        for record in batch:
            event = record.event
            kind = type(event)
            if kind in _OF_MESSAGES:
                _check(event)
                facts.append(event)
            elif kind is ReceiptReceived:
                receipt, odd = mended(event, now)
                if odd is not None:
                    self._odd.add(1, {"kind": odd})
                    self._log.warning("a receipt's time cannot be", kind=odd, carrier=receipt.carrier)
                receipts.append(receipt)
            elif kind is InboundReceived:
                messages.append(event)
            else:
                raise PoisonError(f"the ledger does not read {kind.__name__}")
        if facts and all(type(fact) is MessageAccepted for fact in facts):
            facts = await self._untold(facts)
        if facts or receipts:
            await self.apply(facts, receipts)
        if messages:
            await self.inbound(messages)

    async def _untold(self, accepted: list[Any]) -> list[Fact]:
        """Acceptances that say something new: not those of messages whose preparation, which says all of it, is known."""
        async with self._database.hot({fact.tenant_id for fact in accepted}) as connection:
            await ledger.tune(connection)
            known = await ledger.prepared_since(connection, [fact.message_id for fact in accepted])
        return [fact for fact in accepted if known.get(fact.message_id, _NEVER) > fact.occurred_at]

    async def apply(
        self, facts: list[Fact], receipts: Sequence[ReceiptReceived], *, were_waiting: bool = False
    ) -> None:
        """Brings facts and receipts into the ledger, and what they find waiting there."""
        matched, unmatched = await self._match(facts, receipts)
        finished = [m.receipt.event_id for m in matched] if were_waiting else []
        await self._change([*facts, *matched], [] if were_waiting else unmatched, finished)
        submitted = {
            (fact.carrier, part.carrier_message_id)
            for fact in facts
            if type(fact) is MessageSubmitted
            for part in fact.parts
            if part.carrier_message_id is not None
        }
        partners = await self._look_again(submitted, [] if were_waiting else unmatched)
        if partners:
            await self.apply([], partners, were_waiting=True)

    async def _match(
        self, facts: Sequence[Fact], receipts: Sequence[ReceiptReceived]
    ) -> tuple[list[MatchedReceipt], list[ReceiptReceived]]:
        if not receipts:
            return [], []
        here: dict[tuple[str, str], list[Submission]] = defaultdict(list)
        for fact in facts:
            if type(fact) is MessageSubmitted:
                for part in fact.parts:
                    if part.carrier_message_id is not None:
                        here[fact.carrier, part.carrier_message_id].append(
                            Submission(fact.message_id, fact.tenant_id, fact.attempt, part.part, fact.occurred_at)
                        )
        found: dict[int, Submission] = {}
        for n, receipt in enumerate(receipts):
            candidates = here.get((receipt.carrier, receipt.carrier_message_id or ""))
            if candidates and (submission := newest(receipt, candidates)) is not None:
                found[n] = submission
        rest = [n for n in range(len(receipts)) if n not in found]
        if rest:
            asked = [receipts[n] for n in rest]
            async with self._database.hot(EVERYONE) as connection:
                await ledger.tune(connection)
                stored = await ledger.find_submissions(connection, asked, day_of(self._now()) - RECENT_DAYS)
            for place, n in enumerate(rest):
                if place in stored and (submission := newest(receipts[n], stored[place])) is not None:
                    found[n] = submission
        matched = [matched_receipt(receipts[n], found[n]) for n in sorted(found)]
        return matched, [receipt for n, receipt in enumerate(receipts) if n not in found]

    async def _change(self, facts: Sequence[Fact], unmatched: Sequence[ReceiptReceived], finished: list[str]) -> None:
        for _ in range(STALE_RETRIES):
            try:
                async with self._alone:
                    changes = await self._change_once(facts, unmatched, finished)
            except ledger.StaleError:
                await self._refuse_foreign(facts)
                continue
            for kind, number in Counter(odd for c in changes for odd in c.odd).items():
                self._odd.add(number, {"kind": kind})
            statuses = Counter(c.message.status for c in changes if c.published)
            for status, number in statuses.items():
                self._published.add(number, {"status": status})
            if statuses:
                self._outbox.wake()
            return
        raise RetryLaterError("the same messages are being changed by another process")

    async def _refuse_foreign(self, facts: Sequence[Fact]) -> None:
        """PoisonError when a record names a message of another tenant: that row cannot be seen, only stumbled over."""
        tenants = {fact.message_id: fact.tenant_id for fact in facts}
        async with self._database.hot(EVERYONE) as connection:
            await ledger.tune(connection)
            owners = await ledger.owners(connection, tenants)
        if any(tenants[message_id] != owner for message_id, owner in owners.items()):
            raise PoisonError("a record names another tenant than its message has")

    async def _change_once(
        self, facts: Sequence[Fact], unmatched: Sequence[ReceiptReceived], finished: list[str]
    ) -> list[Change]:
        by_message: dict[str, list[Fact]] = defaultdict(list)
        with_parts: set[str] = set()
        tenants: set[str] = set()
        for fact in facts:
            by_message[fact.message_id].append(fact)
            tenants.add(fact.tenant_id)
            if type(fact) is MessageSubmitted or type(fact) is MatchedReceipt:
                with_parts.add(fact.message_id)
        now = self._now()
        policies = await self._retry_policies(now)
        spoilt = False
        async with self._database.hot(tenants or {SYSTEM_TENANT}) as connection:
            await ledger.tune(connection)
            rows = await ledger.load_messages(connection, by_message)
            # A message that the ledger has never heard of has no parts either: who writes parts locks its row first.
            parts = await ledger.load_parts(
                connection, [m for m, row in rows.items() if m in with_parts or row.retried > 0]
            )
            envelopes = await self._envelopes(connection, facts, policies)
            may = self._may_retry(envelopes, policies, now) if policies else None
            changes = [
                fold(rows.get(message_id), parts.get(message_id, {}), told, now, may)
                for message_id, told in by_message.items()
            ]
            await ledger.save_messages(connection, changes)
            await ledger.save_parts(connection, changes)
            await ledger.save_rare(connection, changes)
            published = [c for c in changes if c.published]
            record, topic = self._publisher.record, STATUS.name
            told_of = [record(topic, c.message.message_id, status_of(c)) for c in published]
            if policies:
                told_of += await self._retry(connection, changes, facts, envelopes, policies, now)
            await put(connection, told_of)
            called = 0
            if published:
                endpoints = await callback_queue.endpoints_of(connection, tenants)
                called = await callback_queue.enqueue(connection, published, endpoints, now)
                spoilt = await numbers.count(connection, published, now, self._invalid_after)
            await waiting.put_waiting(connection, unmatched, now)
            await waiting.remove(connection, finished)
        if called:
            self._callbacks.wake()
        if spoilt:
            self._pump_numbers()
        for change in changes:
            if change.retry is not None:
                self._retries.add(1, {"reason": change.retry.reason})
        return changes

    async def _retry_policies(self, now: int) -> retries.Policies:
        """As they were at most POLICIES_MS ago: a new policy may keep its first envelopes that much later."""
        if now >= self._policies_until:
            async with self._database.hot(EVERYONE) as connection:
                self._policies = await retries.policies(connection)
            self._policies_until = now + POLICIES_MS
        return self._policies

    async def _envelopes(
        self, connection: Any, facts: Sequence[Fact], policies: retries.Policies
    ) -> dict[str, MessagePrepared]:
        """Of messages in this batch of which an attempt has ended badly."""
        if not policies:
            return {}
        ended = {
            fact.message_id
            for fact in facts
            if (type(fact) is MatchedReceipt and fact.receipt.final and fact.receipt.state != "delivered")
            or (type(fact) is MessageSubmitted and fact.outcome == "rejected")
        }
        found = await retries.kept(connection, sorted(ended))
        for fact in facts:
            if type(fact) is MessagePrepared and fact.message_id in ended:
                found[fact.message_id] = fact
        return found

    @staticmethod
    def _may_retry(envelopes: dict[str, MessagePrepared], policies: retries.Policies, now: int) -> MayRetry:
        def may(message: Message, attempt: int, reason: str | None) -> bool:
            envelope = envelopes.get(message.message_id)
            policy = policies.get((message.tenant_id, envelope.purpose)) if envelope is not None else None
            return policy is not None and envelope is not None and may_retry(policy, envelope, attempt, reason, now)

        return may

    async def _retry(
        self,
        connection: Any,
        changes: Sequence[Change],
        facts: Sequence[Fact],
        envelopes: dict[str, MessagePrepared],
        policies: retries.Policies,
        now: int,
    ) -> list[Outgoing]:
        """Keeps the envelopes that a policy may need, lets go those of ended messages; what the router gets back."""
        ended = {c.message.message_id for c in changes if c.message.final}
        new = [
            f for f in facts
            if type(f) is MessagePrepared and (f.tenant_id, f.purpose) in policies and f.message_id not in ended
        ]  # fmt: skip
        await retries.keep(connection, new, now)
        await retries.let_go(connection, sorted(ended))
        records = []
        for change in changes:
            if change.retry is not None:
                event = returned(envelopes[change.message.message_id], change.retry, now)
                topic = returned_topic(lane_of(event.purpose)).name
                records.append(self._publisher.record(topic, event.contact_id, event))
        return records

    async def _look_again(
        self, submitted: set[tuple[str, str]], unmatched: Sequence[ReceiptReceived]
    ) -> list[ReceiptReceived]:
        """After the commit: receipts that wait for one of these submissions, and those of the receipts that have just
        begun to wait whose submission has appeared meanwhile."""
        if not submitted and not unmatched:
            return []
        found: dict[str, ReceiptReceived] = {}
        async with self._database.hot(EVERYONE) as connection:
            await ledger.tune(connection)
            if submitted:
                found = {r.event_id: r for r in await waiting.waiting_for(connection, submitted)}
            if unmatched:
                stored = await ledger.find_submissions(connection, unmatched, day_of(self._now()) - RECENT_DAYS)
                for place, candidates in stored.items():
                    if newest(unmatched[place], candidates) is not None:
                        found[unmatched[place].event_id] = unmatched[place]
        return sorted(found.values(), key=lambda r: (r.occurred_at, r.event_id))

    async def recheck_waiting(self, limit: int = 1000) -> int:
        """Matches waiting receipts whose look is due among every day kept, and ties the rest to messages without an
        answer (promise 3). How many were looked at."""
        now = self._now()
        async with self._database.hot(EVERYONE) as connection:
            await ledger.tune(connection)
            due = await waiting.take_due(connection, now, limit)
            receipts = [receipt for receipt, _ in due]
            stored = await ledger.find_submissions(connection, receipts, None) if receipts else {}
            unknown = await ledger.find_unknown(connection, receipts) if receipts else {}
        matched: list[MatchedReceipt] = []
        taken: set[tuple[str, int, int]] = set()
        for n, (receipt, since) in sorted(enumerate(due), key=lambda item: item[1][0].occurred_at):
            submission = newest(receipt, stored.get(n, ()))
            if submission is None and (receipt.carrier_message_id is None or now - since >= TIE_AFTER_MS):
                free = [c for c in unknown.get(n, ()) if (c.message_id, c.attempt, c.part) not in taken]
                submission = only_unknown(receipt, free)
                if submission is not None:
                    taken.add((submission.message_id, submission.attempt, submission.part))
            if submission is not None:
                matched.append(matched_receipt(receipt, submission))
        if matched:
            await self._change(matched, [], [m.receipt.event_id for m in matched])
        return len(due)

    async def lose(self, lost: Sequence[Lost]) -> None:
        """Messages of which nobody will say any more what became of them."""
        await self._change(lost, [], [])

    async def inbound(self, events: Sequence[InboundReceived]) -> int:
        """Finds whose customers wrote, keeps what they wrote, and queues opt-outs. How many found an owner."""
        now = self._now()
        async with self._database.hot(EVERYONE) as connection:
            await ledger.tune(connection)
            sends = await inbound.recent_sends(connection, (e.number_hash for e in events), day_of(now))
        rows: list[tuple[InboundReceived, str, RecentSend | None]] = []
        answers: list[MessageReplied] = []
        found = 0
        for event in events:
            owners = addressed(event, sends.get(event.number_hash, ()), self._owner_of(event.recipient))
            found += bool(owners)
            answers += replies(event, owners)
            rows += [(event, owner.tenant_id, owner) for owner in owners] or [(event, SYSTEM_TENANT, None)]
        rows = await self._with_contacts(rows)
        async with self._database.hot({tenant for _, tenant, _ in rows}) as connection:
            await inbound.save(connection, rows)
            await put(connection, [self._publisher.record(REPLIED.name, a.message_id, a) for a in answers])
        if answers:
            self._outbox.wake()
        self._opt_outs.wake()
        return found

    async def _with_contacts(
        self, rows: list[tuple[InboundReceived, str, RecentSend | None]]
    ) -> list[tuple[InboundReceived, str, RecentSend | None]]:
        """A submission may be here before what names the contact: an opt-out must not wait for that."""
        lacking = [e for e, _, s in rows if s is not None and s.contact_id is None and e.keyword in KEYWORDS]
        if not lacking:
            return rows
        vault = self._vault = self._vault or Vault(self._database.pool, self._master)
        await vault.load(e.number for e in lacking)
        completed: list[tuple[InboundReceived, str, RecentSend | None]] = []
        for event, tenant, send in rows:
            if send is not None and send.contact_id is None and event.keyword in KEYWORDS:
                try:
                    number = vault.open(SYSTEM_TENANT, Kind.NUMBER, event.number)
                    send = send._replace(contact_id=self._numbers.contact_id(tenant, number))
                except CannotOpenError:
                    self._log.error("an opt-out's contact is not known", event_id=event.event_id)
            completed.append((event, tenant, send))
        return completed


def matched_receipt(receipt: ReceiptReceived, submission: Submission) -> MatchedReceipt:
    return MatchedReceipt(submission.message_id, submission.tenant_id, submission.attempt, submission.part, receipt)


_HEX = frozenset("0123456789abcdef")


def _check(event: Any) -> None:
    """PoisonError for ids that would stop the whole batch in the database."""
    message_id = event.message_id
    if len(message_id) != 36 or not _HEX.issuperset(message_id.replace("-", "")) or message_id.count("-") != 4:
        raise PoisonError("a message id that is no UUID")
    tenant = event.tenant_id
    if not tenant or tenant == EVERYONE or "," in tenant:
        raise PoisonError("a tenant id that no tenant has")
