"""Performs a script: counts what happens, keeps its clock, and acts on submits, receipts, binds and links."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from console.smsc import pdu
from console.smsc.acts import Acts, Performed
from console.smsc.hostile_pdu import hostile_octets
from console.smsc.link import Cut, Delivery, Link
from console.smsc.script import Act, ByChance, Counted, Event, FromTheStart, Rule, Script, Timed, Verb
from console.smsc.throttle import TokenBucket
from console.smsc.twist import ANSWERS, AT_SUBMIT_ONLY, REPORTS, Twist

if TYPE_CHECKING:
    from console.smsc.smsc import Report, Smsc

_NEEDS_ACCEPTANCE = frozenset((Verb.ANSWER_WITHOUT_ID, Verb.ANSWER_OTHER_SEQUENCE, Verb.REUSE_ID))
_REUSABLE_IDS = 100
_REVERSE_AFTER_S = 1.0
_STORM_STEP_S = 0.005
_STORM_SENDER = "36180"


class _Watch:
    """One rule, how often its event was seen and how often it fired."""

    def __init__(self, rule: Rule, chance: Random) -> None:
        self.rule = rule
        self._chance = chance.random
        self._seen = 0
        self._fired = 0

    @property
    def spent(self) -> bool:
        return self.rule.at_most is not None and self._fired >= self.rule.at_most

    def fires(self) -> bool:
        """Whether it acts now that its event or moment has come once more."""
        self._seen += 1
        match self.rule.trigger:
            case Counted(_, count, repeats):
                fires = self._seen % count == 0 if repeats else self._seen == count
            case ByChance(_, share):
                fires = self._chance() < share
            case _:
                fires = True
        if not fires or self.spent:
            return False
        self._fired += 1
        return True


class _Lasting(NamedTuple):
    act: Act
    until: float
    bucket: TokenBucket | None


class _Elsewhere(NamedTuple):
    report: "Report"
    act: Act
    delivery: Delivery


class Stage:
    """`seed` None draws anew at every start; each rule draws from a stream of its own."""

    def __init__(self, smsc: "Smsc", script: Script, seed: int | None, bound: int | None) -> None:
        self.script = script
        self.acts = Acts(bound)
        self._smsc = smsc
        self._chance = Random(None if seed is None else f"{seed}:stage")
        watches = [
            _Watch(rule, Random(None if seed is None else f"{seed}:rule {i}")) for i, rule in enumerate(script.rules)
        ]
        self._watches: dict[Event, list[_Watch]] = {
            event: [
                watch
                for watch in watches
                if isinstance(watch.rule.trigger, Counted | ByChance) and watch.rule.trigger.event == event
            ]
            for event in ("submit", "receipt", "bind")
        }
        self._timed = [watch for watch in watches if isinstance(watch.rule.trigger, Timed)]
        self._next: dict[Event, list[Act]] = {"submit": [], "receipt": [], "bind": []}
        self._lasting: list[_Lasting] = []
        self._binds_refused: list[_Lasting] = []
        self._enquiries_ignored_until = float("-inf")
        self._holding = self._not_listening = 0
        self._reversing: _Lasting | None = None
        self._reversed: list[tuple[Report, Delivery]] = []
        self._elsewhere: list[_Elsewhere] = []
        self._numbers: list[int] = []
        self._began = False
        self._timers: set[asyncio.TimerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    # Life.

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Put in force what is so from the start."""
        self._loop = loop
        for rule in self.script.rules:
            if isinstance(rule.trigger, FromTheStart):
                self.perform(rule.act)

    def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()
        for task in self._tasks:
            task.cancel()

    def tick(self) -> None:
        """Try again what found no link before."""
        waiting, self._elsewhere = self._elsewhere, []
        for one in waiting:
            self._send_elsewhere(one)

    def waiting(self) -> int:
        """Receipts that are due and that the script still keeps back."""
        return len(self._elsewhere) + len(self._reversed)

    # What happens at the SMSC.

    def bind(self, link: Link) -> int:
        """The command_status to refuse this bind with, or 0."""
        if not self._began:
            self._began = True
            began = self._loop.time()
            for watch in self._timed:
                self._ring_at(watch, began, 1)
        status = 0
        for act in self._fired("bind"):
            if act.verb is not Verb.REFUSE_BIND:
                # After the answer to the bind, and after all else that came with it.
                self._loop.call_soon(self.perform, act, link)
            elif act.lasts is None:
                status = act.status
                self.note(act, link)
            else:
                self.perform(act)
        now = self._loop.time()
        self._binds_refused = [one for one in self._binds_refused if one.until > now]
        for one in self._binds_refused:
            status = one.act.status
            self.note(one.act, link)
        return status

    def judge(self, link: Link) -> Twist | None:
        """What this submit has to bear."""
        twist = None
        for act in self._fired("submit"):
            if (act.lasts is None and act.verb in ANSWERS | REPORTS) or act.verb is Verb.CUT_IN_RESPONSE:
                twist = twist or Twist()
                twist.add(act)
            else:
                self.perform(act, link)
        if self._lasting:
            now = self._loop.time()
            ended = False
            for act, until, bucket in self._lasting:
                if until <= now:
                    ended = True
                elif bucket is None or not bucket.take(now):
                    twist = twist or Twist()
                    twist.add(act)
            if ended:
                self._lasting = [one for one in self._lasting if one.until > now]
        return twist

    def decided(self, twist: Twist, link: Link, sequence: int, message_id: bytes, reused: bool) -> None:
        """The submit was taken (it has an id) or refused; write down what its response has to bear."""
        for act in twist.acts:
            if act.verb is Verb.CUT_IN_RESPONSE:
                self._cut([link], act, lambda command, number: (command, number) == (pdu.SUBMIT_SM_RESP, sequence))
            elif (message_id or act.verb not in _NEEDS_ACCEPTANCE) and (reused or act.verb is not Verb.REUSE_ID):
                self.note(act, link, sequence, message_id)

    def number(self, own: int, reuse: bool) -> int:
        """The number from which this message gets its id: its own, or one given not long ago."""
        given = self._chance.choice(self._numbers[-_REUSABLE_IDS:]) if reuse and self._numbers else own
        self._numbers.append(own)
        if len(self._numbers) > 2 * _REUSABLE_IDS:
            del self._numbers[:_REUSABLE_IDS]
        return given

    def receipt_due(self, report: "Report", done: float, repeats: bool) -> None:
        """Send this receipt as the script wants it; `done` dates it, and it `repeats` if the behaviour drew that."""
        twist = report.twist or Twist()
        for act in self._fired("receipt"):
            if act.verb in REPORTS and act.lasts is None:
                twist.add(act)
            else:
                self.perform(act, account=report.link.account)
        if not twist.receipt_acts:
            for _ in range(1 + repeats):
                self._send(report, self._smsc.receipt(report, done))
            return
        elsewhere = None
        for act in twist.receipt_acts:
            if act.verb is Verb.RECEIPT_ELSEWHERE:
                elsewhere = act
            elif act.verb is not Verb.RECEIPT_LATE or twist.receipt_late:
                self.note(act, None, None, report.receipt_id)
        if twist.lose_receipt:
            return
        if twist.receipt_late:
            self._smsc.counters.receipts_due -= 1  # it will fall due once more
            late, twist.receipt_late = twist.receipt_late, 0.0
            twist.receipt_acts = [act for act in twist.receipt_acts if act.verb is Verb.RECEIPT_ELSEWHERE]
            self._smsc.report_later(report._replace(twist=twist), late)
            return
        delivery = self._smsc.receipt(report, done)
        for _ in range(1 + (repeats or twist.receipt_twice)):
            if elsewhere:
                self._send_elsewhere(_Elsewhere(report, elsewhere, delivery))
            else:
                self._send(report, delivery)

    @property
    def ignores_enquiries(self) -> bool:
        return self._loop.time() < self._enquiries_ignored_until

    # Acting.

    def perform(self, act: Act, link: Link | None = None, account: str | None = None) -> None:
        """Do it: to this link, to the links of this account of which one will meet it, or where it belongs."""
        verb = act.verb
        if verb in ANSWERS or verb in REPORTS:
            self._touch_messages(act)
        elif verb in _HOUSE:
            _HOUSE[verb](self, act)
        else:
            self._touch_links(act, link, account)

    def note(self, act: Act, link: Link | None = None, sequence: int | None = None, message_id: bytes = b"") -> None:
        """Write down that it happened."""
        self._smsc.counters.acts += 1
        session = None if link is None else link.number
        shown = message_id.decode("ascii") or None
        self.acts.add(Performed(self._smsc.unix_time(), act.sentence, session, sequence, shown))

    def _touch_messages(self, act: Act) -> None:
        if act.lasts is None:
            event: Event = "receipt" if act.verb in REPORTS and act.verb not in AT_SUBMIT_ONLY else "submit"
            self._next[event].append(act)
            return
        now = self._loop.time()
        # A tenth of a second's worth at once: the grain of most carriers' own counters.
        bucket = TokenBucket(act.rate, max(1.0, act.rate / 10), now) if act.verb is Verb.THROTTLE_ABOVE else None
        self._lasting.append(_Lasting(act, now + act.lasts, bucket))

    def _touch_links(self, act: Act, link: Link | None, account: str | None) -> None:
        bound = [one for one in self._smsc.links() if one.mode and (account is None or one.account == account)]
        in_pdu = _MEETS.get(act.verb)
        if act.verb is Verb.CUT_IN_RECEIPT and link is not None and not link.receives:
            account, link = link.account, None
            bound = [one for one in bound if one.account == account]
        if account is not None:
            bound = [one for one in bound if one.receives]
        if act.who == "every" or (link is None and account is None and act.who == "the"):
            chosen = bound
        elif act.who == "the" and link is not None:
            chosen = [link]
        elif in_pdu is not None and account is not None:
            self._cut(bound, act, in_pdu)  # whichever of them meets it
            return
        else:
            chosen = [self._chance.choice(bound)] if bound else []
        for one in chosen:
            if in_pdu is None:
                self._touch_link(act, one)
            else:
                self._cut([one], act, in_pdu)

    def _touch_link(self, act: Act, link: Link) -> None:
        self.note(act, link)
        match act.verb:
            case Verb.CUT:
                link.abort()
            case Verb.CLOSE:
                link.close()
            case Verb.UNBIND:
                link.unbind()
            case Verb.HALF_OPEN:
                link.leave_half_open()
            case Verb.STOP_READING:
                link.stop_reading()
                self._after(act, link.read_again)
            case _:
                link.write_raw(hostile_octets(act, link.next_sequence(), self._chance, self._smsc.unix_time()))

    def _cut(self, links: Iterable[Link], act: Act, meets: Callable[[int, int], bool]) -> None:
        cut = Cut(meets, self._chance.random(), lambda link: self.note(act, link))
        for link in links:
            link.cut_in(cut)

    # Acts on the whole SMSC.

    def _refuse_bind(self, act: Act) -> None:
        if act.lasts is None:
            self._next["bind"].append(act)
        else:
            self._binds_refused.append(_Lasting(act, self._loop.time() + act.lasts, None))

    def _refuse_connections(self, act: Act) -> None:
        self.note(act)
        self._not_listening += 1
        self._in_background(self._smsc.stop_listening())
        self._after(act, self._listen_again)

    def _listen_again(self) -> None:
        self._not_listening -= 1
        if not self._not_listening:
            self._in_background(self._smsc.start_listening())

    def _ignore_enquiries(self, act: Act) -> None:
        self.note(act)
        self._enquiries_ignored_until = max(self._enquiries_ignored_until, self._loop.time() + (act.lasts or 0))

    def _hold_responses(self, act: Act) -> None:
        self.note(act)
        self._holding += 1
        self._smsc.pause_responses(self._smsc.deaf)
        self._after(act, self._release_responses)

    def _release_responses(self) -> None:
        self._holding -= 1
        if not self._holding:
            self._smsc.resume_responses()

    def _reverse_receipts(self, act: Act) -> None:
        self._reversing = _Lasting(act, self._loop.time() + (act.lasts or 0), None)

    def _let_handsets_send(self, act: Act) -> None:
        self.note(act)
        self._later(0, self._raise_voices, act)  # so that the submit which set it off has reached its handset

    def _raise_voices(self, act: Act) -> None:
        voices = self._smsc.latest_conversations(act.count)
        known = {handset for handset, _, _ in voices}
        invented = (pdu.address_field(f"99900{i:07d}") for i in range(2 * act.count))
        voices += [(handset, pdu.address_field(_STORM_SENDER), "") for handset in invented if handset not in known][
            : act.count - len(voices)
        ]
        if act.sender is not None:
            voices = [(handset, pdu.address_field(act.sender), account) for handset, _, account in voices]
        steps: dict[int, list[tuple[bytes, bytes, str]]] = {}
        for i, voice in enumerate(voices):
            steps.setdefault(int(act.seconds * i / len(voices) / _STORM_STEP_S), []).append(voice)
        for step, speaking in steps.items():
            self._later(step * _STORM_STEP_S, self._speak, act.text, speaking)

    def _speak(self, text: str, voices: list[tuple[bytes, bytes, str]]) -> None:
        for handset, sender, account in voices:
            self._smsc.handset_says(handset, sender, text, account=account)

    # Receipts on their way out.

    def _send(self, report: "Report", delivery: Delivery) -> None:
        reversing = self._reversing
        if reversing is None or self._loop.time() >= reversing.until:
            report.link.outbox.append(delivery)
            return
        self._reversed.append((report, delivery))
        if len(self._reversed) >= reversing.act.count:
            self._send_reversed()
        elif len(self._reversed) == 1:
            self._later(_REVERSE_AFTER_S, self._send_reversed)

    def _send_reversed(self) -> None:
        held, self._reversed = self._reversed, []
        if self._reversing and len(held) > 1:
            self.note(self._reversing.act)
        for report, delivery in reversed(held):
            report.link.outbox.append(delivery)
        self._smsc.distribute()

    def _send_elsewhere(self, one: _Elsewhere) -> None:
        report = one.report
        for link in self._smsc.links():
            if link.has_room and link.account == report.link.account and link is not report.link:
                link.send([one.delivery])
                self.note(one.act, link, None, report.receipt_id)
                return
        self._elsewhere.append(one)

    # Occasions.

    def _fired(self, event: Event) -> list[Act]:
        fired = self._next[event]
        if fired:
            self._next[event] = []
        for watch in self._watches[event]:
            if watch.fires():
                fired = [*fired, watch.rule.act]
        return fired

    def _ring_at(self, watch: _Watch, began: float, time: int) -> None:
        trigger = watch.rule.trigger
        assert isinstance(trigger, Timed)
        self._later(began + time * trigger.seconds - self._loop.time(), self._ring, watch, began, time)

    def _ring(self, watch: _Watch, began: float, time: int) -> None:
        trigger = watch.rule.trigger
        assert isinstance(trigger, Timed)
        if watch.fires():
            self.perform(watch.rule.act)
        if trigger.repeats and not watch.spent:
            self._ring_at(watch, began, time + 1)

    def _after(self, act: Act, undo: Callable[[], None]) -> None:
        if act.lasts is not None and act.lasts != float("inf"):
            self._later(act.lasts, undo)

    def _later(self, delay: float, do: Callable[..., None], *arguments: object) -> None:
        def ring() -> None:
            self._timers.discard(timer)
            do(*arguments)

        timer = self._loop.call_later(max(0.0, delay), ring)
        self._timers.add(timer)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


_MEETS: dict[Verb, Callable[[int, int], bool]] = {
    Verb.CUT_IN_PDU: lambda command, sequence: True,
    Verb.CUT_IN_RESPONSE: lambda command, sequence: command == pdu.SUBMIT_SM_RESP,
    Verb.CUT_IN_RECEIPT: lambda command, sequence: command == pdu.DELIVER_SM,
}
_HOUSE: dict[Verb, Callable[[Stage, Act], None]] = {
    Verb.REFUSE_BIND: Stage._refuse_bind,
    Verb.REFUSE_CONNECTIONS: Stage._refuse_connections,
    Verb.IGNORE_ENQUIRIES: Stage._ignore_enquiries,
    Verb.HOLD_RESPONSES: Stage._hold_responses,
    Verb.REVERSE_RECEIPTS: Stage._reverse_receipts,
    Verb.HANDSETS_SEND: Stage._let_handsets_send,
}
