"""The SMPP engine against a bare SMSC in another process, beside other libraries for Python: make bench-smpp (ARGS="--messages 200000").

The engine is the connector's own: waiting room, window, pace, bind, link, recorder. PostgreSQL and Kafka are left out
here (claims and publishing are granted at once); `make bench` measures the road with both. The SMSC does nothing but
answer, and sends a receipt for each message. Writes .run/bench-smpp.json.
"""

import argparse
import asyncio
import gc
import json
import multiprocessing
import resource
import struct
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import smpplib.client
import uvloop
from pydantic import SecretStr
from shared.carriers.registry import load_profile
from shared.clock import now_ms
from shared.contracts.events import SubmitRequested
from shared.contracts.topics import Lane
from shared.crypto.sealing import Kind
from shared.service import YOUNG_OBJECTS
from shared.smpp import constants as c
from shared.smpp.pdu import DeliverSm, encode
from shared.telemetry.metrics import Metrics
from smpp_connector.adapters.claims import Claims, Key, Recorded, Wanted
from smpp_connector.adapters.leases import Lease, steady_now
from smpp_connector.adapters.link import Link, Timers
from smpp_connector.bind import Bind, Shared
from smpp_connector.carriers_file import Carrier
from smpp_connector.counts import Counts
from smpp_connector.domain.campaigns import Campaigns
from smpp_connector.domain.consent import OptOuts
from smpp_connector.domain.waiting_room import Place, Waiting, WaitingRoom
from smpp_connector.recorder import Recorder

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.peers.python_peers import prepare_python_peers

_HEADER = struct.Struct(">LLLL")
RECEIPT = (
    b"id:0123456789 sub:001 dlvrd:001 submit date:2401011200 done date:2401011201 stat:DELIVRD err:000 text:Bonjour"
)


TICK_S = 0.002


class BareSmsc(asyncio.Protocol):
    """Answers after `latency_s`, refuses above `rate` a second, follows each message it takes by a receipt. While
    `stalled` is set it reads and keeps its answers."""

    def __init__(self, latency_s: float, rate: float, receipts: bool, stalled: Any = None) -> None:
        self._stalled, self._held = stalled, b""
        self._latency_s, self._rate, self._tokens, self._at = latency_s, rate, 10.0, time.monotonic()
        self._rest, self._loop, self._id = b"", asyncio.get_running_loop(), 0
        pdu = DeliverSm(
            sequence_number=1, esm_class=4, source_addr="33612345678", destination_addr="Relais", short_message=RECEIPT
        )
        self._receipt = encode(pdu) if receipts else b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        at, size, answers, others = 0, len(data), [], []
        while size - at >= 16:
            length, command, _, sequence = _HEADER.unpack_from(data, at)
            if size - at < length:
                break
            at += length
            if command == c.SUBMIT_SM:
                answers.append(self._answer(sequence))
            elif command < c.RESPONSE_BIT:
                body = b"smsc\0" if command in (c.BIND_TRANSCEIVER, c.BIND_TRANSMITTER) else b""
                others.append(_HEADER.pack(16 + len(body), command | c.RESPONSE_BIT, 0, sequence) + body)
        self._rest = data[at:]
        if others:
            self._transport.write(b"".join(others))
        if answers:
            octets = b"".join(answers)
            if self._stalled is not None and (self._held or self._stalled.is_set()):
                if not self._held:
                    self._loop.call_later(0.05, self._go_on)
                self._held += octets
            elif self._latency_s:
                due = self._loop.time() + self._latency_s
                self._loop.call_later(self._latency_s - TICK_S, self._write_at, due, octets)
            else:
                self._transport.write(octets)

    def _go_on(self) -> None:
        if self._transport.is_closing():
            return
        if self._stalled.is_set():
            self._loop.call_later(0.05, self._go_on)
        else:
            octets, self._held = self._held, b""
            self._transport.write(octets)

    def _write_at(self, due: float, octets: bytes) -> None:
        """A loop's timers tick in whole milliseconds, rounded up: 2 % of 40 ms. The last of them is spent in turns."""
        if self._loop.time() < due:
            self._loop.call_soon(self._write_at, due, octets)
        else:
            self._transport.write(octets)

    def _answer(self, sequence: int) -> bytes:
        if self._rate:
            now = time.monotonic()
            self._tokens = min(10.0, self._tokens + (now - self._at) * self._rate)
            self._at = now
            if self._tokens < 1:
                return _HEADER.pack(16, c.SUBMIT_SM_RESP, c.ESME_RTHROTTLED, sequence)
            self._tokens -= 1
        self._id += 1
        return _HEADER.pack(27, c.SUBMIT_SM_RESP, 0, sequence) + b"%010d\0" % self._id + self._receipt


def serve(ports: Any, latency_s: float, rate: float, receipts: bool, stalled: Any = None) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: BareSmsc(latency_s, rate, receipts, stalled), "127.0.0.1", 0)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(run())


class GrantedClaims:
    """Every claim is ours at once: the engine alone."""

    async def arm(
        self, new: Sequence[Wanted], free: Sequence[Wanted], slot: int, epoch: int, token: int
    ) -> set[Key]:  # fmt: skip
        return {wanted.key for wanted in (*new, *free)}

    async def record(self, answered: Sequence[Recorded], unwritten: Sequence[Any]) -> set[Key]:
        return {(one.settlement.message_id, one.settlement.attempt) for one in answered}


class NoPublisher:
    def record(self, topic: str, key: str, event: Any, headers: Any = ()) -> Any:
        return event

    async def publish(self, records: Any) -> None: ...


class OpenVault:
    async def load(self, envelopes: Any) -> None: ...

    def open(self, tenant: str, kind: Kind, envelope: bytes) -> str:
        return "+33612345678" if kind is Kind.NUMBER else "Bonjour, votre commande est prête."


class Deliveries:
    """Acknowledges at once what comes together."""

    def __init__(self) -> None:
        self.count = 0
        self._owed: list[int] = []

    def delivered(self, link: Link, pdu: DeliverSm, frame: bytes) -> None:
        self.count += 1
        if not self._owed:
            asyncio.get_running_loop().call_soon(self._acknowledge, link)
        self._owed.append(pdu.sequence_number)

    def _acknowledge(self, link: Link) -> None:
        owed, self._owed = self._owed, []
        link.acknowledge(owed)


def request(number: int) -> SubmitRequested:
    message_id = f"00000000-0000-8000-8000-{number:012x}"
    return SubmitRequested(
        event_id=message_id, tenant_id="acme", occurred_at=0, message_id=message_id, contact_id=message_id, number_hash="h",
        purpose="marketing", number=b"", text=b"", encoding="gsm7", parts=1, country="FR", prefix="336", sender="Relais",
        not_after=now_ms() + 3_600_000, accepted_at=0, attempt=1, carrier="bench", price=0, currency="EUR", decision="",
    )  # fmt: skip


async def engine(
    port: int, *, messages: int, window: int, tps: float, seconds: float, settle_s: float = 0
) -> dict[str, float]:
    """Until all are settled, or the time is over. Counts from the first answer on, or from `settle_s` after it."""
    loop = asyncio.get_running_loop()
    carrier = Carrier(
        id="bench",
        host="127.0.0.1",
        port=port,
        system_id="relais",
        password=SecretStr("secret"),
        window=window,
        tps=tps,
    )
    room, place, ended = WaitingRoom(), Place("p"), [0]
    binds: list[Bind] = []
    metrics = Metrics("bench")
    counts = Counts(metrics, "bench")
    requests = [request(number) for number in range(messages)]  # the decoder's work, not the engine's
    pushed = 0

    def refill() -> None:
        nonlocal pushed
        while room.waiting(Lane.BULK) < 4 * window and pushed < messages:
            room.push(Waiting(requests[pushed], Lane.BULK, place, pushed, ()))
            pushed += 1

    def finish(records: Iterable[Waiting]) -> None:
        ended[0] += sum(1 for _ in records)
        refill()

    def changed() -> None:
        for bind in binds:
            bind.wake()

    claims = cast(Claims, GrantedClaims())
    recorder = Recorder(claims, cast(Any, NoPublisher()), room, finish, "bench", metrics, loop.time, now_ms, changed)
    deliveries = Deliveries()
    shared = Shared(
        carrier=carrier, profile=load_profile("plain"), timers=Timers(10, 30, 15, 10), tls=None, room=room, claims=claims,
        recorder=recorder, vault=cast(Any, OpenVault()), opt_outs=OptOuts(), campaigns=Campaigns(),
        bulk_allowed=lambda: True, deliveries=deliveries, pairs=None, bury=lambda record, why: None, counts=counts,
        state_changed=lambda: None, now_ms=now_ms,
    )  # fmt: skip
    bind = Bind(Lease(0, 1, steady_now() + 3600), shared)
    binds.append(bind)
    refill()
    tasks = [asyncio.create_task(work) for work in (bind.run(), recorder.run_recording(), recorder.run_publishing())]
    gc.collect()
    gc.freeze()  # as `shared.service` does
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)
    while not counts.answers:
        await asyncio.sleep(0.001)
    await asyncio.sleep(settle_s)
    start, cpu, before = time.perf_counter(), time.process_time(), ended[0]
    counts.take()
    deadline = start + seconds
    while ended[0] < messages and time.perf_counter() < deadline:
        await asyncio.sleep(0.005)
    passed, used = time.perf_counter() - start, time.process_time() - cpu
    _, latency_ms, classes = counts.take()
    done = ended[0] - before
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    refused = sum(count for kind, count in classes.items() if kind == "throttle")
    return {
        "messages_s": round(done / passed, 1),
        "cpu_us": round(used / done * 1e6, 1),
        "refused_share": round(refused / max(1, sum(classes.values())), 4),
        "latency_ms": round(latency_ms, 2),
        "receipts": deliveries.count,
    }


def with_smpplib(port: int, messages: int, window: int) -> dict[str, float]:
    """smpplib as its users write it: a thread that sends, up to a window ahead, and reads what came."""
    client = smpplib.client.Client("127.0.0.1", port, allow_unknown_opt_params=True)
    answered = 0

    def sent(pdu: Any, **_: Any) -> None:
        nonlocal answered
        answered += 1

    client.set_message_sent_handler(sent)
    client.set_message_received_handler(lambda pdu, **_: 0)
    client.connect()
    client.bind_transceiver(system_id="relais", password="secret")
    start, cpu, written = time.perf_counter(), time.process_time(), 0
    while answered < messages:
        while written < messages and written - answered < window:
            client.send_message(
                source_addr_ton=5, source_addr_npi=0, source_addr="Relais", dest_addr_ton=1, dest_addr_npi=1,
                destination_addr="33612345678", short_message=b"Bonjour, votre commande est pr\x05te.", registered_delivery=1,
            )  # fmt: skip
            written += 1
        client.read_once()
    passed, used = time.perf_counter() - start, time.process_time() - cpu
    return {"messages_s": round(messages / passed, 1), "cpu_us": round(used / messages * 1e6, 1)}


async def with_aiosmpplib(port: int, messages: int, window: int) -> dict[str, float]:
    """Its own broker interface, with a window (it has none of its own), no logs, and no limit on the rate."""
    from aiosmpplib import ESME, NPI, TON, PhoneNumber, SubmitSm
    from aiosmpplib.broker import AbstractBroker
    from aiosmpplib.hook import AbstractHook
    from aiosmpplib.protocol import SubmitSmResp
    from aiosmpplib.ratelimiter import AbstractRateLimiter

    free, done, answered = asyncio.Semaphore(window), asyncio.Event(), 0
    source, destination = (
        PhoneNumber("Relais", TON.ALPHANUMERIC),
        PhoneNumber("33612345678", TON.INTERNATIONAL, NPI.ISDN),
    )

    class Broker(AbstractBroker):
        async def enqueue(self, message: Any) -> None: ...

        async def dequeue(self) -> Any:
            await free.acquire()
            return SubmitSm(
                short_message="Bonjour, votre commande est prete.", source=source, destination=destination,
                log_id="bench", registered_delivery=1,
            )  # fmt: skip

    class Hook(AbstractHook):
        async def sending(self, smpp_message: Any, pdu: bytes, client_id: str) -> None: ...

        async def received(self, smpp_message: Any, pdu: bytes, client_id: str) -> None:
            nonlocal answered
            if isinstance(smpp_message, SubmitSmResp):
                answered += 1
                free.release()
                if answered >= messages:
                    done.set()

        async def send_error(self, smpp_message: Any, error: Exception, client_id: str) -> None: ...

    class NoLimit(AbstractRateLimiter):
        async def limit(self) -> None: ...

    esme = ESME(
        "127.0.0.1",
        port,
        "relais",
        "secret",
        broker=Broker(),
        hook=Hook(),
        rate_limiter=NoLimit(),
        log_level="CRITICAL",
    )
    start, cpu = time.perf_counter(), time.process_time()
    running = asyncio.create_task(esme.start())
    async with asyncio.timeout(120):
        await done.wait()
    passed, used = time.perf_counter() - start, time.process_time() - cpu
    running.cancel()
    await asyncio.wait([running], timeout=5)
    return {"messages_s": round(messages / passed, 1), "cpu_us": round(used / messages * 1e6, 1)}


async def with_smpp34(port: int, messages: int, window: int) -> dict[str, float]:
    """A Rust core, so its CPU is on both cores; half as many callers as its window, beyond which it refuses some,
    and one that pulls the receipts."""
    import smpp34

    client = smpp34.Client(
        host="127.0.0.1", port=port, system_id="relais", password="secret", bind_type="TRX", window_size=window
    )
    smsc = await client.connect()
    left = messages

    async def submitting() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await smsc.submit_sm(
                "33612345678", b"Bonjour, votre commande est pr\x05te.", source_addr="Relais", source_addr_ton=5,
                dest_addr_ton=1, dest_addr_npi=1, registered_delivery=1,
            )  # fmt: skip

    async def pulling() -> None:
        while True:
            await smsc.next()

    start, cpu = time.perf_counter(), time.process_time()
    receipts = asyncio.create_task(pulling())
    await asyncio.gather(*(submitting() for _ in range(window // 2)))
    passed, used = time.perf_counter() - start, time.process_time() - cpu
    receipts.cancel()
    await client.stop()
    return {"messages_s": round(messages / passed, 1), "cpu_us": round(used / messages * 1e6, 1)}


def measured(
    run: Callable[[int], dict[str, float]], *, latency_s: float = 0, rate: float = 0, receipts: bool = True
) -> dict[str, float]:
    """With an SMSC of its own, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ports = context.Queue()
    smsc = context.Process(target=serve, args=(ports, latency_s, rate, receipts))
    smsc.start()
    try:
        return run(ports.get(timeout=30))
    finally:
        smsc.kill()
        smsc.join()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--messages", type=int, default=100_000)
    options.add_argument("--seconds", type=float, default=20, help="most for each scene")
    asked = options.parse_args()
    sys.path.append(str(prepare_python_peers()))

    def ours(**how: Any) -> Callable[[int], dict[str, float]]:
        return lambda port: uvloop.run(engine(port, **{"messages": asked.messages, "seconds": asked.seconds, **how}))

    scenes = {
        "engine alone, no latency, receipts": measured(ours(window=200, tps=100_000)),
        "smpplib, no latency, receipts": measured(lambda port: with_smpplib(port, asked.messages // 20, 200)),
        "aiosmpplib, no latency, receipts": measured(
            lambda port: uvloop.run(with_aiosmpplib(port, asked.messages // 20, 200))
        ),
        "smpp34, no latency, receipts": measured(lambda port: uvloop.run(with_smpp34(port, asked.messages // 4, 200))),
        "engine, window 50, 40 ms": measured(ours(window=50, tps=100_000), latency_s=0.04, receipts=False),
        "engine, throttled to 100/s, after 10 s": measured(
            ours(window=50, tps=1000, settle_s=10), rate=100, receipts=False
        ),
    }
    row = scenes["engine, window 50, 40 ms"]
    row["share_of_window_by_latency"] = round(row["messages_s"] / 1250, 4)
    row["share_by_measured_latency"] = round(row["messages_s"] * row["latency_ms"] / 50_000, 4)
    print(f"{'':<40}{'messages/s':>12}{'CPU us':>10}{'refused':>10}")
    for name, row in scenes.items():
        print(f"{name:<40}{row['messages_s']:>12,.0f}{row['cpu_us']:>10.1f}{row.get('refused_share', 0):>10.2%}")
    row = scenes["engine, window 50, 40 ms"]
    print(
        f"window/latency: {row['share_of_window_by_latency']:.1%} of 50 in 40 ms, "
        f"{row['share_by_measured_latency']:.1%} with the latency as it was, {row['latency_ms']} ms"
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    out = Path(".run/bench-smpp.json")
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps({"scenes": scenes, "peak_mb": peak}, indent=1))


if __name__ == "__main__":
    main()
