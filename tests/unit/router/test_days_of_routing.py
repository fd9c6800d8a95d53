"""Two days of virtual time with carriers that fail: what must hold at every moment, whatever the seed."""

import random

import pytest
from router.domain.campaigns import Campaigns
from router.domain.choose_carrier import CarrierChoice, Defer, Drop, Send
from router.domain.decide import KEPT_MS, Decider, Waited, due_at
from router.domain.health import HealthPicture
from router.domain.opt_outs import OptOuts
from router.domain.quality import Verdict
from router.domain.routes import compile_routes
from router.domain.windows import check_windows, compile_windows, is_open
from routing_values import HOUR, NOW, prepared, tariff
from shared.contracts.events import CarrierHealth, MessagePrepared
from test_quality import quality

TICK_MS = 60_000
TICKS = 2 * 24 * 60
CARRIERS = {"a": 10_000, "b": 20_000, "c": 30_000}
DELIVERS = {"a": 0.7, "b": 0.97, "c": 0.99}
BOOK = {
    "groups": {"g": {"explore": 0.05, "steps": [
        {"pick": "cheapest", "carriers": ["a", "b"], "floor": 0.9}, {"pick": "order", "carriers": ["c"]}]}},
    "rules": [{"id": "r", "priority": 1, "group": "g"}],
}  # fmt: skip
WINDOWS = compile_windows(
    1,
    check_windows(
        {"windows": [{"id": "fr", "country": "FR", "zones": ["Europe/Paris"],
                      "days": {day: ["08:00-20:00"] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}}]}
    ),
)  # fmt: skip


def report(carrier: str, state: str, now: int) -> CarrierHealth:
    return CarrierHealth(
        event_id="h", tenant_id="system", occurred_at=now, carrier=carrier, state=state, binds_up=1, binds_wanted=1,
        window_used=0.0, latency_ms=1.0, rate=0.0, limit=1000.0, throttled=0, errors={}, unknown=0,
    )  # fmt: skip


class Days:
    """The router's decisions, its timer table and its carriers, all as values."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.health = HealthPicture()
        self.up = dict.fromkeys(CARRIERS, True)
        self.waiting: list[tuple[int, MessagePrepared, Waited]] = []
        self.routes, self.prices = (
            compile_routes(1, BOOK),
            tariff({name: {"": price} for name, price in CARRIERS.items()}),
        )
        self.sent: list[tuple[int, str, MessagePrepared]] = []
        self.dropped: list[tuple[int, Drop, MessagePrepared]] = []
        self.born = 0
        self.outcomes = {name: [0, 0] for name in CARRIERS}

    def run(self) -> None:
        for tick in range(TICKS):
            now = NOW + tick * TICK_MS
            self._fail_and_mend(now)
            decider = Decider(
                now, CarrierChoice(self.prices, self.health, now, self.routes), Campaigns(), OptOuts(), windows=WINDOWS
            )
            due = [row for row in self.waiting if row[0] <= now]
            self.waiting = [row for row in self.waiting if row[0] > now]
            for _, message, waited in due:
                self._decide(decider, message, waited, now)
            for _ in range(3):
                self._decide(decider, self._message(now), None, now)

    def _message(self, now: int) -> MessagePrepared:
        self.born += 1
        purpose = self.rng.choice(("marketing", "marketing", "otp"))
        life = HOUR // 12 if purpose == "otp" else self.rng.choice((HOUR, 30 * HOUR))
        return prepared(message_id=f"m{self.born}", contact_id=f"c{self.born}", purpose=purpose, not_after=now + life)

    def _fail_and_mend(self, now: int) -> None:
        for name in CARRIERS:
            if self.rng.random() < (0.01 if self.up[name] else 0.05):
                self.up[name] = not self.up[name]
            self.health.apply([report(name, "up" if self.up[name] else "down", now)])
            delivered, failed = self.outcomes[name]
            if delivered + failed >= 10:
                self.health.apply_quality([quality(delivered * 10, failed * 10, now, name)])
                self.outcomes[name] = [0, 0]

    def _decide(self, decider: Decider, message: MessagePrepared, waited: Waited | None, now: int) -> None:
        found = decider.decide(message, waited)
        if isinstance(found, Send):
            self._holds(found, message, now)
            self.sent.append((now, found.carrier, message))
            self.outcomes[found.carrier][self.rng.random() > DELIVERS[found.carrier]] += 1
        elif isinstance(found, Drop):
            self.dropped.append((now, found, message))
        else:
            since = waited.since if waited else now
            due = due_at(found.until, message, since)
            assert now < due <= max(now + 1, since + KEPT_MS)
            self.waiting.append((due, message, Waited(since, found.reason)))

    def _holds(self, found: Send, message: MessagePrepared, now: int) -> None:
        assert self.up[found.carrier]
        assert now < message.not_after
        assert found.price == CARRIERS[found.carrier]
        if message.purpose == "otp":
            assert not found.decision.endswith("explored")
        else:
            assert is_open(WINDOWS.windows, None, now)
            assert is_open(WINDOWS.windows, None, (found.not_after or message.not_after) - 1) or message.not_after > now
        if found.carrier in ("a", "b"):
            known = self.health.measured.interval(found.carrier, "FR", now)
            assert known.against(0.9) is not Verdict.BELOW


@pytest.mark.parametrize("seed", range(4))
def test_nothing_forbidden_is_done_and_nothing_is_lost_while_carriers_fail(seed: int) -> None:
    days = Days(seed)
    days.run()
    ended = [message.message_id for _, _, message in days.sent] + [message.message_id for _, _, message in days.dropped]
    kept = [message.message_id for _, message, _ in days.waiting]
    assert len(set(ended)) == len(ended)
    assert sorted(ended + kept) == sorted(f"m{n}" for n in range(1, days.born + 1))
    assert all(drop.reason == "window_missed" for _, drop, _ in days.dropped)
    used = [carrier for now, carrier, message in days.sent if message.purpose == "otp"]
    assert used.count("b") > used.count("a")  # the cheap one that delivers too little is found out
    assert all(Defer(None, row[2].reason).reason in ("quiet_hours", "no_healthy_carrier") for row in days.waiting)
