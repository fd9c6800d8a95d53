"""The carrier for one message: among those that its rule allows, healthy, good enough and not failed yet, the one the
rule picks; else the next step; else wait or give up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

from router.domain.health import HealthPicture, Standing
from router.domain.money import text_of
from router.domain.quality import NOTHING_KNOWN, Interval, Verdict
from router.domain.routes import EVERY, LEAST_COST, NO_ROUTES, Ask, Group, RoutePlan, Step
from router.domain.tariff import Offer, Tariff

# After one of these the same carrier may take the message a little later. After any other only another one may.
PASSING = frozenset({"carrier_down", "throttled", "temporary", "session_error", "carrier_error", "campaign_paused"})
TOLD = 8  # carriers that a decision's text names: it travels with every message
LOOKED_AT = 8  # with hundreds of carriers the cheapest so many that are fit are enough to pick from
NO_CHOICE = "refused by the rules"


@dataclass(frozen=True, slots=True)
class Send:
    """To this carrier. `price` is for one part; `decision` says why it won, over whom.

    `sender` is None where the wanted one stays; `not_after` (ms) where a send window ends before the message does.
    """

    carrier: str
    price: int
    currency: str
    decision: str
    network: str | None = None
    sender: str | None = None
    not_after: int | None = None


@dataclass(frozen=True, slots=True)
class Defer:
    """Look again at `until` (ms); None: when its campaign changes."""

    until: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Drop:
    """No further. `reason` is of the catalogue; `detail` is for a person."""

    reason: str
    detail: str


Decision = Send | Defer | Drop


@dataclass(frozen=True, slots=True)
class Nobody:
    """No carrier now. `reason`: `no_price`, `no_rule`, `exhausted`, `carrier_busy` or `no_healthy_carrier`."""

    reason: str
    decision: str


class Draws(NamedTuple):
    """Where a message falls when traffic is dealt out by shares: 0 to 999. The contact's stays, so its carrier does."""

    contact: int = 0
    message: int = EVERY - 1


def draws_of(contact_id: str, message_id: str) -> Draws:
    return Draws(crc32(contact_id.encode()) % EVERY, crc32(message_id.encode()) % EVERY)


FIRST = Draws()  # what explains and forecasts ask with: no exploration


@dataclass(frozen=True, slots=True)
class Candidate:
    """One carrier in the choice, for people who ask why. `verdict` says why it won or lost."""

    offer: Offer
    standing: Standing
    verdict: str
    step: int = 0
    quality: Interval = NOTHING_KNOWN


@dataclass(slots=True)
class _Entry:
    """A carrier in one step. `block`: why it is out; `tier`: those of a smaller one go first."""

    step: int
    offer: Offer
    standing: Standing
    block: str
    tier: tuple[int, int]
    verdict: Verdict
    quality: Interval
    share: int  # thousandths of its traffic that it gets while it comes back
    suspect: bool = False  # its receipts may be made up


@dataclass(slots=True)
class _Resolved:
    """Everything about a choice but the draws: shared by all messages that ask the same."""

    group: Group
    rule: str
    entries: list[_Entry]
    drawn: bool
    settled: Send | Nobody | None = None
    texts: dict[tuple[str, str], str] = field(default_factory=dict)


CarrierBar = Callable[[str, Ask], bool]


def _no_bar(carrier: str, ask: Ask) -> bool:
    return False


class CarrierChoice:
    """Chooses at one moment. What does not depend on the single message is worked out once and remembered."""

    def __init__(
        self,
        tariff: Tariff,
        health: HealthPicture,
        now: int,
        routes: RoutePlan = NO_ROUTES,
        refuses_sender: CarrierBar | None = None,
    ) -> None:
        self.tariff, self.routes, self._health, self._now = tariff, routes, health, now
        self._refuses_sender = refuses_sender
        self._standings: dict[str, Standing] = {}
        self._remembered: dict[tuple[object, ...], _Resolved | Nobody] = {}
        self._rules: dict[tuple[str | None, ...], tuple[str, Group] | None] = {}

    def choose(
        self, ask: Ask, tried: tuple[str, ...] = (), *, again: str | None = None, draws: Draws = FIRST
    ) -> Send | Nobody:
        """`again`: the carrier among those tried that may be tried once more, after all others.

        All parts go to one carrier, so the cheapest for one part is the cheapest for all.
        """
        found = self._resolved(ask, tried, again)
        if isinstance(found, Nobody):
            return found
        if found.settled is not None:
            return found.settled
        answer = self._finished(found, ask, tried, draws)
        if not found.drawn:
            found.settled = answer
        return answer

    def _resolved(self, ask: Ask, tried: tuple[str, ...], again: str | None) -> _Resolved | Nobody:
        ask = ask._replace(prefix=self.tariff.significant(ask.prefix))
        ruled = self._ruled(ask)
        if ruled is None:
            return Nobody("no_rule", f"{NO_CHOICE}: no rule fits routes={self.routes.version}")
        rule, group = ruled
        sender = ask.sender if self._refuses_sender is not None else None
        explores = ask.purpose != "otp"
        key = (rule, ask.prefix, ask.network, ask.country, sender, explores, tried, again)
        found = self._remembered.get(key)
        if found is None:
            found = self._remembered[key] = self._resolve(rule, group, ask, tried, again)
        return found

    def _ruled(self, ask: Ask) -> tuple[str, Group] | None:
        plan = self.routes
        if not plan.rules:
            return None if plan.otherwise is None else ("", plan.otherwise)
        key = tuple([ask[place] for place in plan.looked_at])
        if key in self._rules:
            return self._rules[key]
        rule = plan.rule_for(ask, self._now)
        found: tuple[str, Group] | None
        if rule is not None:
            found = (rule.name, rule.group)
        else:
            found = None if plan.otherwise is None else ("", plan.otherwise)
        self._rules[key] = found
        return found

    def _resolve(
        self, rule: str, group: Group, ask: Ask, tried: tuple[str, ...], again: str | None, whole: bool = False
    ) -> _Resolved:
        """`whole`: all steps, for people; else no further than to the first that has a carrier in full health."""
        entries: list[_Entry] = []
        for place, step in enumerate(group.steps):
            here = self._entries(place, step, ask, tried, again)
            entries += here
            if not whole and any(not e.block and e.tier == (0, 0) and e.share == EVERY for e in here):
                break
        coming_back = any(0 < entry.share < EVERY for entry in entries if not entry.block)
        explores = group.explore > 0 and ask.purpose != "otp"
        weighted = any(step.pick == "weighted" for step in group.steps)
        return _Resolved(group, rule, entries, coming_back or explores or weighted)

    def _entries(self, place: int, step: Step, ask: Ask, tried: tuple[str, ...], again: str | None) -> list[_Entry]:
        found = []
        fit = 0
        for offer in self._offers(step, ask):
            entry = self._entry(place, step, offer, ask, tried, again)
            found.append(entry)
            if step.carriers is None and not entry.block and entry.tier == (0, 0) and entry.verdict is Verdict.PROVEN:
                fit += 1
                if fit >= LOOKED_AT and step.pick == "cheapest":
                    break
        return found

    def _offers(self, step: Step, ask: Ask) -> Sequence[Offer]:
        if step.carriers is None:
            return self.tariff.offers(ask.prefix, ask.network)
        some = (self.tariff.offer(carrier, ask.prefix, ask.network) for carrier in step.carriers)
        found = [offer for offer in some if offer is not None]
        return sorted(found, key=lambda o: (o.price, o.carrier)) if step.pick == "cheapest" else found

    def _entry(
        self, place: int, step: Step, offer: Offer, ask: Ask, tried: tuple[str, ...], again: str | None
    ) -> _Entry:
        carrier = offer.carrier
        standing = self._standing(carrier)
        quality, verdict = NOTHING_KNOWN, Verdict.PROVEN
        if step.floor is not None or step.pick == "best":
            quality = self._health.measured.interval(carrier, ask.country, self._now)
        if step.floor is not None:
            verdict = quality.against(step.floor)
        if step.pick == "clicks":
            quality = self._health.measured.clicks(carrier, ask.country, self._now)
        suspect = self._health.measured.suspect(carrier, ask.country, self._now)
        if suspect and verdict is Verdict.PROVEN:
            verdict = Verdict.UNPROVEN  # its receipts prove nothing, whatever it costs
        times = tried.count(carrier)
        block = offer.bar
        if not block and step.most is not None and offer.price > step.most:
            block = "too_dear"
        if not block and step.slowest_ms is not None:
            slow = self._health.measured.slow(carrier, ask.country, self._now)
            if slow is not None and slow > step.slowest_ms:
                block = "too_slow"
        if not block and verdict is Verdict.BELOW:
            block = "below_floor"
        if not block and self._refuses_sender is not None and self._refuses_sender(carrier, ask):
            block = "sender"
        if not block and not standing.usable:
            block = standing.name.lower()
        if not block and times and carrier != again:
            block = "tried"
        share = EVERY if block else round(self._health.share(carrier, self._now) * EVERY)
        tier = (times, int(standing))
        return _Entry(place, offer, standing, block, tier, verdict, quality, share, suspect)

    def _finished(self, found: _Resolved, ask: Ask, tried: tuple[str, ...], draws: Draws) -> Send | Nobody:
        free = [entry for entry in found.entries if not entry.block]
        if not free:
            return self._nobody(found, tried)
        # One that comes back after a failure takes its share only: for the rest it stands behind those that were up.
        tiers = {id(e): (e.tier[0], 2 * e.tier[1] + (1 if draws.message >= e.share else 0)) for e in free}
        best = min(tiers.values())
        first = [entry for entry in free if tiers[id(entry)] == best]
        won = self._picked(found.group, first, draws)
        mark = ""
        if draws.message < found.group.explore and ask.purpose != "otp":
            others = [entry for entry in first if entry.offer.carrier != won.offer.carrier]
            unproven = [entry for entry in others if entry.verdict is Verdict.UNPROVEN] or others
            if unproven:
                won, mark = unproven[draws.contact % len(unproven)], "explored"
        offer = won.offer
        return Send(offer.carrier, offer.price, offer.currency, self._told(found, tried, won, mark), ask.network)

    def _picked(self, group: Group, free: list[_Entry], draws: Draws) -> _Entry:
        place = min(entry.step for entry in free)
        step = group.steps[place]
        here = [entry for entry in free if entry.step == place]
        surest = min(entry.verdict for entry in here)
        here = [entry for entry in here if entry.verdict == surest]
        if step.pick == "order":
            return here[0]
        if step.pick == "weighted":
            return _dealt(here, step, draws.contact)
        if step.pick in ("best", "clicks"):
            return min(here, key=lambda e: (-e.quality.low, e.offer.price, e.offer.carrier))
        return min(here, key=lambda e: (e.offer.price, -self._health.spare(e.offer.carrier), e.offer.carrier))

    def _nobody(self, found: _Resolved, tried: tuple[str, ...]) -> Nobody:
        decision = self._told(found, tried, None, "")
        usable = [entry for entry in found.entries if not entry.offer.bar]
        if not usable:
            return Nobody("no_price", decision)
        if all(entry.block == "sender" for entry in usable):
            return Nobody("no_sender", decision)
        if all(entry.offer.carrier in tried for entry in usable):
            return Nobody("carrier_busy" if any(e.standing.usable for e in usable) else "exhausted", decision)
        return Nobody("no_healthy_carrier", decision)

    def candidates(self, ask: Ask, tried: tuple[str, ...] = ()) -> list[Candidate]:
        """Everyone with a price that the rule allows, the winner first."""
        ask = ask._replace(prefix=self.tariff.significant(ask.prefix))
        ruled = self._ruled(ask)
        if ruled is None:
            return []
        found = self._resolve(*ruled, ask, tried, None, whole=True)
        choice = self.choose(ask, tried)
        winner = choice.carrier if isinstance(choice, Send) else None
        won = next((entry for entry in found.entries if entry.offer.carrier == winner and not entry.block), None)
        told = [
            Candidate(e.offer, e.standing, self._verdict(e, won, found.group), e.step, e.quality) for e in found.entries
        ]
        ranks = {id(c): (c.verdict != "won", bool(c.offer.bar), c.step, e.tier, c.offer.price, c.offer.carrier)
                 for c, e in zip(told, found.entries, strict=True)}  # fmt: skip
        return sorted(told, key=lambda c: ranks[id(c)])

    def _verdict(self, entry: _Entry, won: _Entry | None, group: Group) -> str:
        if entry.block:
            return entry.block
        if won is None or entry is won:
            return "won"
        if entry.tier[1] > won.tier[1]:
            return "degraded"
        if entry.step != won.step:
            return "later_step"
        if entry.verdict > won.verdict:
            return "suspect" if entry.suspect else "unproven"
        pick = group.steps[entry.step].pick
        if pick == "order":
            return "later_in_order"
        if pick == "weighted":
            return "other_share"
        if pick in ("best", "clicks") and entry.quality.low < won.quality.low:
            return "less_quality"
        return "dearer" if entry.offer.price > won.offer.price else "less_spare_rate"

    def _standing(self, carrier: str) -> Standing:
        found = self._standings.get(carrier)
        if found is None:
            found = self._standings[carrier] = self._health.standing(carrier, self._now)
        return found

    def _told(self, found: _Resolved, tried: tuple[str, ...], won: _Entry | None, mark: str) -> str:
        key = (won.offer.carrier if won else "", mark)
        text = found.texts.get(key)
        if text is None:
            text = found.texts[key] = self._text(found, tried, won, mark)
        return text

    def _text(self, found: _Resolved, tried: tuple[str, ...], won: _Entry | None, mark: str) -> str:
        """`least_cost a=0.045(down) b=0.050 prices=7`, or `rule=fr-otp cheapest a=0.040 ... prices=7 routes=3 explored`."""
        words = []
        if found.rule:
            words.append(f"rule={found.rule}")
        if found.group.name == LEAST_COST:
            words.append(LEAST_COST)
        else:
            words += [f"group={found.group.name}"]
            if won is not None:
                words.append(found.group.steps[won.step].pick)
        shown = found.entries[:TOLD]
        if won is not None and won not in shown:
            shown = [*shown[:-1], won]
        words += [_word(entry, tried) for entry in shown]
        if len(found.entries) > len(shown):
            words.append(f"+{len(found.entries) - len(shown)}")
        words.append(f"prices={self.tariff.version}")
        if self.routes.version:
            words.append(f"routes={self.routes.version}")
        if mark:
            words.append(mark)
        return " ".join(words)


def _word(entry: _Entry, tried: tuple[str, ...]) -> str:
    offer = entry.offer
    marks = [offer.bar] if offer.bar else []
    if entry.standing is not Standing.UP:
        marks.append(entry.standing.name.lower())
    if offer.carrier in tried:
        marks.append("tried")
    if entry.block and entry.block not in marks:
        marks.append(entry.block)
    if entry.suspect:
        marks.append("suspect")
    if entry.share < EVERY:
        marks.append("coming_back")
    return f"{offer.carrier}={text_of(offer.price)}" + (f"({','.join(marks)})" if marks else "")


def _dealt(here: list[_Entry], step: Step, draw: int) -> _Entry:
    """By weight: each has a stretch of 0..999 as long as its part of the weights of those that are there."""
    whole = sum(step.weights[entry.offer.carrier] for entry in here)
    reached = 0
    for entry in here:
        reached += step.weights[entry.offer.carrier] * EVERY
        if draw * whole < reached:
            return entry
    return here[-1]
