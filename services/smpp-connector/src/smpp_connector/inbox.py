"""What the carrier sends us: receipts and handsets' messages, published before they are acknowledged.

Any octets are told and acknowledged; only what is too broken to be a deliver_sm is refused, by the link. A STOP counts
on this process's binds from the moment it is read.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b

from shared.carriers.profile import CarrierProfile
from shared.contracts.events import InboundReceived, ReceiptReceived
from shared.contracts.fields import SYSTEM_TENANT
from shared.contracts.topics import INBOUND, RECEIPT
from shared.crypto.ids import NumberIndex
from shared.crypto.sealing import Key, Kind
from shared.crypto.vault import Vault
from shared.errors import RetryLaterError
from shared.kafka.publisher import Outgoing, Publisher
from shared.smpp.pdu import DeliverSm
from shared.telemetry.logs import logger
from shared.telemetry.metrics import Metrics

from smpp_connector.adapters.link import Link
from smpp_connector.domain.consent import OptOuts
from smpp_connector.domain.deliveries import MessageTold, ReceiptTold, told_by

MOST_WAITING = 5000  # deliver_sm in memory; beyond it the carrier is not read any more
MOST_AT_ONCE = 1000
RETRY_S = (0.1, 0.3, 1.0, 2.0)
KINDS = (Kind.NUMBER, Kind.TEXT)


class Inbox:
    def __init__(
        self,
        *,
        carrier: str,
        profile: CarrierProfile,
        vault: Vault,
        publisher: Publisher,
        opt_outs: OptOuts,
        master: bytes,
        metrics: Metrics,
        now_ms: Callable[[], int],
    ) -> None:
        self._carrier, self._profile, self._vault, self._publisher = carrier, profile, vault, publisher
        self._opt_outs, self._now_ms = opt_outs, now_ms
        self._numbers = NumberIndex(master)
        self._digest_key = blake2b(b"deliveries", key=master[:64], digest_size=32).digest()
        self._waiting: list[tuple[Link, DeliverSm, bytes]] = []
        self._busy = False
        self._wake = asyncio.Event()
        self._silenced: set[Link] = set()
        self._log = logger(carrier=carrier, part="inbox")
        self._receipts = metrics.counter("relais_smpp_receipts")

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
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
                self._busy = True
                await self._publish(batch)
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

    async def _publish(self, batch: list[tuple[Link, DeliverSm, bytes]]) -> None:
        """Until the brokers have it: the carrier keeps what is not acknowledged, and so do we."""
        attempt = 0
        told: list[tuple[ReceiptTold | MessageTold, bytes]] | None = None
        while True:
            now_ms = self._now_ms()
            try:
                if told is None:
                    told = self._read(batch, now_ms)
                await self._vault.ready_for([SYSTEM_TENANT], KINDS, now_ms)
                await self._publisher.publish(self._records(told, now_ms))
                return
            except RetryLaterError as error:
                pause = RETRY_S[min(attempt, len(RETRY_S) - 1)]
                attempt += 1
                self._log.warning("deliveries wait", error=str(error), attempt=attempt)
                await asyncio.sleep(pause)

    def _read(
        self, batch: list[tuple[Link, DeliverSm, bytes]], now_ms: int
    ) -> list[tuple[ReceiptTold | MessageTold, bytes]]:
        found: list[tuple[ReceiptTold | MessageTold, bytes]] = []
        states: Counter[str] = Counter()
        for _, pdu, frame in batch:
            told = told_by(pdu, frame, self._carrier, self._profile, now_ms, self._digest_key)
            if isinstance(told, MessageTold):
                number_hash = self._numbers.number_hash(told.number)
                if told.keyword == "stop":
                    self._opt_outs.stop(number_hash, now_ms)
                elif told.keyword == "start":
                    self._opt_outs.start(number_hash)
            else:
                states[told.state] += 1
            found.append((told, frame))
        for state, count in states.items():
            self._receipts.add(count, {"carrier": self._carrier, "state": state})
        return found

    def _records(self, told: list[tuple[ReceiptTold | MessageTold, bytes]], now_ms: int) -> list[Outgoing]:
        number_key = self._vault.sealer(SYSTEM_TENANT, Kind.NUMBER, now_ms)
        text_key = self._vault.sealer(SYSTEM_TENANT, Kind.TEXT, now_ms)
        return [
            self._receipt(one, frame, text_key, now_ms)
            if isinstance(one, ReceiptTold)
            else self._message(one, number_key, text_key, now_ms)
            for one, frame in told
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
        return self._publisher.record(RECEIPT.name, f"{self._carrier}:{told.carrier_message_id or ''}", event)

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
        return self._publisher.record(INBOUND.name, number_hash, event)
