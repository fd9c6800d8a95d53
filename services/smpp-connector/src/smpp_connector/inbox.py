"""What the carrier sends us: receipts and handsets' messages, published before they are acknowledged. A part of a longer
message is kept in a table before it is acknowledged, and published with the others.

Any octets are told and acknowledged; only what is too broken to be a deliver_sm is refused, by the link. A STOP counts
on this process's binds from the moment it is read.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b

from shared.carriers.learn_id_rule import ReceiptIds
from shared.carriers.profile import CarrierProfile
from shared.contracts.events import InboundReceived, ReceiptReceived
from shared.contracts.fields import SYSTEM_TENANT
from shared.contracts.topics import INBOUND, RECEIPT
from shared.crypto.ids import NumberIndex
from shared.crypto.sealing import CannotOpenError, Key, Kind
from shared.crypto.vault import Vault
from shared.errors import RetryLaterError
from shared.kafka.publisher import Outgoing, Publisher
from shared.smpp.pdu import DeliverSm
from shared.smpp.receipt import parse_receipt
from shared.telemetry.logs import logger
from shared.telemetry.metrics import Metrics
from shared.text.encoding import Encoding
from shared.text.national import Shift
from shared.text.reassemble import join
from shared.text.received import Content
from shared.text.udh import Concatenation

from smpp_connector.adapters.inbound_parts import Group, InboundParts, NewPart
from smpp_connector.adapters.link import Link
from smpp_connector.domain.consent import OptOuts
from smpp_connector.domain.deliveries import MessageTold, PartTold, ReceiptTold, told_by
from smpp_connector.domain.keywords import keyword_of
from smpp_connector.domain.long_messages import digest_of
from smpp_connector.domain.pair_ids import PairIds
from smpp_connector.domain.receipt_delay import ReceiptDelay

MOST_WAITING = 5000  # deliver_sm in memory; beyond it the carrier is not read any more
MOST_AT_ONCE = 1000
RETRY_S = (0.1, 0.3, 1.0, 2.0)
KINDS = (Kind.NUMBER, Kind.TEXT)
_RECEIPT, _INBOUND = RECEIPT.name, INBOUND.name  # each time anew they would be put together
LOOK_S = 5.0  # how often parts that another process left are looked for

Told = ReceiptTold | MessageTold | PartTold


class Inbox:
    def __init__(
        self,
        *,
        carrier: str,
        profile: CarrierProfile,
        vault: Vault,
        parts: InboundParts,
        pairs: PairIds | None,
        delay: ReceiptDelay,
        publisher: Publisher,
        opt_outs: OptOuts,
        master: bytes,
        metrics: Metrics,
        now_ms: Callable[[], int],
    ) -> None:
        """`pairs`: where receipts' ids are learnt from, if they are."""
        self._carrier, self.profile, self._vault, self._publisher = carrier, profile, vault, publisher
        self._parts, self._pairs, self._delay = parts, pairs, delay
        self._look_at_ms = 0  # when parts in the table are due next, as far as we know
        self._opt_outs, self._now_ms = opt_outs, now_ms
        self._numbers = NumberIndex(master)
        self._digest_key = blake2b(b"deliveries", key=master[:64], digest_size=32).digest()
        self._waiting: list[tuple[Link, DeliverSm, bytes]] = []
        self._busy = False
        self._wake = asyncio.Event()
        self._silenced: set[Link] = set()
        self._log = logger(carrier=carrier, part="inbox")
        self._receipts = metrics.counter("relais_smpp_receipts")
        self._incomplete = metrics.counter("relais_smpp_incomplete")

    def delivered(self, link: Link, pdu: DeliverSm, frame: bytes) -> None:
        """From a link; returns at once."""
        self._waiting.append((link, pdu, frame))
        if len(self._waiting) >= MOST_WAITING and link not in self._silenced:
            link.pause_reading()
            self._silenced.add(link)
        self._wake.set()

    async def idle(self) -> None:
        """Returns when everything that came is published and acknowledged."""
        while self._waiting or self._busy:  # noqa: ASYNC110 - only at the end of the process
            await asyncio.sleep(0.01)

    async def run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), max(0.0, (self._look_at_ms - self._now_ms()) / 1000))
            self._wake.clear()
            if not self._waiting and self._now_ms() >= self._look_at_ms:
                await self._insist([])
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
                self._busy = True
                await self._insist(batch)
                owed: dict[Link, list[int]] = {}
                for link, pdu, _ in batch:
                    owed.setdefault(link, []).append(pdu.sequence_number)
                for link, numbers in owed.items():
                    link.acknowledge(numbers)
                self._busy = False
                if self._silenced and len(self._waiting) < MOST_WAITING // 2:
                    for link in self._silenced:
                        link.resume_reading()
                    self._silenced.clear()

    async def _insist(self, batch: list[tuple[Link, DeliverSm, bytes]]) -> None:
        """Until the brokers have it: the carrier keeps what is not acknowledged, and so do we."""
        attempt = 0
        told: list[tuple[Told, bytes]] | None = None
        while True:
            now_ms = self._now_ms()
            try:
                if told is None:
                    told = self._read(batch, now_ms)
                await self._vault.ready_for([SYSTEM_TENANT], KINDS, now_ms)
                await self._publish(told, now_ms)
                return
            except RetryLaterError as error:
                pause = RETRY_S[min(attempt, len(RETRY_S) - 1)]
                attempt += 1
                self._log.warning("deliveries wait", error=str(error), attempt=attempt)
                await asyncio.sleep(pause)

    async def _publish(self, told: Sequence[tuple[Told, bytes]], now_ms: int) -> None:
        """What is whole goes to the brokers, parts to the table, and messages that are whole by now to the brokers."""
        parts = [one for one, _ in told if isinstance(one, PartTold)]
        if parts:
            await self._parts.keep(self._sealed(parts, now_ms), now_ms)
        groups: list[Group] = []
        if parts or now_ms >= self._look_at_ms:
            groups = await self._due(now_ms)
        records = self._records(told, now_ms)
        number_key, text_key = self._keys(now_ms)
        for group in groups:
            whole = self._joined(group)
            if whole is not None:
                if whole.keyword == "stop":
                    self._opt_outs.stop(self._numbers.number_hash(whole.number), now_ms)
                records.append(self._message(whole, number_key, text_key, now_ms))
        if records:
            await self._publisher.publish(records)
        if groups:
            await self._parts.told(groups, now_ms)

    async def _due(self, now_ms: int) -> list[Group]:
        groups, following = await self._parts.due(now_ms)
        await self._vault.load(envelope for g in groups for envelope in (g.number, *(part[2] for part in g.parts)))
        soon = now_ms + int(LOOK_S * 1000)
        self._look_at_ms = soon if following is None else min(soon, max(following, now_ms + 1))
        return groups

    def _sealed(self, parts: Sequence[PartTold], now_ms: int) -> list[NewPart]:
        number_key, text_key = self._keys(now_ms)
        return [
            NewPart(
                one.peer, *one.concatenation, one.digest, one.keyword == "stop", number_key.seal(one.number), one.recipient,
                text_key.seal(one.content.octets.decode("latin-1")), one.content.encoding, one.content.shift,
            )
            for one in parts
        ]  # fmt: skip

    def _joined(self, group: Group) -> MessageTold | None:
        """None when the keys are gone: it waited for more than a week."""
        contents: list[Content] = []
        try:
            number = self._vault.open(SYSTEM_TENANT, Kind.NUMBER, group.number)
            for part, _, envelope, encoding, shift in group.parts:
                octets = self._vault.open(SYSTEM_TENANT, Kind.TEXT, envelope).encode("latin-1")
                where = Concatenation(group.reference, group.total, part)
                contents.append(Content(octets, Encoding(encoding) if encoding else None, Shift(*shift), where))
        except CannotOpenError as error:
            self._log.error("parts of a handset's message cannot be opened", error=str(error))
            return None
        whole = join(contents, group.total)
        if whole.missing:
            self._incomplete.add(1, {"carrier": self._carrier})
        text = whole.text or ""
        event_id = f"{self._carrier}:inbound:{group.since_ms}:{digest_of([part[1] for part in group.parts])}"
        keyword = keyword_of(text) if 1 not in whole.missing else None
        return MessageTold(event_id, number, group.recipient, text, keyword)

    def _read(self, batch: list[tuple[Link, DeliverSm, bytes]], now_ms: int) -> list[tuple[Told, bytes]]:
        found: list[tuple[Told, bytes]] = []
        states: Counter[str] = Counter()
        for _, pdu, frame in batch:
            told = told_by(pdu, frame, self._carrier, self.profile, now_ms, self._digest_key)
            if isinstance(told, ReceiptTold):
                states[told.state] += 1
                if told.final and told.carrier_message_id:
                    self._delay.receipt(told.carrier_message_id, asyncio.get_running_loop().time())
                if self._pairs is not None:
                    self._pairs.receipt(self._numbers.number_hash(told.number), self._ids(pdu))
            elif told.keyword == "stop":
                self._opt_outs.stop(self._numbers.number_hash(told.number), now_ms)
            elif told.keyword == "start":
                self._opt_outs.start(self._numbers.number_hash(told.number))
            found.append((told, frame))
        for state, count in states.items():
            self._receipts.add(count, {"carrier": self._carrier, "state": state})
        return found

    def _ids(self, pdu: DeliverSm) -> ReceiptIds:
        grammar = self.profile.receipt_grammar
        text, tlv = (parse_receipt(pdu, id_from_text=of, grammar=grammar).carrier_message_id for of in (True, False))
        return ReceiptIds(text, tlv)

    def _keys(self, now_ms: int) -> tuple[Key, Key]:
        return tuple(self._vault.sealer(SYSTEM_TENANT, kind, now_ms) for kind in KINDS)  # type: ignore[return-value]

    def _records(self, told: Sequence[tuple[Told, bytes]], now_ms: int) -> list[Outgoing]:
        number_key, text_key = self._keys(now_ms)
        return [
            self._receipt(one, frame, text_key, now_ms)
            if isinstance(one, ReceiptTold)
            else self._message(one, number_key, text_key, now_ms)
            for one, frame in told
            if not isinstance(one, PartTold)
        ]

    def _receipt(self, told: ReceiptTold, frame: bytes, text_key: Key, now_ms: int) -> Outgoing:
        event = ReceiptReceived(
            event_id=told.event_id,
            tenant_id=SYSTEM_TENANT,
            occurred_at=now_ms,
            carrier=self._carrier,
            carrier_message_id=told.carrier_message_id,
            raw_id=told.raw_id,
            state=told.state,
            final=told.final,
            error_code=told.error_code,
            reason=told.reason,
            submit_date=told.submit_date,
            done_date=told.done_date,
            number_hash=self._numbers.number_hash(told.number),
            sender=told.sender,
            pdu=text_key.seal(frame.decode("latin-1")),
        )
        return self._publisher.record(_RECEIPT, f"{self._carrier}:{told.carrier_message_id or ''}", event)

    def _message(self, told: MessageTold, number_key: Key, text_key: Key, now_ms: int) -> Outgoing:
        number_hash = self._numbers.number_hash(told.number)
        event = InboundReceived(
            event_id=told.event_id,
            tenant_id=SYSTEM_TENANT,
            occurred_at=now_ms,
            carrier=self._carrier,
            number=number_key.seal(told.number),
            number_hash=number_hash,
            recipient=told.recipient,
            text=text_key.seal(told.text),
            keyword=told.keyword,
        )
        return self._publisher.record(_INBOUND, number_hash, event)
