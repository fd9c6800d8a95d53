"""STOP, START and HELP from a handset: the number's word, applied to everyone who has the number, and its answer."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from msgspec import Struct
from shared.crypto.sealing import CannotOpenError
from shared.db.outbox import put
from shared.kafka.publisher import Outgoing

from segmenter.adapters.consent_store import ConsentStore, Entry, Number, Speaker
from segmenter.adapters.double_opt_ins import answered_by, confirmed, end
from segmenter.adapters.notices import Addressee, Notices
from segmenter.domain.answers import AnswerRules, answer_to
from segmenter.domain.consent import MARKETING, State, ref_of_number
from segmenter.domain.numbers import NumberFacts, judge
from segmenter.domain.prepare import Drop

DAY_MS: Final = 86_400_000
_STATE: Final[dict[str, Literal["granted", "withdrawn"]]] = {"stop": "withdrawn", "start": "granted"}


class OptOut(Struct, frozen=True, kw_only=True):
    """What a person texted to one of our senders. `at` in milliseconds UTC; `recipient` is our address; `number` is sealed
    by the carrier side, for the answer."""

    event_id: str
    tenant_id: str
    contact_id: str
    number_hash: str
    keyword: Literal["stop", "start", "help"]
    carrier: str
    recipient: str
    at: int
    number: bytes | None = None

    def __repr__(self) -> str:
        return f"<OptOut {self.keyword} {self.event_id}>"


class OptOuts:
    """Runs within the caller's raw transaction (`Database.hot`) for one tenant."""

    def __init__(self, consents: ConsentStore, notices: Notices) -> None:
        self._consents, self._notices = consents, notices

    async def facts(self, sealed_by: str, heard: Sequence[OptOut]) -> dict[str, NumberFacts]:
        """What is known of the numbers, by contact_id; to be asked before the transaction. One that does not open is
        left out: its word counts all the same."""
        found: dict[str, NumberFacts] = {}
        for one in heard:
            if one.number is not None and one.contact_id not in found:
                try:
                    found[one.contact_id] = judge(await self._notices.opened(sealed_by, one.number))
                except CannotOpenError:
                    continue
        return found

    async def apply(
        self, connection: Any, tenant: str, heard: Sequence[OptOut], rules: AnswerRules, facts: Mapping[str, NumberFacts], now: int
    ) -> None:  # fmt: skip
        """Idempotent by event_id: a repeat finds its lines in the ledger, and its answer is the same message."""
        words = [o for o in heard if o.keyword != "help"]
        numbers = {o.contact_id: Number(o.contact_id, o.number_hash) for o in words}
        people: dict[str, list[Speaker]] = {contact_id: [] for contact_id in numbers}
        for speaker in await self._consents.lock_sharing(connection, tenant, list(numbers)):
            if speaker.contact_id is not None:
                people[speaker.contact_id].append(speaker)
        nobody = {ref_of_number(n.contact_id): n for n in numbers.values() if not people[n.contact_id]}
        if nobody:
            for speaker in (await self._consents.lock(connection, tenant, nobody, now, nobody)).values():
                people[nobody[speaker.ref].contact_id].append(speaker)
        held = {
            speaker.ref: speaker.stances[MARKETING].state if MARKETING in speaker.stances else None
            for sharing in people.values()
            for speaker in sharing
        }
        entries: list[Entry] = []
        answers: list[OptOut] = [o for o in heard if o.keyword == "help"]
        for word in words:
            refs = [speaker.ref for speaker in people[word.contact_id]]
            entries += await self._entries(connection, tenant, word, refs, now)
            if self._says_something_new(word, refs, held):
                answers.append(word)
        if entries:
            await self._consents.record(connection, tenant, entries, now)
        await put(connection, await self._answers(connection, tenant, answers, rules, facts, now))

    async def _entries(self, connection: Any, tenant: str, word: OptOut, refs: Sequence[str], now: int) -> list[Entry]:
        """The ledger's lines: of a START what it confirms, else the word for everyone who has the number."""
        asked = await answered_by(connection, tenant, word.contact_id, word.at)
        await end(connection, tenant, asked, "confirmed" if word.keyword == "start" else "refused", now)
        heard = f"text to {word.recipient} over {word.carrier}, event {word.event_id}"
        entries: list[Entry] = []
        if word.keyword == "start":
            entries = [confirmed(row, heard, word.at, "handset") for row in asked]
        told = {entry.ref for entry in entries if entry.purpose == MARKETING}
        return entries + [
            Entry(f"{word.event_id}:{ref}", ref, MARKETING, _STATE[word.keyword], f"keyword {word.keyword}", heard, word.at, "handset")
            for ref in refs if ref not in told
        ]  # fmt: skip

    @staticmethod
    def _says_something_new(word: OptOut, refs: Sequence[str], held: dict[str, State | None]) -> bool:
        """Whether somebody's stance changes: only then an answer is due, so that two programmes that answer each other
        fall silent. Takes the word into `held`."""
        state = _STATE[word.keyword]
        new = any(held[ref] not in (state, "suppressed") for ref in refs)
        held.update((ref, state) for ref in refs)
        return new

    async def _answers(
        self, connection: Any, tenant: str, due: Sequence[OptOut], rules: AnswerRules, facts: Mapping[str, NumberFacts], now: int
    ) -> list[Outgoing]:  # fmt: skip
        known = await connection.fetch(
            "SELECT DISTINCT ON (contact_id) contact_id, ref, locale FROM contacts WHERE tenant_id = $1 AND contact_id = ANY($2::text[]) "
            "ORDER BY contact_id, ref",
            tenant, [o.contact_id for o in due],
        )  # fmt: skip
        people = {row["contact_id"]: row for row in known}
        records: list[Outgoing] = []
        for one in due:
            number = facts.get(one.contact_id)
            if number is None or number.problem is not None:
                continue
            person = people.get(one.contact_id)
            locale = person["locale"] if person else None
            text = answer_to(rules, one.keyword, number.country, locale)
            if text is None:
                continue
            to = Addressee(one.contact_id, one.number_hash, number, person["ref"] if person else None, locale)
            # One answer to HELP a day, whatever else writes HELP back.
            source = (
                ("help", one.contact_id, str(one.at // DAY_MS)) if one.keyword == "help" else ("answer", one.event_id)
            )
            born_at = one.at // DAY_MS * DAY_MS if one.keyword == "help" else one.at
            told = self._notices.record(
                tenant, to, text, one.recipient, f"answers@{rules.version}", born_at, now, *source
            )
            if not isinstance(told, Drop):
                records.append(told[1])
        return records
