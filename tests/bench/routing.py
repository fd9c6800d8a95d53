"""`make bench-routing`: how fast the router decides with a big operator's tables, and what they weigh.

500 carriers' prices over 2,000 networks (a million rows), 200 rules, destinations dealt out as in practice (a few networks
take most of the traffic). Times are of CPU, so that other work on the machine does not count: what a core of its own gives.
"""

import gc
import json
import random
import statistics
import time
from typing import Any

import psutil
from router.deciding import HOLD_S
from router.domain.campaigns import Campaigns
from router.domain.check_routes import check_routes
from router.domain.choose_carrier import CarrierChoice, Send
from router.domain.decide import Decider
from router.domain.health import HealthPicture
from router.domain.number_plan import NumberPlan, Range
from router.domain.opt_outs import OptOuts
from router.domain.routes import RoutePlan, compile_routes
from router.domain.tariff import ListPrices, Tariff, Terms
from router.domain.windows import NO_WINDOWS
from router.picture import WARM_SHARE
from shared.contracts.events import CarrierHealth, CarrierQuality, MessagePrepared

CARRIERS, NETWORKS, RULES, COUNTRIES = 500, 2_000, 200, 200
BATCH = 500
NOW = 1_800_000_000_000


def network_of(number: int) -> str:
    return f"{200 + number // 10:03d}{number % 10:02d}"


def country_of(number: int) -> str:
    return chr(65 + number // 26 % 26) + chr(65 + number % 26)


def plan() -> NumberPlan:
    """Ten networks a country, four ranges each: the country's three digits, then two of the range."""
    return NumberPlan(
        1,
        [
            Range(f"{100 + n // 10}{n % 10}{r}", country_of(n // 10), network_of(n), "")
            for n in range(NETWORKS)
            for r in range(4)
        ],
    )


def price_list(rng: random.Random, amounts: dict[int, int]) -> ListPrices:
    networks = {}
    for number in range(NETWORKS):
        price = rng.randrange(5_000, 90_000, 100)
        networks[network_of(number)] = amounts.setdefault(price, price)
    return ListPrices(networks, {})


def tariff(rng: random.Random) -> Tariff:
    names = [f"carrier-{n:03d}" for n in range(CARRIERS)]
    terms = {name: Terms(name, 1000, 4, "EUR", {}) for name in names}
    amounts: dict[int, int] = {}
    return Tariff(1, terms, frozenset(names), {name: price_list(rng, amounts) for name in names})


def book(rng: random.Random, prices: Tariff) -> dict[str, Any]:
    names = sorted(prices.terms)
    groups: dict[str, Any] = {}
    rules = []
    for number in range(RULES):
        a, b, c = rng.sample(names, 5), rng.sample(names, 2), rng.sample(names, 2)
        groups[f"g{number}"] = {
            "explore": 0.05 if number % 4 == 0 else 0,
            "steps": [
                {"pick": "cheapest", "carriers": a, **({"floor": 0.9} if number % 2 else {})},
                {"pick": "weighted", "carriers": dict.fromkeys(b, 5)} if number % 3 == 0 else {"pick": "order", "carriers": c},
                {"group": "least_cost"},
            ],
        }  # fmt: skip
        when: dict[str, Any] = {"country": [country_of(number % COUNTRIES)]}
        if number % 5 == 0:
            when["class"] = ["otp"]
        rules.append({"id": f"r{number}", "priority": number, "when": when, "group": f"g{number}"})
    return {"groups": groups, "rules": rules}


def messages(rng: random.Random, count: int) -> list[MessagePrepared]:
    weights = [1 / (rank + 1) for rank in range(NETWORKS)]  # Zipf
    order = rng.sample(range(NETWORKS), NETWORKS)
    found = []
    for number, place in enumerate(rng.choices(range(NETWORKS), weights, k=count)):
        network = order[place]
        prefix = f"{100 + network // 10}{network % 10}{rng.randrange(4)}{rng.randrange(100):02d}"
        found.append(
            MessagePrepared(
                event_id="e", tenant_id=f"tenant-{number % 20}", occurred_at=NOW, message_id=f"m{number}",
                contact_id=f"c{number}", number_hash="n", purpose=rng.choice(("marketing", "marketing", "marketing", "otp")),
                number=b"", text=b"", encoding="gsm7", parts=1, country=country_of(network // 10), prefix=prefix,
                not_after=NOW + 86_400_000, accepted_at=NOW, campaign_id=f"k{number % 50}",
            )
        )  # fmt: skip
    return found


def picture(prices: Tariff, rng: random.Random) -> HealthPicture:
    found = HealthPicture()
    names = sorted(prices.terms)
    found.apply(
        CarrierHealth(
            event_id="h", tenant_id="system", occurred_at=NOW, carrier=name, state="down" if n % 20 == 0 else "up",
            binds_up=1, binds_wanted=1, window_used=0.1, latency_ms=20.0, rate=10.0, limit=1000.0, throttled=0, errors={},
            unknown=0,
        )
        for n, name in enumerate(names)
    )  # fmt: skip
    found.apply_quality(
        CarrierQuality(
            event_id="q", tenant_id="system", occurred_at=NOW, carrier=name, country=country_of(c), window_s=60,
            submitted=1000, delivered=rng.randrange(800, 1000), failed=60, delivery_rate=0.9, delay_ms=1.0,
        )
        for name in names
        for c in range(0, COUNTRIES, 4)
    )  # fmt: skip
    return found


class Bench:
    def __init__(self) -> None:
        rng = random.Random(7)
        self.before = psutil.Process().memory_info().rss
        self.prices, self.plan = tariff(rng), plan()
        self.tables = psutil.Process().memory_info().rss
        started = time.process_time()
        body = check_routes(book(rng, self.prices), self.prices, self.plan)
        self.routes: RoutePlan = compile_routes(1, body)
        self.compile_s = time.process_time() - started
        self.health = picture(self.prices, rng)
        gc.freeze()  # as the service does
        self.messages = messages(rng, 40_000)
        self.rng = rng

    def decider(self, prices: Tariff) -> Decider:
        choice = CarrierChoice(prices, self.health, NOW, self.routes)
        return Decider(NOW, choice, Campaigns(), OptOuts(), self.plan, NO_WINDOWS)

    def start(self) -> tuple[float, float]:
        """Right after a start: seconds to work out the plan's networks in the background, and the longest time (ms) for which
        a batch that comes before that holds the loop."""
        fresh = Tariff(1, self.prices.terms, self.prices.connectors, self.prices.lists)
        held = self.longest(self.decider(fresh))
        started = time.process_time()
        keys = dict.fromkeys((fresh.significant(one.prefix), one.network) for one in self.plan.ranges)
        for key in list(keys)[: fresh.most_remembered // WARM_SHARE]:
            fresh.offers(*key)
        return time.process_time() - started, held

    def longest(self, decider: Decider) -> float:
        """The longest of the first 20 batches in ms, as long as the loop is held: a batch lets others in after `HOLD_S`."""
        found = 0.0
        for at in range(0, 20 * BATCH, BATCH):
            started = time.process_time()
            for message in self.messages[at : at + BATCH]:
                if time.process_time() - started > HOLD_S:
                    found = max(found, time.process_time() - started)
                    started = time.process_time()
                decider.decide(message)
            found = max(found, time.process_time() - started)
        return found * 1000

    def warm(self) -> tuple[float, float]:
        """Decisions a second, with what is remembered thrown away every 100 ms as the service does; longest batch in ms."""
        longest, sent = 0.0, 0
        started = made = time.process_time()
        decider = self.decider(self.prices)
        for at in range(0, len(self.messages), BATCH):
            batch_started = time.process_time()
            if batch_started - made > 0.1:
                decider, made = self.decider(self.prices), batch_started
            sent += sum(isinstance(decider.decide(m), Send) for m in self.messages[at : at + BATCH])
            longest = max(longest, time.process_time() - batch_started)
        assert sent == len(self.messages)
        return len(self.messages) / (time.process_time() - started), longest * 1000

    def cold(self) -> list[float]:
        """Milliseconds of decisions for which nothing is remembered."""
        found = []
        for message in self.messages[:100]:
            prices = Tariff(2, self.prices.terms, self.prices.connectors, self.prices.lists)
            prices.significant("1")  # the set of prefixes is made when a tariff is, not in a batch
            decider = self.decider(prices)
            started = time.process_time()
            decider.decide(message)
            found.append((time.process_time() - started) * 1000)
        return found

    def swap(self) -> tuple[float, float]:
        """A new list of one carrier: ms to read it in, and the longest batch right after."""
        started = time.process_time()
        lists = dict(self.prices.lists)
        lists["carrier-007"] = price_list(self.rng, {})
        prices = self.prices.followed_by(3, self.prices.terms, lists)
        gc.freeze()
        for key in self.prices.worked_out:
            prices.offers(*key)
        taken = (time.process_time() - started) * 1000
        return taken, self.longest(self.decider(prices))


def main() -> None:
    bench = Bench()
    start_s, held_ms = bench.start()
    rates, batches = zip(*(bench.warm() for _ in range(2)), strict=True)
    cold = bench.cold()
    swap_ms, after_ms = bench.swap()
    mb = 1 << 20
    found: dict[str, Any] = {
        "decisions_per_s": round(max(rates)), "longest_batch_ms": round(min(batches), 1),
        "cold_ms": {"median": round(statistics.median(cold), 3), "max": round(max(cold), 3)},
        "at_start": {"worked_out_s": round(start_s, 2), "longest_hold_before_ms": round(held_ms, 1)},
        "tables_mb": round((bench.tables - bench.before) / mb), "process_mb": round(psutil.Process().memory_info().rss / mb),
        "rules_checked_and_compiled_ms": round(bench.compile_s * 1000),
        "new_list_ms": round(swap_ms, 1), "longest_batch_after_it_ms": round(after_ms, 1),
    }  # fmt: skip
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
