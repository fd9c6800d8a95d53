"""The simulated SMSC: what stands behind all its links."""

import asyncio
import logging
import random
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from hmac import compare_digest
from pathlib import Path
from typing import Generic, Literal, NamedTuple, Self, TypeVar

from console.smsc import pdu
from console.smsc.acts import Acts
from console.smsc.choose_outcome import Choices
from console.smsc.config import Account, Behaviour, SmscConfig
from console.smsc.control import start_control
from console.smsc.counters import Counters
from console.smsc.history import History, Remembered, Repeats
from console.smsc.hostile_pdu import other_sequence, refusal_with_body
from console.smsc.inbound_message import Alphabet, inbound_parts
from console.smsc.link import Delivery, Limits, Link
from console.smsc.message_ids import first_number, id_formatter
from console.smsc.read_script import applied, load
from console.smsc.receipt_text import (
    first_characters,
    receipt_parameters,
    receipt_text,
    receipt_text_as,
    wants_receipt,
)
from console.smsc.sampling import draw
from console.smsc.schedule import Schedule
from console.smsc.script import Script
from console.smsc.stage import Stage
from console.smsc.throttle import TokenBucket
from console.smsc.tls import server_context
from console.smsc.twist import Twist
from console.smsc.vocabulary import read_act

log = logging.getLogger(__name__)

T = TypeVar("T")
HowToDrop = Literal["abort", "close", "unbind"]

_TICK_S = 0.25
_HOUR_S = 3600.0
_SMSC_ID = b"relais-smsc"


class Report(NamedTuple):
    """A receipt that falls due later."""

    submit: pdu.Submit
    receipt_id: bytes
    submitted: float
    """By the receipts' clock, as all dates in receipts."""
    stat: str
    err: str
    link: Link
    """Which the submit came on; it may be gone by now."""
    twist: Twist | None


class _Alarm(Generic[T]):
    """Calls `act` with what falls due in a schedule, by one timer at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, act: Callable[[list[T]], None]) -> None:
        self._loop = loop
        self._act = act
        self._schedule = Schedule[T]()
        self._timer: asyncio.TimerHandle | None = None
        self._armed = float("inf")

    def __len__(self) -> int:
        return len(self._schedule)

    def add(self, due: float, item: T) -> None:
        self._schedule.add(due, item)
        next_due = self._schedule.next_due()
        if next_due is not None and next_due < self._armed:
            self._arm()

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _arm(self) -> None:
        self.stop()
        due = self._schedule.next_due()
        self._armed = float("inf") if due is None else due
        self._timer = None if due is None else self._loop.call_at(due, self._ring)

    def _ring(self) -> None:
        try:
            if due := self._schedule.take_due(self._loop.time()):
                self._act(due)
        finally:
            self._arm()


class Smsc:
    """An SMPP 3.4 server that answers, delays, refuses and reports as its configuration says.

    `async with Smsc(config) as smsc:` listens until the block ends. Everything runs in the event loop that
    enters it; nothing is safe to call from another thread. `clock` gives Unix seconds for dates and the history.
    `script` is a Script, a file that holds one, or the name of one of the library; what it gives goes over `config`.
    """

    def __init__(
        self,
        config: SmscConfig,
        clock: Callable[[], float] = time.time,
        script: Script | Path | str | None = None,
    ) -> None:
        if script is not None and not isinstance(script, Script):
            script = load(script)
        if script is not None:
            config = applied(config, script)
        self.config = config
        self.counters = Counters()
        self.history = History(config.history)
        self.outbox: deque[Delivery] = deque()
        """Of the first account."""
        self._outboxes = {config.system_id: self.outbox} | {one.system_id: deque() for one in config.accounts}
        self._accounts = {
            one.system_id.encode(): one
            for one in (
                Account(system_id=config.system_id, password=config.password, max_binds=config.max_binds),
                *config.accounts,
            )
        }
        self.deaf = False
        self.control_port: int | None = None
        self._clock = clock
        self._repeats = Repeats(config.history)
        self._links: dict[int, Link] = {}
        self._connections = 0
        self._turn = 0
        self._paused = False
        self._held: list[tuple[Link, bytes]] = []
        ids = config.ids
        self._next_number = first_number(config.seed, clock()) if ids.first is None else ids.first
        self._response_id = id_formatter(ids.response, ids.response_width)
        self._receipt_id = None if ids.receipt is None else id_formatter(ids.receipt, ids.receipt_width)
        # One stream of chance for each question, so that changing one share moves no other draw.
        self._chance_of_refusal, self._chance_of_outcome, self._chance_of_latency, self._chance_of_repeat = (
            random.Random(None if config.seed is None else f"{config.seed}:{purpose}").random
            for purpose in ("refusal", "outcome", "latency", "repeat")
        )
        self._reference = 0
        hour_takes = script.hour_takes if script else _HOUR_S
        self._pace = hour_takes / _HOUR_S
        self._epoch = clock()
        self._stage = None if script is None else Stage(self, script, config.seed, config.history)

    # Life.

    async def __aenter__(self) -> Self:
        config = self.config
        self._loop = asyncio.get_running_loop()
        self._limits = Limits(
            _SMSC_ID,
            config.deliver_window,
            config.deliver_timeout_s,
            config.session_init_s,
            config.enquire_link_s,
        )
        self._responses = _Alarm[tuple[Link, bytes]](self._loop, self._write_responses)
        self._reports = _Alarm[Report](self._loop, self._issue_receipts)
        self._retries = _Alarm[tuple[Link, Delivery]](self._loop, self._retry)
        self.set_behaviour(config.behaviour)
        self.port = config.port
        self._server: asyncio.Server | None = None
        self._tls = None if config.tls is None else server_context(config.tls)
        await self.start_listening()
        if self._stage:
            self._stage.start(self._loop)
        self._ticker = self._loop.call_later(_TICK_S, self._tick)
        self._control = None
        if config.control_port is not None:
            self._control, self.control_port = await start_control(self, config.control_port)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._stage:
            self._stage.stop()
        await self.stop_listening()
        self._ticker.cancel()
        for alarm in (self._responses, self._reports, self._retries):
            alarm.stop()
        for link in list(self._links.values()):
            link.abort()
        if self._control:
            await self._control.cleanup()
        log.info("SMSC stopped")

    async def start_listening(self) -> None:
        """Accept connections (again, on the same port)."""
        if self._server is None:
            self._server = await self._loop.create_server(
                self._new_link, self.config.host, self.port, backlog=64, ssl=self._tls
            )
            self.port = self._server.sockets[0].getsockname()[1]

    async def stop_listening(self) -> None:
        """Refuse new connections; those that stand stay."""
        if self._server is not None:
            self._server.close()
            self._server = None
            await asyncio.sleep(0)

    # What a test or an operator may do to it.

    @property
    def behaviour(self) -> Behaviour:
        return self._behaviour

    def set_behaviour(self, behaviour: Behaviour) -> None:
        """From now on act so. Messages taken before keep the fate that was drawn for them."""
        self._behaviour = behaviour
        self._choices = Choices(behaviour)
        self._latency = behaviour.latency.quantiles()
        self._answers_at_once = self._latency[-1] == 0 and len(self._latency) == 1
        self._bucket = TokenBucket(behaviour.throttle.rate, behaviour.throttle.burst, self._loop.time())

    def pause_responses(self, deaf: bool = False) -> None:
        """Keep submit_sm_resp back; with `deaf` leave enquire_link and unbind unanswered too."""
        self._paused = True
        self.deaf = deaf

    def resume_responses(self) -> None:
        """Write what was kept back, as far as its link still stands."""
        self._paused = self.deaf = False
        held, self._held = self._held, []
        self._write_responses(held)

    def drop_links(self, how: HowToDrop = "abort", session: int | None = None) -> int:
        """End all links, or the one of this number; how many ended."""
        chosen = [link for link in self._links.values() if session is None or link.number == session]
        for link in chosen:
            getattr(link, how)()
        return len(chosen)

    def inject(
        self,
        source: str,
        destination: str,
        text: str,
        alphabet: Alphabet = "auto",
        split: bool = True,
        reference_bits: Literal[8, 16] = 8,
        reversed_parts: bool = False,
        account: str = "",
        parts: Sequence[int] = (),
        reference: int | None = None,
    ) -> int:
        """Send a mobile-originated message to the ESME, from handset `source` to its sender `destination`.

        It waits while no receiver of the account (the first one unless told) is bound. `parts`: only these, from 1,
        in this order, as if the others got lost; the rest can follow under the same `reference`. Returns the number
        of its parts; raises ValueError if it cannot be encoded.
        """
        handset, sender = pdu.address_field(source), pdu.address_field(destination)
        return self.handset_says(
            handset, sender, text, alphabet, split, reference_bits, reversed_parts, account, parts, reference
        )

    def handset_says(
        self,
        handset: bytes,
        sender: bytes,
        text: str,
        alphabet: Alphabet = "auto",
        split: bool = True,
        reference_bits: Literal[8, 16] = 8,
        reversed_parts: bool = False,
        account: str = "",
        parts: Sequence[int] = (),
        reference: int | None = None,
    ) -> int:
        """The same for whole address fields (see `pdu.Submit`). Raises ValueError for an account that there is not."""
        outbox = self._outboxes.get(account or self.config.system_id)
        if outbox is None:
            raise ValueError("there is no such account")
        if reference is None:
            self._reference = reference = (self._reference + 1) & 0xFFFF
        made = inbound_parts(text, alphabet, split, reference, reference_bits)
        deliveries = [
            Delivery(False, pdu.deliver_sm_body(handset, sender, esm_class, data_coding, octets, parameters))
            for esm_class, data_coding, octets, parameters in ([made[n - 1] for n in parts] if parts else made)
        ]
        outbox.extend(deliveries[::-1] if reversed_parts else deliveries)
        self.distribute()
        return len(made)

    def perform(self, sentence: str) -> None:
        """Do now what a script's `do:` may say; a submit, receipt or bind is then the next one. Raises ScriptError."""
        act = read_act(sentence)
        if self._stage is None:
            self._stage = Stage(self, Script(name="by hand"), self.config.seed, self.config.history)
            self._stage.start(self._loop)
        self._stage.perform(act)

    @property
    def script(self) -> Script | None:
        return self._stage.script if self._stage else None

    @property
    def acts(self) -> Acts:
        """What the script has done so far."""
        return self._stage.acts if self._stage else Acts(0)

    def sessions(self) -> list[dict[str, object]]:
        """The links that stand: number, kind of bind, submits without a response."""
        modes = {0: None, pdu.BIND_RECEIVER: "rx", pdu.BIND_TRANSMITTER: "tx", pdu.BIND_TRANSCEIVER: "trx"}
        return [
            {"session": link.number, "mode": modes[link.mode], "unanswered": link.unanswered}
            for link in self._links.values()
        ]

    def waiting(self) -> dict[str, int]:
        """What is still to come: receipts not yet due, deliver_sm without a bind or window, responses put off."""
        return {
            "receipts_scheduled": len(self._reports),
            "outbox": sum(map(len, self._outboxes.values()))
            + len(self._retries)
            + (self._stage.waiting() if self._stage else 0),
            "responses_held": len(self._responses) + len(self._held),
        }

    # What links call (see link.Exchange).

    def opened(self, link: Link) -> None:
        self.counters.connections += 1
        self._links[link.number] = link

    def bind(self, link: Link, command: int, credentials: pdu.Bind) -> int:
        if self._behaviour.refuse_binds:
            return self._behaviour.refuse_binds
        if self._stage and (status := self._stage.bind(link)):
            return status
        account = self._accounts.get(credentials.system_id)
        if account is None:
            return pdu.ESME_RINVSYSID
        if not compare_digest(credentials.password, account.password.get_secret_value().encode()):
            return pdu.ESME_RINVPASWD
        name = account.system_id
        if sum(1 for other in self._links.values() if other.mode and other.account == name) >= account.max_binds:
            return pdu.ESME_RBINDFAIL
        link.account, link.outbox = name, self._outboxes[name]
        return pdu.ESME_ROK

    def bound(self, link: Link) -> None:
        log.info("session bound", extra={"session": link.number})

    def submit(self, link: Link, data: bytes, start: int, end: int, sequence: int) -> bytes:
        counters = self.counters
        counters.submits += 1
        try:
            submit = pdu.parse_submit(data, start, end)
        except pdu.MalformedPduError as malformed:
            counters.malformed += 1
            counters.refused += 1
            return self._respond(link, pdu.empty_pdu(pdu.SUBMIT_SM_RESP, malformed.status, sequence))
        now = self._loop.time()
        destination = submit.destination[2:-1]
        stage = self._stage
        twist = None if stage is None else stage.judge(link)
        status = self._refusal(link, destination, now) if twist is None or not twist.status else twist.status
        if status:
            return self._refuse(link, sequence, submit, status, twist)

        counters.accepted += 1
        if self._repeats.seen(submit):
            counters.duplicates += 1
        own = number = self._next_number
        self._next_number = number + 1
        if stage is not None:
            number = stage.number(own, twist is not None and twist.reuse_id)
        message_id = self._response_id(number)
        stat, err, delay = self._choices.fate(destination, self._chance_of_outcome(), self._chance_of_outcome())
        at = self._clock()
        acts = () if twist is None else twist.sentences()
        self.history.add(Remembered(at, link.number, sequence, submit, 0, message_id, stat, err, link.account, acts))
        if stage is not None and twist is not None:
            stage.decided(twist, link, sequence, message_id, number != own)
        if stat != "NONE" and wants_receipt(submit.registered_delivery, stat):
            receipt_id = message_id if self._receipt_id is None else self._receipt_id(number)
            if self._pace != 1:
                at = self.receipts_time()
            report = Report(submit, receipt_id, at, stat, err, link, twist)
            if twist is None:
                self._reports.add(now + delay * self._pace, report)
            else:
                self._report_twisted(report, now + delay * self._pace, twist)
        if self._behaviour.unanswered_share and self._chance_of_latency() < self._behaviour.unanswered_share:
            counters.left_unanswered += 1
            return b""
        if twist is None:
            return self._respond(link, pdu.submit_sm_resp(sequence, message_id))
        return self._respond_twisted(link, _accepting(sequence, message_id, twist), twist)

    def try_later(self, link: Link, delivery: Delivery) -> None:
        self._retries.add(self._loop.time() + self.config.deliver_retry_s, (link, delivery))

    @property
    def ignores_enquiries(self) -> bool:
        return self._stage is not None and self._stage.ignores_enquiries

    def closed(self, link: Link) -> None:
        self._links.pop(link.number, None)
        log.info("session closed", extra={"session": link.number})
        self.distribute()

    # What the stage calls.

    def links(self) -> list[Link]:
        return list(self._links.values())

    def unix_time(self) -> float:
        return self._clock()

    def receipts_time(self) -> float:
        """Unix seconds by the clock of receipts, which a script may let run faster."""
        now = self._clock()
        return now if self._pace == 1 else self._epoch + (now - self._epoch) / self._pace

    def receipt(self, report: Report, done: float) -> Delivery:
        """The receipt for a message that was done at this time of the receipts' clock."""
        wanted = self.config.receipts
        submit, receipt_id, submitted, stat, err, _, _ = report
        text = b""
        if wanted.text:
            beginning = first_characters(submit.octets, submit.esm_class, submit.data_coding, wanted.message_characters)
            zone_s = wanted.zone_offset_minutes * 60
            if wanted.layout == "appendix_b":
                text = receipt_text(receipt_id, submitted, done, zone_s, stat, err, beginning)
            else:
                text = receipt_text_as(wanted.layout, receipt_id, submitted, done, zone_s, stat, err, beginning)
        parameters = receipt_parameters(receipt_id, stat, err) if wanted.parameters else b""
        body = pdu.deliver_sm_body(submit.destination, submit.source, pdu.ESM_RECEIPT, 0, text, parameters)
        return Delivery(True, body)

    def report_later(self, report: Report, late: float) -> None:
        """Let it fall due (again) after `late` seconds of the receipts' clock."""
        self._reports.add(self._loop.time() + late * self._pace, report)

    def latest_conversations(self, most: int) -> list[tuple[bytes, bytes, str]]:
        """Handset, sender (address fields) and account of the latest messages taken, each handset once."""
        latest: dict[bytes, tuple[bytes, bytes, str]] = {}
        for row in reversed(self.history.rows()):
            if len(latest) == most:
                break
            if not row.status:
                handset = row.submit.destination
                latest.setdefault(handset, (handset, row.submit.source, row.account))
        return list(latest.values())

    # Its own steps.

    def _refuse(self, link: Link, sequence: int, submit: pdu.Submit, status: int, twist: Twist | None) -> bytes:
        acts = () if twist is None else twist.sentences()
        self.history.add(
            Remembered(self._clock(), link.number, sequence, submit, status, b"", "", "", link.account, acts)
        )
        if twist is None or self._stage is None:
            return self._respond(link, pdu.empty_pdu(pdu.SUBMIT_SM_RESP, status, sequence))
        if twist.status == pdu.ESME_RTHROTTLED:
            self.counters.throttled += 1
        elif twist.status:
            self.counters.refused += 1
        self._stage.decided(twist, link, sequence, b"", False)
        return self._respond_twisted(link, _refusing(sequence, status, twist), twist)

    def _report_twisted(self, report: Report, due: float, twist: Twist) -> None:
        if twist.enroute:
            self._issue_receipts([report._replace(stat="ENROUTE", err="000", twist=None)])
        if twist.first:
            self._issue_receipts([report])
        else:
            self._reports.add(due, report)

    def _respond_twisted(self, link: Link, answer: bytes, twist: Twist) -> bytes:
        if twist.lose_response:
            self.counters.left_unanswered += 1
            return b""
        return self._respond(link, answer * 2 if twist.twice else answer, twist.response_late)

    def _new_link(self) -> Link:
        self._connections += 1
        return Link(self, self._connections, self._limits, self._loop)

    def _refusal(self, link: Link, destination: bytes, now: float) -> int:
        window = self._behaviour.submit_window
        if (window and link.unanswered >= window) or not self._bucket.take(now):
            self.counters.throttled += 1
            return pdu.ESME_RTHROTTLED
        if not self._choices.may_refuse:
            return pdu.ESME_ROK
        status = self._choices.refusal(destination, self._chance_of_refusal())
        if status == pdu.ESME_RTHROTTLED:
            self.counters.throttled += 1
        elif status:
            self.counters.refused += 1
        return status

    def _respond(self, link: Link, answer: bytes, late: float = 0.0) -> bytes:
        if self._answers_at_once and not self._paused and not late:
            self.counters.responses += 1
            return answer
        link.unanswered += 1
        self.counters.peak_unanswered = max(self.counters.peak_unanswered, link.unanswered)
        if self._paused:
            self._held.append((link, answer))
        else:
            latency = draw(self._latency, self._chance_of_latency()) + late
            self._responses.add(self._loop.time() + latency, (link, answer))
        return b""

    def _write_responses(self, due: list[tuple[Link, bytes]]) -> None:
        if self._paused:
            self._held += due
            return
        answers: defaultdict[Link, list[bytes]] = defaultdict(list)
        for link, answer in due:
            answers[link].append(answer)
        for link, batch in answers.items():
            link.unanswered -= len(batch)
            if link.number in self._links:
                self.counters.responses += len(batch)
                link.write(b"".join(batch))

    def _issue_receipts(self, due: list[Report]) -> None:
        self.counters.receipts_due += len(due)
        repeat_share = self._behaviour.receipt_repeat_share
        stage = self._stage
        done = self.receipts_time()
        for report in due:
            if stage is None:
                delivery = self.receipt(report, done)
                report.link.outbox.append(delivery)
                if repeat_share and self._chance_of_repeat() < repeat_share:
                    report.link.outbox.append(delivery)
            else:
                repeats = bool(repeat_share) and self._chance_of_repeat() < repeat_share
                stage.receipt_due(report, done, repeats)
        self.distribute()

    def _retry(self, due: list[tuple[Link, Delivery]]) -> None:
        for link, delivery in due:
            link.outbox.append(delivery)
        self.distribute()

    def distribute(self) -> None:
        """Share each outbox out among its account's binds that have room, each time beginning with another one."""
        for outbox in self._outboxes.values():
            if not outbox:
                continue
            links = [link for link in self._links.values() if link.outbox is outbox and link.has_room]
            if not links:
                continue
            self._turn = (self._turn + 1) % len(links)
            share = -(-len(outbox) // len(links))
            for link in links[self._turn :] + links[: self._turn]:
                link.deliver(share)

    def _tick(self) -> None:
        now = self._loop.time()
        for link in list(self._links.values()):
            link.tick(now)
        if self._stage:
            self._stage.tick()
        self._ticker = self._loop.call_later(_TICK_S, self._tick)


def _accepting(sequence: int, message_id: bytes, twist: Twist) -> bytes:
    if twist.without_id:
        return pdu.empty_pdu(pdu.SUBMIT_SM_RESP, pdu.ESME_ROK, sequence)
    return pdu.submit_sm_resp(other_sequence(sequence) if twist.other_sequence else sequence, message_id)


def _refusing(sequence: int, status: int, twist: Twist) -> bytes:
    if twist.nack:
        return pdu.empty_pdu(pdu.GENERIC_NACK, status, sequence)
    if twist.with_body:
        return refusal_with_body(status, sequence)
    return pdu.empty_pdu(pdu.SUBMIT_SM_RESP, status, sequence)
