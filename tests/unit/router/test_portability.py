"""Networks of single numbers: what sources say, what a file may hold, and that nothing is asked for in vain."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from router.adapters.portability_enum import EnumPortability
from router.adapters.portability_http import HttpPortability
from router.domain.choose_carrier import Send
from router.domain.number_plan import NumberPlan, Range
from router.domain.portability import (
    Known,
    PortedNumbers,
    SourceError,
    Worth,
    enum_name,
    network_in_naptr,
    read_ported,
)
from router.domain.tariff import ListPrices, Tariff, Terms
from router.domain.trouble import TroublesError
from router.portability import Portability
from routing_values import NOW, decider, health, prepared
from shared.contracts.topics import Lane
from shared.crypto.ids import NumberIndex
from shared.crypto.sealing import Key, Kind
from shared.telemetry.metrics import Metrics

SFR, ORANGE = "20810", "20801"
PLAN = NumberPlan(1, [Range("3361", "FR", SFR, ""), Range("3360", "FR", ORANGE, "")])
NAMES = frozenset({"mercure", "iris"})


def prices(*, matters: bool) -> Tariff:
    """With `matters` the other network has another cheapest carrier."""
    terms = {name: Terms(name, 1000, 1, "EUR", {}) for name in NAMES}
    lists = {
        "mercure": ListPrices({SFR: 40_000, ORANGE: 60_000 if matters else 40_000}, {}),
        "iris": ListPrices({SFR: 50_000, ORANGE: 50_000}, {}),
    }
    return Tariff(1, terms, NAMES, lists)


def deciding(*, matters: bool = True) -> Any:
    from dataclasses import replace

    return replace(decider(health("mercure"), health("iris"), prices=prices(matters=matters)), plan=PLAN)


def test_a_ported_number_goes_by_the_network_that_it_is_in() -> None:
    from dataclasses import replace

    message = prepared(prefix="3361234", number_hash="moved")
    before, after = deciding().decide(message), replace(deciding(), ported={"moved": ORANGE}).decide(message)
    assert isinstance(before, Send)
    assert isinstance(after, Send)
    assert (before.carrier, before.network) == ("mercure", SFR)
    assert (after.carrier, after.network) == ("iris", ORANGE)


@pytest.mark.parametrize(("matters", "expected"), [(True, True), (False, False)])
def test_a_lookup_is_worth_it_only_where_another_network_changes_the_carrier(matters: bool, expected: bool) -> None:
    found = deciding(matters=matters)
    ask = found.ask(prepared(prefix="3361234"), None)
    assert Worth().changes(found.choice, ask, PLAN.networks("FR"), NOW) is expected


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("!^.*$!tel:+33612345678;mcc=208;mnc=10!", "20810"),
        ("!^(.*)$!sip:\\1;npdi;MNC=015;MCC=234@enum.example!", "234015"),
        ("!^.*$!tel:+33612345678;npdi;rn=+33600!", None),
        ("!^.*$!tel:+33612345678;mcc=20;mnc=10!", None),
        ("", None),
    ],
)
def test_the_network_stands_in_the_uri_of_a_naptr_record(text: str, network: str | None) -> None:
    assert network_in_naptr(text) == network


def test_a_number_is_written_backwards_in_dns() -> None:
    assert enum_name("+33612", "e164.arpa.") == "2.1.6.3.3.e164.arpa"


def test_a_file_of_ported_numbers_is_read_in_both_shapes() -> None:
    assert read_ported("number,mcc,mnc\n+33612345678,208,10\n33612345679,208,01\n") == {
        "+33612345678": SFR, "+33612345679": ORANGE,
    }  # fmt: skip
    assert read_ported("Number,MCCMNC\n+33612345678,20810\n") == {"+33612345678": SFR}


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "row 1"),
        ("number,mcc\n+33612345678,208\n", "row 1"),
        ("number,mccmnc\n0612345678,20810\n", "row 2 number"),
        ("number,mccmnc\n+33612345678,208\n", "row 2 mnc"),
        ("number,mccmnc\n+33612345678,20810\n33612345678,20801\n", "row 3 number"),
        ("number,mccmnc\n", "csv"),
    ],
)
def test_a_bad_file_is_told_with_its_row_and_without_the_number(text: str, field: str) -> None:
    with pytest.raises(TroublesError) as caught:
        read_ported(text)
    assert [trouble.field for trouble in caught.value.troubles] == [field]
    assert "612345678" not in str(caught.value)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 20)), max_size=30), st.integers(0, 20))
def test_what_is_kept_in_memory_expires_and_stays_within_bounds(added: list[tuple[str, int]], now: int) -> None:
    numbers = PortedNumbers(most=3)
    last: dict[str, Known] = {}
    for number_hash, expires in added:
        last[number_hash] = Known(SFR, expires)
        numbers.add(number_hash, last[number_hash])
    kept = {h: known for h in "abcdef" if (known := numbers.get(h, now)) is not None}
    assert len(kept) <= 3
    assert all(known == last[h] and now < known.expires for h, known in kept.items())


class FakeStore:
    def __init__(self) -> None:
        self.rows: dict[str, Known] = {}

    async def known(self, hashes: Sequence[str], now: int) -> dict[str, Known]:
        return {h: self.rows[h] for h in hashes if h in self.rows and now < self.rows[h].expires}

    async def keep(self, found: dict[str, Known], source: str) -> None:
        self.rows |= found


class FakeVault:
    key = Key("acme", Kind.NUMBER, 1, b"k" * 32)

    async def load(self, envelopes: Any) -> None:
        list(envelopes)

    def open(self, tenant: str, kind: Kind, envelope: bytes) -> str:
        return self.key.open(envelope)


class FakeSource:
    name = "fake"

    def __init__(self, answers: dict[str, str | None], *, fails: bool = False, hangs: bool = False) -> None:
        self.answers, self.fails, self.hangs = answers, fails, hangs
        self.asked: list[str] = []

    async def look_up(self, numbers: Sequence[str], found: dict[str, str | None]) -> None:
        self.asked += numbers
        found.update({n: self.answers[n] for n in numbers if n in self.answers})
        if self.fails:
            raise SourceError("down")
        if self.hangs:
            await asyncio.Event().wait()


def portability(store: FakeStore, *sources: FakeSource, countries: frozenset[str] = frozenset()) -> Portability:
    found: Any = Portability(
        store, sources, countries, 1_000_000, FakeVault(), NumberIndex(b"k" * 32), Metrics("test"), lambda: NOW,  # type: ignore[arg-type]
    )  # fmt: skip
    return found  # type: ignore[no-any-return]


def message(number: str, **changed: Any) -> Any:
    return prepared(prefix="3361234", number_hash=f"h{number}", number=FakeVault.key.seal(number), **changed)


async def test_a_number_is_bought_once_and_then_known() -> None:
    store, source = FakeStore(), FakeSource({"+331": ORANGE, "+332": None})
    found = portability(store, source)
    batch = [message("+331"), message("+332")]
    assert await found.networks(batch, deciding(), Lane.NOW) == {"h+331": ORANGE}
    assert await found.networks(batch, deciding(), Lane.NOW) == {"h+331": ORANGE}
    assert await portability(store, source).networks(batch, deciding(), Lane.NOW) == {"h+331": ORANGE}
    assert source.asked == ["+331", "+332"]


async def test_nothing_is_asked_where_it_changes_nothing_or_where_the_source_may_not_be_asked() -> None:
    source = FakeSource({"+331": ORANGE})
    assert await portability(FakeStore(), source).networks([message("+331")], deciding(matters=False), Lane.NOW) == {}
    elsewhere = portability(FakeStore(), source, countries=frozenset({"BE"}))
    assert await elsewhere.networks([message("+331")], deciding(), Lane.NOW) == {}
    assert source.asked == []


async def test_a_source_that_hangs_is_left_at_the_deadline_with_what_it_had_said() -> None:
    source = FakeSource({"+331": ORANGE}, hangs=True)
    found = await portability(FakeStore(), source).networks([message("+331"), message("+332")], deciding(), Lane.NOW)
    assert found == {"h+331": ORANGE}


async def test_a_source_that_fails_is_followed_by_the_next_and_rests() -> None:
    broken, good = FakeSource({}, fails=True), FakeSource({"+331": ORANGE, "+332": SFR})
    good.name = "good"
    found = portability(FakeStore(), broken, good)
    assert await found.networks([message("+331")], deciding(), Lane.NOW) == {"h+331": ORANGE}
    assert await found.networks([message("+332")], deciding(), Lane.NOW) == {"h+332": SFR}
    assert broken.asked == ["+331"]


async def test_the_http_source_asks_for_a_batch_and_says_when_it_fails() -> None:
    asked: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((await request.json(), request.headers["Authorization"]))
        return web.json_response({"networks": {"+331": ORANGE}}) if len(asked) == 1 else web.Response(status=503)

    app = web.Application()
    app.router.add_post("/lookup", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    source = HttpPortability(f"http://127.0.0.1:{port}/lookup", "k")
    await source.open()
    try:
        found: dict[str, str | None] = {}
        await source.look_up(["+331", "+332"], found)
        assert found == {"+331": ORANGE, "+332": None}
        assert asked == [({"numbers": ["+331", "+332"]}, "Bearer k")]
        with pytest.raises(SourceError, match="answered 503"):
            await source.look_up(["+333"], found)
    finally:
        await source.close()
        await runner.cleanup()


class NameServer(asyncio.DatagramProtocol):
    """Knows one number, and denies all others."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        import dns.message
        import dns.rcode
        import dns.rrset

        asked = dns.message.from_wire(data)
        told = dns.message.make_response(asked)
        name = asked.question[0].name.to_text()
        if name == enum_name("+33612", "enum.example") + ".":
            text = '10 100 "u" "E2U+pstn:tel" "!^.*$!tel:+33612;mcc=208;mnc=01!" .'
            told.answer.append(dns.rrset.from_text(name, 60, "IN", "NAPTR", text))
        elif "9.9" in name:
            told.set_rcode(dns.rcode.SERVFAIL)
        else:
            told.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(told.to_wire(), address)


async def test_the_enum_source_asks_dns() -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
    try:
        port = transport.get_extra_info("sockname")[1]
        source = EnumPortability("enum.example", [f"127.0.0.1:{port}"])
        found: dict[str, str | None] = {}
        await source.look_up(["+33612", "+33613", "+3399"], found)
        assert found == {"+33612": ORANGE, "+33613": None}
        with pytest.raises(SourceError):
            await source.look_up(["+3399"], found)
    finally:
        transport.close()
