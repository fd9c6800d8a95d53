"""Who of an audience is written to: everyone decided once, each number at most once."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from segmenter.domain.audience import decide_members
from segmenter.domain.chunking import RELEASED_AHEAD, chunk_event_id, chunk_key, first_of_each_number, to_release
from segmenter.domain.consent import MARKETING, Stance, Stances
from segmenter.domain.prepare import Drop, Ready
from segmenter.domain.templates import compile_template

TEMPLATE = compile_template("t", 1, MARKETING, {"en": "Hi {{ name }}", "fr": "Salut {{ name }}"}, "en")


@dataclass
class Person:
    ref: str
    contact_id: str
    number_problem: str | None = None
    country: str = "FR"
    locale: str | None = None
    time_zone: str | None = None
    attributes: dict[str, Any] = field(default_factory=lambda: {"name": "Ann"})


@dataclass
class Said:
    by_ref: dict[tuple[str, str], Stances] = field(default_factory=dict)
    suppressed: set[str] = field(default_factory=set)
    by_number: dict[str, list[Stances]] = field(default_factory=dict)
    brands: dict[str, dict[str, str]] = field(default_factory=dict)

    def say(self, person: Person, state: str) -> None:
        stances: Stances = {MARKETING: Stance(state, 1, "test")}  # type: ignore[arg-type]
        self.by_ref["acme", person.ref] = stances
        self.by_number.setdefault(person.contact_id, []).append(stances)

    def sharing(self, contact_id: str) -> list[Stances]:
        return self.by_number.get(contact_id, [])


people = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 6), st.sampled_from(["granted", "withdrawn", "nothing"]), st.booleans()),
    unique_by=lambda p: p[0], max_size=12,
)  # fmt: skip


@given(people)
def test_everyone_is_decided_once_and_no_number_is_written_to_twice(given_people: list[Any]) -> None:
    members, said = [], Said()
    for ref, number, state, broken in given_people:
        person = Person(f"r{ref}", f"n{number}", "a landline" if broken else None)
        members.append(person)
        if state != "nothing":
            said.say(person, state)
    decided = list(decide_members("acme", members, said, TEMPLATE, MARKETING))
    assert [m.ref for m, _ in decided] == [m.ref for m in members]
    written_to = [m.contact_id for m, d in decided if isinstance(d, Ready)]
    assert len(written_to) == len(set(written_to))
    withdrawn = {f"n{n}" for _, n, state, _ in given_people if state == "withdrawn"}
    assert not withdrawn & set(written_to)
    for member, decision in decided:
        if isinstance(decision, Drop) and decision.reason == "duplicate":
            assert member.contact_id in written_to


def test_who_shares_a_number_with_somebody_refused_is_written_to_all_the_same() -> None:
    ann, bob = Person("a", "n"), Person("b", "n")
    said = Said()
    said.say(bob, "granted")
    decided = {m.ref: d for m, d in decide_members("acme", [ann, bob], said, TEMPLATE, MARKETING)}
    assert decided["a"] == Drop("no_consent")
    assert isinstance(decided["b"], Ready)


def test_each_is_told_in_their_own_language() -> None:
    ann = Person("a", "n", locale="fr-BE")
    said = Said()
    said.say(ann, "granted")
    [(_, decision)] = decide_members("acme", [ann], said, TEMPLATE, MARKETING)
    assert isinstance(decision, Ready)
    assert (decision.text, decision.locale) == ("Salut Ann", "fr")


def test_an_attribute_cannot_hide_what_is_built_in() -> None:
    template = compile_template(
        "t", 1, "transactional", {"en": "{{ contact.ref }} {{ contact.country }} {{ contact.x | default: '-' }}"}, "en"
    )
    ann = Person("a", "n", attributes={"ref": "zzz", "x": 1})
    [(_, decision)] = decide_members("acme", [ann], Said(), template, "transactional")
    assert isinstance(decision, Ready)
    assert decision.text == "a FR -"


@given(st.lists(st.tuples(st.text(min_size=1, max_size=3), st.sampled_from("xyz")), unique_by=lambda p: p[0]))
def test_the_first_ref_of_each_number_is_chosen_in_any_order(pairs: list[tuple[str, str]]) -> None:
    chosen = first_of_each_number(pairs)
    assert chosen == first_of_each_number(list(reversed(pairs)))
    assert chosen == {min(r for r, n in pairs if n == number) for number in {n for _, n in pairs}}


@given(st.integers(0, 100))
def test_a_run_never_has_more_chunks_on_the_topic_than_are_released_ahead(released: int) -> None:
    assert 0 <= to_release(released) <= RELEASED_AHEAD
    assert released + to_release(released) == max(released, RELEASED_AHEAD)


def test_a_chunk_says_the_same_name_every_time() -> None:
    assert chunk_key("acme", "c", 3) == "acme:c:3"
    assert chunk_event_id("c", "1", 3) == "c:1:3:chunk"
