"""Matching, telling, retrying, and where a callback may go: the ledger's small decisions."""

from decimal import Decimal

import pytest
from dlr_processor.domain.addresses import may_call, origin_of, trouble_with
from dlr_processor.domain.fold import fold
from dlr_processor.domain.inbound import RecentSend, addressed, replies
from dlr_processor.domain.lost import born_bound
from dlr_processor.domain.match import EARLY_MS, MATCH_WITHIN_MS, Submission, newest, only_unknown
from dlr_processor.domain.retries import LONGEST_PAUSE_MS, OPENS_AFTER, SCHEDULE_S, Circuit, next_try_ms
from dlr_processor.domain.states import FINAL, RANK
from dlr_processor.domain.story import whole
from dlr_processor.domain.tell import callback_body, money, status_of, utc, wanted
from hypothesis import given
from hypothesis import strategies as st
from shared.contracts.avro import codec_of
from shared.contracts.events import InboundReceived, MessageStatus
from shared.crypto.ids import born_s
from unit.dlr_processor import ledger_events as e

T = e.T0


def sent(at: int, message_id: str = "m", attempt: int = 1, part: int = 1) -> Submission:
    return Submission(message_id, "acme", attempt, part, at)


def test_a_receipt_belongs_to_the_newest_submission_of_its_id_within_seven_days() -> None:
    receipt = e.receipt(at=T)
    days = [sent(T - n * 86_400_000, f"m{n}") for n in (6, 2, 5)]
    found = newest(receipt, days)
    assert found is not None
    assert found.message_id == "m2"
    assert newest(receipt, [sent(T - MATCH_WITHIN_MS - 1)]) is None


def test_a_receipt_may_come_a_little_before_its_submission_and_never_long_before() -> None:
    receipt = e.receipt(at=T)
    assert newest(receipt, [sent(T + EARLY_MS)]) is not None
    assert newest(receipt, [sent(T + EARLY_MS + 1)]) is None


def test_an_unexplained_receipt_is_tied_to_the_first_open_part_of_the_only_candidate() -> None:
    receipt = e.receipt(None, at=T)
    parts = [sent(T - 5, "m", 1, n) for n in (3, 2)]
    found = only_unknown(receipt, parts)
    assert found is not None
    assert found.part == 2
    assert only_unknown(receipt, [*parts, sent(T - 9, "another")]) is None
    assert only_unknown(receipt, []) is None


def inbound(recipient: str) -> InboundReceived:
    return InboundReceived(
        event_id="i", tenant_id="system", occurred_at=T, carrier="mercure", number=b"", number_hash=e.HASH,
        recipient=recipient, text=b"", keyword="stop",
    )  # fmt: skip


def test_an_answer_goes_to_the_tenant_of_the_sender_it_answers_and_otherwise_to_all() -> None:
    sends = [
        RecentSend("acme", "c1", "m2", "SHOP"),
        RecentSend("acme", "c1", "m1", "BANK"),
        RecentSend("other", "c2", "m3", "CLUB"),
    ]
    assert [s.tenant_id for s in addressed(inbound("CLUB"), sends, "third")] == ["other"]
    assert addressed(inbound("38123"), sends, "third") == [RecentSend("third", None, None, "38123")]
    assert [s.tenant_id for s in addressed(inbound("CLUB"), sends)] == ["other"]
    assert [(s.tenant_id, s.message_id) for s in addressed(inbound("38123"), sends)] == [
        ("acme", "m2"),
        ("other", "m3"),
    ]
    assert addressed(inbound("38123"), []) == []


def test_an_answer_counts_for_the_message_it_answers_and_for_nobody_where_several_may_be_meant() -> None:
    ours, theirs = RecentSend("acme", "c1", "m2", "SHOP"), RecentSend("other", "c2", "m3", "CLUB")

    def answered(recipient: str, owners: list[RecentSend]) -> list[tuple[str, str, str]]:
        return [(r.event_id, r.tenant_id, r.message_id) for r in replies(inbound(recipient), owners)]

    assert answered("SHOP", [ours]) == [("i:acme", "acme", "m2")]
    assert answered("38123", [ours]) == [("i:acme", "acme", "m2")]
    assert answered("38123", [ours, theirs]) == []
    assert answered("38123", []) == []


PUBLIC = ("8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8")
INSIDE = (
    "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",
    "192.0.2.1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "2002:0a00:0001::", "64:ff9b::a00:1", "64:ff9b::7f00:1", "nonsense", "",
)  # fmt: skip
LOOPBACK = ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1")


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_called(address: str) -> None:
    assert may_call(address, allow_loopback=False)


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_may_never_be_called(address: str) -> None:
    assert not may_call(address, allow_loopback=False)
    assert not may_call(address, allow_loopback=True) or "7f00" in address


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_may_be_called_only_by_an_explicit_setting(address: str) -> None:
    assert not may_call(address, allow_loopback=False)
    assert may_call(address, allow_loopback=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/", "https://[::1]/x", "https://localhost/", "https://api.localhost/", "file:///etc/passwd",
        "//shop.example/", "https://", "https://a:b@shop.example/", "https://shop.example:99999/",
        "https://shop.example/\nx", "https://shop.example/" + "x" * 2000, "gopher://shop.example/",
    ],
)  # fmt: skip
def test_a_url_that_leads_inside_or_is_none_is_refused(url: str) -> None:
    assert trouble_with(url, allow_loopback=False) is not None


def test_a_public_url_is_taken_and_its_origin_names_scheme_host_and_port() -> None:
    assert trouble_with("https://shop.example/hook?x=1", allow_loopback=False) is None
    assert origin_of("https://Shop.example/hook") == "https://shop.example:443"
    assert origin_of("http://shop.example:8080/") == "http://shop.example:8080"


def test_retries_follow_the_schedule_and_end_with_it() -> None:
    pauses = [next_try_ms(tries, 0, 0.0) for tries in range(len(SCHEDULE_S) + 1)]
    assert pauses == [0, 5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 50_400_000, 72_000_000, 86_400_000, None]  # fmt: skip
    assert next_try_ms(1, 0, 0.999) == pytest.approx(5_500, abs=1)


def test_a_circuit_opens_after_failures_in_a_row_lets_one_probe_through_and_pauses_longer_each_time() -> None:
    circuit = Circuit()
    for _ in range(OPENS_AFTER - 1):
        circuit.failed(0)
    assert circuit.room(0, 64) == 64
    circuit.failed(0)
    assert circuit.room(4_999, 64) == 0
    assert circuit.room(5_000, 64) == 1
    circuit.failed(100)
    assert circuit.open_until == 5_000, "a call that was under way says nothing new"
    circuit.failed(5_000)
    assert circuit.open_until == 15_000
    for _ in range(30):
        circuit.failed(circuit.open_until)
    assert circuit.open_until - LONGEST_PAUSE_MS > 0
    assert circuit.room(circuit.open_until - 1, 64) == 0


def test_the_callback_tells_only_what_moved_the_message_forward() -> None:
    change = fold(None, {}, [e.prepared(), e.submitted()], T + 1_000)
    assert wanted(change, ())
    assert wanted(change, ["prepared"])
    assert not wanted(change, ["delivered"])
    late = fold(change.message, {(1, 1): change.parts[0]}, [e.deferred()], T + 2_000)
    assert late.changed
    assert not wanted(late, ["deferred"]), "a state that the message has passed is not told any more"


def test_the_body_of_a_callback_follows_standard_webhooks() -> None:
    change = fold(None, {}, [e.prepared(), e.submitted(), e.matched(e.receipt(state="expired"))], T + 5_000)
    body = callback_body(change)
    assert (body["type"], body["timestamp"]) == ("message.status", utc(T + 5_000))
    assert body["data"] == {
        "message_id": e.MESSAGE, "status": "expired", "reason": "expired", "client_ref": "order-7", "carrier": "mercure",
        "sender": "SHOP", "parts": 1, "cost": "0.045", "currency": "EUR", "version": 1, "at": utc(T + 2_000),
        "states": [
            {"at": utc(T), "status": "accepted"}, {"at": utc(T + 100), "status": "prepared"},
            {"at": utc(T + 300), "status": "submitted"}, {"at": utc(T + 2_000), "status": "expired", "reason": "expired"},
        ],
    }  # fmt: skip


def test_the_status_record_carries_every_dimension_and_survives_avro() -> None:
    change = fold(None, {}, [e.prepared(), e.submitted(), e.matched(e.receipt())], T + 5_000)
    status = status_of(change)
    codec = codec_of(MessageStatus)
    assert codec.decode(codec.encode(status, 7), lambda _: codec._schema) == status
    for name in (
        "contact_ref",
        "contact_id",
        "campaign_id",
        "run",
        "variant",
        "segment",
        "country",
        "network",
        "carrier",
    ):
        assert getattr(status, name), name
    assert (status.attempt, status.parts, status.cost, status.currency) == (1, 1, 45_000, "EUR")


def test_the_story_shows_parts_attempts_states_and_decision() -> None:
    facts = [
        e.prepared(),
        e.submitted(outcome="failed", ids=(None,), statuses=(0x58,)),
        e.submitted(at=T + 900, attempt=2, carrier="iris", ids=("a", "b")),
        e.matched(e.receipt("a", "undelivered", carrier="iris"), attempt=2),
    ]
    change = fold(None, {}, facts, T + 5_000)
    parts = sorted(change.parts, key=lambda p: (p.attempt, p.part))
    told = whole(change.message, parts)
    assert [(p["part"], p["status"]) for p in told["parts"]] == [(1, "undelivered"), (2, "submitted")]
    assert [(a["attempt"], a["outcome"]) for a in told["attempts"]] == [(1, "failed"), (2, "submitted")]
    assert [s["status"] for s in told["events"]] == ["accepted", "prepared", "submitted"]
    assert (told["status"], told["carrier"], told["cost"]) == ("submitted", "iris", "0.09")


@given(st.integers(-(10**15), 10**15))
def test_money_is_exact_and_idle_zeros_are_left_out(micros: int) -> None:
    text = money(micros)
    assert Decimal(text) * 1_000_000 == micros
    assert "." not in text or not text.endswith(("0", "."))


@given(st.integers(0, 4_294_967_295_000))
def test_the_lowest_id_of_a_moment_is_not_above_any_id_born_then(ms: int) -> None:
    message_id = e.IDS.random("acme", ms // 1000)
    assert born_bound(ms) <= message_id < born_bound(min(ms + 1_000, 4_294_967_295_999)) or ms // 1000 == 0xFFFFFFFF
    assert born_s(message_id) == ms // 1000


def test_every_final_state_outranks_every_other() -> None:
    assert min(RANK[s] for s in FINAL) > max(RANK[s] for s in RANK if s not in FINAL)
