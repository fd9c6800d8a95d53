"""Least cost among the healthy carriers that have not failed this message yet; else the next best; else wait or give up."""

from dataclasses import dataclass

from router.domain.health import HealthPicture, Standing
from router.domain.money import text_of
from router.domain.tariff import Offer, Tariff

# After one of these the same carrier may take the message a little later. After any other only another one may.
PASSING = frozenset({"carrier_down", "throttled", "temporary", "session_error", "carrier_error", "campaign_paused"})


@dataclass(frozen=True, slots=True)
class Send:
    """To this carrier. `price` is for one part; `decision` says why it won, over whom."""

    carrier: str
    price: int
    currency: str
    decision: str


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
    """No carrier now. `reason`: `no_price`, `exhausted`, `carrier_busy` or `no_healthy_carrier`."""

    reason: str
    decision: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One carrier in the choice, for people who ask why. `verdict` says why it won or lost."""

    offer: Offer
    standing: Standing
    verdict: str


class CarrierChoice:
    """Chooses at one moment. The answer depends on the number's prefix and on who was tried, so it is remembered."""

    def __init__(self, tariff: Tariff, health: HealthPicture, now: int) -> None:
        self.tariff, self._health, self._now = tariff, health, now
        self._standings: dict[str, Standing] = {}
        self._remembered: dict[tuple[str, tuple[str, ...], bool], Send | Nobody] = {}

    def choose(self, prefix: str, tried: tuple[str, ...] = (), *, again: bool = False) -> Send | Nobody:
        """`again`: those tried before may be tried once more, after all others.

        All parts go to one carrier, so the cheapest for one part is the cheapest for all.
        """
        key = (prefix, tried, again)
        found = self._remembered.get(key)
        if found is None:
            found = self._remembered[key] = self._choose(*key)
        return found

    def _choose(self, prefix: str, tried: tuple[str, ...], again: bool) -> Send | Nobody:
        offers = self.tariff.offers(prefix)
        usable = [offer for offer in offers if not offer.bar]
        if not usable:
            return Nobody("no_price", self._told(offers, tried))
        healthy = [offer for offer in usable if self._standing(offer).usable]
        allowed = [offer for offer in healthy if again or offer.carrier not in tried]
        if allowed:
            best = min(allowed, key=lambda offer: self._rank(offer, tried))
            return Send(best.carrier, best.price, best.currency, self._told(offers, tried))
        decision = self._told(offers, tried)
        if all(offer.carrier in tried for offer in usable):
            return Nobody("carrier_busy" if healthy else "exhausted", decision)
        return Nobody("no_healthy_carrier", decision)

    def candidates(self, prefix: str, tried: tuple[str, ...] = ()) -> list[Candidate]:
        """Everyone with a price, the winner first."""
        choice = self.choose(prefix, tried)
        winner = choice.carrier if isinstance(choice, Send) else None
        offers = self.tariff.offers(prefix)
        won = next((offer for offer in offers if offer.carrier == winner), None)
        found = [Candidate(offer, self._standing(offer), self._verdict(offer, won, tried)) for offer in offers]
        return sorted(found, key=lambda c: (c.verdict != "won", bool(c.offer.bar), self._rank(c.offer, tried)))

    def _verdict(self, offer: Offer, won: Offer | None, tried: tuple[str, ...]) -> str:
        standing = self._standing(offer)
        if offer.bar:
            return offer.bar
        if not standing.usable:
            return standing.name.lower()
        if offer.carrier in tried:
            return "tried"
        if won is None or offer.carrier == won.carrier:
            return "won"
        if standing > self._standing(won):
            return "degraded"
        return "dearer" if offer.price > won.price else "less_spare_rate"

    def _standing(self, offer: Offer) -> Standing:
        found = self._standings.get(offer.carrier)
        if found is None:
            found = self._standings[offer.carrier] = self._health.standing(offer.carrier, self._now)
        return found

    def _rank(self, offer: Offer, tried: tuple[str, ...]) -> tuple[int, int, int, float, str]:
        return (
            tried.count(offer.carrier),
            self._standing(offer),
            offer.price,
            -self._health.spare(offer.carrier),
            offer.carrier,
        )

    def _told(self, offers: tuple[Offer, ...], tried: tuple[str, ...]) -> str:
        words = ["least_cost"]
        for offer in offers:
            marks = [offer.bar] if offer.bar else []
            standing = self._standing(offer)
            if standing is not Standing.UP:
                marks.append(standing.name.lower())
            if offer.carrier in tried:
                marks.append("tried")
            words.append(f"{offer.carrier}={text_of(offer.price)}" + (f"({','.join(marks)})" if marks else ""))
        words.append(f"prices={self.tariff.version}")
        return " ".join(words)
