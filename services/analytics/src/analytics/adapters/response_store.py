"""What people did about messages: clicks, conversions, opt-outs; and who asked to be forgotten. Batches, in PostgreSQL."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from shared.contracts.events import ConsentChanged, ContactErased, LinkClicked, MessageReplied
from shared.db.database import Database
from shared.db.migrate import EVERYONE
from shared.kafka.publisher import Outgoing

from analytics.adapters.rollup_store import ERASED_REF, Counted, Counting
from analytics.adapters.share import SHARES as _SHARES
from analytics.adapters.share import Sent, Share
from analytics.domain.attribution import Conversion, Rule, Touch, converted, credits, rule_for
from analytics.domain.contribution import HELD_OUT, HOUR_MS, TOUCHING
from analytics.domain.opt_outs import Stance, moved
from analytics.domain.response_sums import (
    CLICK,
    CONVERSION,
    MEASURES,
    OPT_OUT,
    REPLY,
    First,
    MessagePlace,
    ResponseSums,
)

Person = tuple[str, str]  # tenant and contact_ref
RESOLVE_FOR_MS = 86_400_000  # a click that comes before its message's status waits this long for it
AGAIN_WITHIN_MS = 30_000
OPTED_OUT_WITHIN_MS = 72 * 3_600_000  # an opt-out later than this after the last message is nobody's

_OF_MESSAGE = ", ".join(
    [
        "s.campaign_id",
        "s.minute - s.minute % 3600000",
        "s.run",
        "s.variant",
        "s.segment",
        "s.country",
        "s.carrier",
        f"s.reason = '{HELD_OUT}'",
    ]
)  # a MessagePlace without its tenant
_CLICKS = (
    "INSERT INTO clicks (event_id, tenant_id, at, link_id, campaign_id, recipient, message_id, human, agent) "
    "SELECT c.event_id, c.tenant_id, c.at, c.link_id, coalesce(m.campaign_id, c.campaign_id), c.recipient, m.message_id, c.human, c.agent "
    "FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bool[], $8::text[]) "
    "AS c (event_id, tenant_id, at, link_id, campaign_id, recipient, human, agent) "
    # One message with these 36 bits, or none: two that share them are told apart by nobody. One that no carrier has
    # taken yet has no place to count under: the click waits.
    "LEFT JOIN LATERAL (SELECT min(s.message_id::text)::uuid AS message_id, min(s.campaign_id) AS campaign_id FROM message_state s "
    "WHERE s.tenant_id = c.tenant_id AND s.recipient = c.recipient HAVING count(*) = 1 AND bool_and(s.submitted)) m ON true "
    "ON CONFLICT DO NOTHING RETURNING tenant_id, campaign_id, campaign_id, message_id, link_id, human"
)
_RESOLVE = (
    "UPDATE clicks c SET message_id = m.message_id, campaign_id = m.campaign_id FROM ("
    "SELECT c.event_id, min(c.campaign_id) AS was, min(s.message_id::text)::uuid AS message_id, min(s.campaign_id) AS campaign_id "
    "FROM clicks c JOIN message_state s ON s.tenant_id = c.tenant_id AND s.recipient = c.recipient "
    "WHERE c.message_id IS NULL AND c.recipient IS NOT NULL AND c.at > $1 GROUP BY c.event_id "
    "HAVING count(*) = 1 AND bool_and(s.submitted) ORDER BY c.event_id LIMIT 5000"
    ") m WHERE c.event_id = m.event_id AND c.message_id IS NULL "
    "RETURNING c.tenant_id, m.was, c.campaign_id, c.message_id, c.link_id, c.human"
)
_REPLIES_WAITING = (
    "UPDATE replies r SET counted = true FROM message_state s WHERE NOT r.counted AND r.at > $1 "
    "AND s.message_id = r.message_id AND s.tenant_id = r.tenant_id AND s.submitted RETURNING r.tenant_id, r.message_id"
)
_FIRSTS = (
    "INSERT INTO responded AS r (tenant_id, message_id, kind, campaign_id, hour, run, variant, segment, country, carrier, held_out) "
    f"SELECT DISTINCT s.tenant_id, s.message_id, $3::text, {_OF_MESSAGE} FROM unnest($1::text[], $2::uuid[]) AS g (tenant_id, message_id) "
    "JOIN message_state s ON s.message_id = g.message_id AND s.tenant_id = g.tenant_id ORDER BY 1, 2 ON CONFLICT DO NOTHING "
    "RETURNING tenant_id, message_id, campaign_id, hour, run, variant, segment, country, carrier, held_out, "
    "ARRAY(SELECT o.kind FROM responded o WHERE o.tenant_id = r.tenant_id AND o.message_id = r.message_id)"
)
_ADD_SUMS = (
    f"INSERT INTO response_rollups AS r (tenant_id, campaign_id, hour, run, variant, segment, country, carrier, held_out, model, currency, "
    f"{', '.join(MEASURES)}, changed_at) SELECT *, $23::bigint FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], "
    "$6::text[], $7::text[], $8::text[], $9::bool[], $10::text[], $11::text[], "
    + ", ".join(f"${number}::bigint[]" for number in range(12, 12 + len(MEASURES)))
    + ") ON CONFLICT (tenant_id, campaign_id, model, hour, run, variant, segment, country, carrier, held_out, currency) DO UPDATE SET "
    + ", ".join(f"{name} = r.{name} + excluded.{name}" for name in MEASURES)
    + ", changed_at = excluded.changed_at"
)
_ADD_LINKS = (
    "INSERT INTO link_rollups AS l SELECT *, $7::bigint FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], "
    "$6::bigint[]) ON CONFLICT (tenant_id, campaign_id, link_id) DO UPDATE SET clickers = l.clickers + excluded.clickers, "
    "clicks = l.clicks + excluded.clicks, machine_clicks = l.machine_clicks + excluded.machine_clicks, last_at = excluded.last_at"
)
_PEOPLE = "unnest($1::text[], $2::text[]) AS p (tenant_id, contact_ref)"


class Responding(Counting):
    """One batch's transaction. What it sums up is written by `flush`, at its end: everyone locks the sums last."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self._sums = ResponseSums()
        self.first_clicks: list[First] = []

    @classmethod
    def within(cls, counting: Counting) -> "Responding":
        """In the transaction that counts messages."""
        return cls(counting._connection)

    async def reached(self, reached: Mapping[tuple[str, int], Counted]) -> None:
        """How far the topics are counted now."""
        await self._connection.execute(
            "UPDATE offsets o SET next_offset = g.next_offset, newest = g.newest "
            "FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[]) AS g (topic, partition, next_offset, newest) "
            "WHERE o.topic = g.topic AND o.partition = g.partition",
            [place[0] for place in reached], [place[1] for place in reached],
            [counted.next_offset for counted in reached.values()], [counted.newest for counted in reached.values()],
        )  # fmt: skip

    async def add_clicks(self, clicks: Sequence[LinkClicked]) -> None:
        rows = [
            (c.event_id, c.tenant_id, c.occurred_at, c.link_id, c.campaign_id or "", c.recipient, c.human, c.agent)
            for c in clicks
        ]
        await self._visited(
            await self._connection.fetch(_CLICKS, *(list(column) for column in zip(*rows, strict=True)))
        )

    async def resolve(self, since: int) -> None:
        """Ties clicks and replies to messages that no carrier had taken when they came."""
        await self._visited(await self._connection.fetch(_RESOLVE, since), again=True)
        await self._replied(await self._connection.fetch(_REPLIES_WAITING, since))

    async def _visited(self, rows: Sequence[Any], *, again: bool = False) -> None:
        """`again`: they were counted before, as nobody's."""
        of_messages = {(row[0], str(row[3])) for row in rows if row[3] is not None}
        places = await self._places(of_messages)
        links: dict[tuple[str, str], str] = {}
        for tenant, was, campaign, message_id, link, human in rows:
            if again:
                self._sums.visit(MessagePlace(tenant, was), human, -1)
                self._sums.link(MessagePlace(tenant, was), link, human=-int(human), machine=-int(not human))
            key = (tenant, str(message_id))
            place = places.get(key, MessagePlace(tenant, campaign))
            self._sums.visit(place, human)
            self._sums.link(place, link, human=int(human), machine=int(not human))
            if human and message_id is not None:
                links.setdefault(key, link)
        for key, first in await self._firsts(CLICK, sorted(links)):
            self._sums.link(first.place, links[key], first=1)
            self.first_clicks.append(first)

    async def add_replies(self, replies: Sequence[MessageReplied]) -> None:
        rows = await self._connection.fetch(
            "INSERT INTO replies (event_id, tenant_id, message_id, at, keyword, counted) "
            "SELECT g.event_id, g.tenant_id, g.message_id, g.at, g.keyword, coalesce(s.submitted, false) "
            "FROM unnest($1::text[], $2::text[], $3::uuid[], $4::bigint[], $5::text[]) AS g (event_id, tenant_id, message_id, at, keyword) "
            "LEFT JOIN message_state s ON s.message_id = g.message_id AND s.tenant_id = g.tenant_id "
            "ON CONFLICT DO NOTHING RETURNING tenant_id, message_id, counted",
            [r.event_id for r in replies], [r.tenant_id for r in replies], [r.message_id for r in replies],
            [r.occurred_at for r in replies], [r.keyword or "" for r in replies],
        )  # fmt: skip
        await self._replied([row[:2] for row in map(tuple, rows) if row[2]])

    async def _replied(self, rows: Sequence[Any]) -> None:
        told = [(row[0], str(row[1])) for row in rows]
        places = await self._places(set(told))
        for key in told:
            self._sums.add(places[key], "replies")
        await self._firsts(REPLY, sorted(set(told)))

    async def _places(self, messages: Collection[tuple[str, str]]) -> dict[tuple[str, str], MessagePlace]:
        if not messages:
            return {}
        rows = await self._connection.fetch(
            f"SELECT s.message_id::text, s.tenant_id, {_OF_MESSAGE} FROM unnest($1::text[], $2::uuid[]) AS g (tenant_id, message_id) "
            "JOIN message_state s ON s.message_id = g.message_id AND s.tenant_id = g.tenant_id",
            *_columns(sorted(messages)),
        )
        return {(row[1], row[0]): MessagePlace(*row[1:]) for row in map(tuple, rows)}

    async def _firsts(
        self, kind: str, messages: Sequence[tuple[str, str]]
    ) -> list[tuple[tuple[str, str], First]]:  # fmt: skip
        """Remembers that these messages answered in this way, and counts those that had not before."""
        if not messages:
            return []
        rows = await self._connection.fetch(_FIRSTS, *_columns(messages), kind)
        found = [
            ((row[0], str(row[1])), First(kind, MessagePlace(row[0], *row[2:-1]), frozenset(row[-1]))) for row in map(tuple, rows)
        ]  # fmt: skip
        self._sums.first(first for _, first in found)
        return found

    async def flush(self, now: int) -> None:
        """Adds this batch's sums. The last thing that its transaction writes."""
        lines = [(*key.place, key.model, key.currency, *counts) for key, counts in self._sums.rows().items()]
        if lines:
            await self._connection.execute(_ADD_SUMS, *(list(column) for column in zip(*lines, strict=True)), now)
        links = [(*key, *counts) for key, counts in self._sums.link_rows().items()]
        if links:
            await self._connection.execute(_ADD_LINKS, *(list(column) for column in zip(*links, strict=True)), now)
        self._sums = ResponseSums()

    async def conversions(self, event_ids: Sequence[str]) -> dict[tuple[str, str], tuple[Conversion, int]]:
        """Known ones by tenant and id, with their versions; locked."""
        rows = await self._connection.fetch(
            "SELECT tenant_id, event_id, name, at, value_micros, currency, version FROM conversions "
            "WHERE event_id = ANY($1) ORDER BY tenant_id, event_id FOR UPDATE",
            event_ids,
        )
        return {(r[0], r[1]): (Conversion(r[1], r[2], r[3], r[4], r[5]), r[6]) for r in rows}

    async def rules(self, tenants: Iterable[str]) -> dict[str, dict[str, Rule]]:
        rows = await self._connection.fetch(
            "SELECT tenant_id, campaign_id, window_ms, events FROM attribution_rules WHERE tenant_id = ANY($1)",
            sorted(set(tenants)),
        )
        found: dict[str, dict[str, Rule]] = {}
        for tenant, campaign, window, events in rows:
            found.setdefault(tenant, {})[campaign] = Rule(window, frozenset(events))
        return found

    async def erased(self, people: Sequence[Person]) -> dict[Person, int]:
        """When those who asked to be forgotten did."""
        rows = await self._connection.fetch(
            f"SELECT e.tenant_id, e.contact_ref, e.at FROM erased e JOIN {_PEOPLE} USING (tenant_id, contact_ref)",
            *_columns(people),
        )
        return {(r[0], r[1]): r[2] for r in rows}

    async def touches(self, people: Sequence[Person]) -> dict[Person, list[Touch]]:
        """Messages that a carrier took and that did not fail."""
        rows = await self._connection.fetch(
            "SELECT s.tenant_id, s.contact_ref, s.message_id, s.campaign_id, coalesce(s.submitted_at, s.minute) FROM message_state s "
            f"JOIN {_PEOPLE} USING (tenant_id, contact_ref) "
            # The partial index by person serves only who repeats its condition; any other reads all of the tenant's.
            "WHERE s.contact_ref > chr(1) AND s.submitted AND s.outcome IN ('delivered', 'pending', 'unknown')",
            *_columns(people),
        )
        found: dict[Person, list[Touch]] = {}
        for tenant, ref, message_id, campaign, at in rows:
            found.setdefault((tenant, ref), []).append(Touch(str(message_id), campaign, at))
        return found

    async def save_conversions(
        self,
        told: Sequence[tuple[Person, Conversion, int]],
        changed: Sequence[tuple[str, Conversion, Conversion]],
        now: int,
    ) -> None:
        """`told` with their versions; `changed` has what a correction replaced: tenant, before, after."""
        rows = [
            (person[0], c.event_id, person[1], c.name, c.at, c.value, c.currency, version)
            for person, c, version in told
        ]
        await self._connection.execute(
            "INSERT INTO conversions (tenant_id, event_id, contact_ref, name, at, value_micros, currency, version, received_at) "
            "SELECT *, $9::bigint FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], "
            "$7::text[], $8::int[]) ON CONFLICT (tenant_id, event_id) DO UPDATE SET (name, at, value_micros, currency, version) "
            "= (excluded.name, excluded.at, excluded.value_micros, excluded.currency, excluded.version)",
            *(list(column) for column in zip(*rows, strict=True)), now,
        )  # fmt: skip
        if changed:
            lines = [(t, b.event_id, b.value, b.currency, b.at, a.value, a.currency, a.at) for t, b, a in changed]
            await self._connection.execute(
                "INSERT INTO corrections (tenant_id, event_id, was_micros, was_currency, was_at, is_micros, is_currency, is_at, changed_at) "
                "SELECT *, $9::bigint FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], "
                "$7::text[], $8::bigint[])",
                *(list(column) for column in zip(*lines, strict=True)), now,
            )  # fmt: skip

    async def attribute(self, people: Sequence[Person], now: int) -> None:
        """Shares out again what these people's conversions earned: the result depends on what is known, not on the order
        in which it became known. What a message that is forgotten by now has earned stays as it is."""
        rows = await self._connection.fetch(
            "SELECT c.tenant_id, c.contact_ref, c.event_id, c.name, c.at, c.value_micros, c.currency FROM conversions c "
            f"JOIN {_PEOPLE} USING (tenant_id, contact_ref) ORDER BY c.tenant_id, c.event_id FOR UPDATE OF c",
            *_columns(people),
        )
        if not rows:
            return
        told: dict[Person, list[Conversion]] = {}
        for row in map(tuple, rows):
            told.setdefault(row[:2], []).append(Conversion(*row[2:]))
        owners = sorted(told)
        messages, rules = await self._messages(owners), await self.rules(person[0] for person in owners)
        known: dict[tuple[str, str], list[Share]] = {}
        for row in await self._connection.fetch(_SHARES, [row[0] for row in rows], [row[2] for row in rows]):
            share = Share.read(tuple(row))
            known.setdefault((share.place.tenant_id, share.event_id), []).append(share)
        gone: list[Share] = []
        new: list[Share] = []
        took: list[tuple[str, str]] = []
        tried: list[tuple[str, str]] = []
        for person, conversions in told.items():
            own, rule_of = messages.get(person, {}), partial(rule_for, rules.get(person[0], {}))
            touches = [message.touch for message in own.values() if message.is_touch]
            for conversion in conversions:
                before = known.get((person[0], conversion.event_id), [])
                if any(share.message_id not in own for share in before):
                    continue
                earned = credits(conversion, touches, rule_of)
                after = [Share.of(conversion, credit, own[credit.touch.message_id].place) for credit in earned]
                gone += set(before) - set(after)
                new += [share for share in after if share not in before]
            trials = [message for message in own.values() if message.is_trial and message.place.campaign_id]
            tried += [(person[0], message.touch.message_id) for message in own.values()]
            took += [
                (person[0], message.touch.message_id) for message in trials
                if converted(message.since, conversions, rule_of(message.place.campaign_id))
            ]  # fmt: skip
        await self._shares(gone, new, now)
        await self._converted(took, tried)

    async def _messages(self, people: Sequence[Person]) -> dict[Person, dict[str, Sent]]:
        """All that is known of what was meant for these people."""
        rows = await self._connection.fetch(
            "SELECT s.tenant_id, s.contact_ref, s.message_id::text, coalesce(s.submitted_at, s.minute), s.minute, s.submitted, s.outcome, "
            f"{_OF_MESSAGE} FROM message_state s JOIN {_PEOPLE} USING (tenant_id, contact_ref) "
            # The partial index by person serves only who repeats its condition; any other reads all of the tenant's.
            "WHERE s.contact_ref > chr(1)",
            *_columns(people),
        )
        found: dict[Person, dict[str, Sent]] = {}
        for tenant, ref, message_id, at, since, submitted, outcome, *place in map(tuple, rows):
            where = MessagePlace(tenant, *place)
            found.setdefault((tenant, ref), {})[message_id] = Sent(
                Touch(message_id, where.campaign_id, at), since, where, submitted and outcome in TOUCHING,
                outcome != "dropped" or where.held_out,
            )  # fmt: skip
        return found

    async def _shares(self, gone: Sequence[Share], new: Sequence[Share], now: int) -> None:
        for shares, sign in ((gone, -1), (new, 1)):
            for share in shares:
                earned = {"model": share.model, "currency": share.currency}
                self._sums.add(share.place, "shares_micros", sign * share.share, **earned)
                self._sums.add(share.place, "value_micros", sign * share.value, **earned)
        if gone:
            await self._connection.execute(
                "DELETE FROM attributions a USING unnest($1::text[], $2::text[], $3::text[], $4::uuid[]) "
                "AS e (tenant_id, event_id, model, message_id) WHERE a.tenant_id = e.tenant_id AND a.event_id = e.event_id "
                "AND a.model = e.model AND a.message_id = e.message_id",
                [s.place.tenant_id for s in gone], [s.event_id for s in gone], [s.model for s in gone], [s.message_id for s in gone],
            )  # fmt: skip
        if new:
            lines = [(s.event_id, s.model, s.message_id, s.share, s.value, s.currency, *s.place) for s in new]
            await self._connection.execute(
                "INSERT INTO attributions (event_id, model, message_id, share_micros, value_micros, currency, tenant_id, campaign_id, "
                "hour, run, variant, segment, country, carrier, held_out, changed_at) "
                "SELECT *, $16::bigint FROM unnest($1::text[], $2::text[], $3::uuid[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], "
                "$8::text[], $9::bigint[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::bool[])",
                *(list(column) for column in zip(*lines, strict=True)), now,
            )  # fmt: skip

    async def _converted(self, took: Sequence[tuple[str, str]], tried: Sequence[tuple[str, str]]) -> None:
        """Which of the messages tried were followed by what their campaign wants; those that no longer are leave."""
        rows = await self._connection.fetch(
            "DELETE FROM responded r USING unnest($1::text[], $2::uuid[]) AS g (tenant_id, message_id) "
            "WHERE r.tenant_id = g.tenant_id AND r.message_id = g.message_id AND r.kind = $3 "
            "RETURNING r.tenant_id, r.campaign_id, r.hour, r.run, r.variant, r.segment, r.country, r.carrier, r.held_out",
            *_columns(tried), CONVERSION,
        )  # fmt: skip
        self._sums.first((First(CONVERSION, MessagePlace(*row)) for row in map(tuple, rows)), -1)
        await self._firsts(CONVERSION, sorted(took))

    async def refuse(self, counts: Mapping[tuple[str, str], int], now: int) -> None:
        """Counts events that earn nothing, by tenant and reason."""
        rows = [(*place, count) for place, count in sorted(counts.items())]
        await self._connection.execute(
            "INSERT INTO refused_events AS r SELECT *, $4::bigint FROM unnest($1::text[], $2::text[], $3::bigint[]) "
            "ON CONFLICT (tenant_id, reason) DO UPDATE SET events = r.events + excluded.events, last_at = excluded.last_at",
            *(list(column) for column in zip(*rows, strict=True)), now,
        )  # fmt: skip

    async def forget(self, erased: Sequence[ContactErased]) -> None:
        """Takes the person's name from everything; what was earned stays, as nobody's in particular."""
        newest = {(e.tenant_id, e.contact_ref): e.occurred_at for e in sorted(erased, key=lambda e: e.occurred_at)}
        people = sorted(newest)
        await self._connection.execute(
            "INSERT INTO erased AS e SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]) "
            "ON CONFLICT (tenant_id, contact_ref) DO UPDATE SET at = greatest(e.at, excluded.at)",
            *_columns(people), [newest[person] for person in people],
        )  # fmt: skip
        for table in ("message_state", "conversions", "opt_outs"):
            await self._connection.execute(
                f"UPDATE {table} t SET contact_ref = '{ERASED_REF}' FROM {_PEOPLE} "
                "WHERE t.tenant_id = p.tenant_id AND t.contact_ref = p.contact_ref",
                *_columns(people),
            )
        await self._connection.execute(
            f"DELETE FROM stances t USING {_PEOPLE} WHERE t.tenant_id = p.tenant_id AND t.contact_ref = p.contact_ref",
            *_columns(people),
        )

    async def stances(self, changed: Sequence[ConsentChanged]) -> None:
        """Keeps who has opted out of marketing; an opt-out belongs to the last marketing message of the three days before."""
        people = sorted({(e.tenant_id, e.contact_ref) for e in changed})
        rows = await self._connection.fetch(
            f"SELECT s.tenant_id, s.contact_ref, s.version, s.is_out FROM stances s JOIN {_PEOPLE} USING (tenant_id, contact_ref)",
            *_columns(people),
        )
        stances, outs = moved({(r[0], r[1]): Stance(r[2], r[3]) for r in rows}, changed)
        await self._connection.execute(
            "INSERT INTO stances AS s SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bool[]) "
            "ON CONFLICT (tenant_id, contact_ref) DO UPDATE SET version = excluded.version, is_out = excluded.is_out",
            *_columns(list(stances)), [s.version for s in stances.values()], [s.is_out for s in stances.values()],
        )  # fmt: skip
        if not outs:
            return
        lines = [(e.tenant_id, e.contact_ref, e.version, e.occurred_at, e.source) for e in outs]
        rows = await self._connection.fetch(
            "INSERT INTO opt_outs (tenant_id, contact_ref, version, at, source, message_id, campaign_id) "
            "SELECT w.tenant_id, w.contact_ref, w.version, w.at, w.source, m.message_id, coalesce(m.campaign_id, '') "
            "FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[]) AS w (tenant_id, contact_ref, version, at, source) "
            "LEFT JOIN LATERAL (SELECT m.message_id, m.campaign_id FROM message_state m WHERE m.tenant_id = w.tenant_id "
            "AND m.contact_ref = w.contact_ref AND m.purpose = 'marketing' AND m.submitted_at <= w.at AND m.submitted_at > w.at - $6 "
            "ORDER BY m.submitted_at DESC LIMIT 1) m ON true RETURNING tenant_id, message_id",
            *(list(column) for column in zip(*lines, strict=True)), OPTED_OUT_WITHIN_MS,
        )  # fmt: skip
        told = [(row[0], str(row[1])) for row in rows if row[1] is not None]
        places = await self._places(set(told))
        for key in told:
            self._sums.add(places[key], "opt_outs")
        await self._firsts(OPT_OUT, sorted(set(told)))


class ResponseStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def responding(self, tenants: Iterable[str]) -> AsyncIterator[Responding]:
        async with self._database.hot(tenants) as connection:
            yield Responding(connection)

    async def resolve_clicks(self, now: int, deltas: Callable[[Sequence[First]], list[Outgoing]]) -> bool:
        """Ties clicks to messages that were not yet counted when the click was. `deltas` tells of them; whether it did."""
        async with self.responding(EVERYONE) as responding:
            await responding.resolve(now - RESOLVE_FOR_MS)
            await responding.flush(now)
            records = deltas(responding.first_clicks)
            await responding.put(records)
        return bool(records)

    async def attribute_new(self, now: int) -> None:
        """Once more for what came in just now: a message and its conversion may have been counted at the same moment,
        each by a transaction that could not see the other."""
        async with self.responding(EVERYONE) as responding:
            rows = await responding._connection.fetch(
                "SELECT DISTINCT tenant_id, contact_ref FROM conversions WHERE received_at > $1 AND contact_ref <> $2 LIMIT 5000",
                now - AGAIN_WITHIN_MS, ERASED_REF,
            )  # fmt: skip
            if rows:
                await responding.attribute([(row[0], row[1]) for row in rows], now)
                await responding.flush(now)

    async def sweep(self, now: int, keep_ms: int) -> int:
        """Forgets single messages older than `keep_ms` and what people did about them; counters stay. A slice at a time;
        answers how many messages."""
        async with self._database.hot(EVERYONE) as connection:
            gone = await connection.fetch(
                "DELETE FROM message_state WHERE message_id IN (SELECT message_id FROM message_state WHERE minute < $1 "
                "LIMIT 5000) RETURNING message_id",
                now - keep_ms,
            )
            if not gone:  # what tells of messages goes after them
                for table, column in (
                    ("clicks", "at"),
                    ("replies", "at"),
                    ("campaign_minutes", "minute"),
                    ("responded", "hour"),
                ):
                    await connection.execute(f"DELETE FROM {table} WHERE {column} < $1", now - keep_ms - HOUR_MS)
            await connection.execute("DELETE FROM erased WHERE at < $1", now - keep_ms)
            return len(gone)

    async def set_rule(self, tenant: str, campaign: str, rule: Rule, now: int) -> None:
        """The window and the events that count; what was earned under the old ones is shared out again."""
        async with self.responding(tenant) as responding:
            connection = responding._connection
            await connection.execute(
                "INSERT INTO attribution_rules VALUES ($1, $2, $3, $4) ON CONFLICT (tenant_id, campaign_id) "
                "DO UPDATE SET window_ms = excluded.window_ms, events = excluded.events",
                tenant, campaign, rule.window_ms, sorted(rule.events),
            )  # fmt: skip
            people = await connection.fetch(
                "SELECT DISTINCT contact_ref FROM conversions WHERE tenant_id = $1 AND contact_ref <> $2",
                tenant,
                ERASED_REF,
            )
            refs = [row[0] for row in people]
            for start in range(0, len(refs), 5_000):
                await responding.attribute([(tenant, ref) for ref in refs[start : start + 5_000]], now)
            await responding.flush(now)

    async def rules(self, tenant: str) -> dict[str, Rule]:
        async with self.responding(tenant) as responding:
            return (await responding.rules([tenant])).get(tenant, {})

    async def refused(self, tenant: str) -> dict[str, int]:
        async with self._database.hot(tenant) as connection:
            rows = await connection.fetch("SELECT reason, events FROM refused_events WHERE tenant_id = $1", tenant)
            return {row[0]: row[1] for row in rows}


def _columns(people: Sequence[Person]) -> tuple[list[str], list[str]]:
    return [person[0] for person in people], [person[1] for person in people]
