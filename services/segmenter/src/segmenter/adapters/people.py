"""Everyone a batch of messages is for: contacts, stances and suppressions, one query each, whatever the batch's size."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from segmenter.domain.consent import NONE, Stances

_STANCES = msgspec.json.Decoder(Stances)
_BRANDS = msgspec.json.Decoder(dict[str, str])
BRANDS_RULE = "brands"
_ATTRIBUTES = msgspec.json.Decoder(dict[str, Any])


class Known(NamedTuple):
    """The contact behind a number, as far as an API message needs it."""

    ref: str
    locale: str | None
    time_zone: str | None


class Voices(NamedTuple):
    """What was said about a batch's numbers: stances by ref and by contact_id, and the suppressed contact_ids; and whose
    brand each sender is, by tenant."""

    by_ref: dict[tuple[str, str], Stances]
    by_number: dict[str, list[Stances]]
    suppressed: set[str]
    brands: Mapping[str, Mapping[str, str]] = MappingProxyType({})

    def sharing(self, contact_id: str) -> list[Stances]:
        return self.by_number.get(contact_id, [])


class Member(NamedTuple):
    """A contact of a campaign's audience. `number` is sealed at rest. The repr shows refs only."""

    ref: str
    contact_id: str
    number_hash: str
    number: bytes
    number_problem: str | None
    country: str
    prefix: str
    locale: str | None
    time_zone: str | None
    attributes: dict[str, Any]

    def __repr__(self) -> str:
        return f"<Member {self.ref}>"


NO_VOICES = Voices({}, {}, set())


async def load_known(connection: Any, contact_ids: Sequence[str]) -> dict[str, list[Known]]:
    """Contacts by number, in the order of their refs. Row-level security keeps to the transaction's tenants."""
    found: dict[str, list[Known]] = {}
    for row in await connection.fetch(
        "SELECT contact_id, ref, locale, time_zone FROM contacts WHERE contact_id = ANY($1::text[]) ORDER BY ref",
        contact_ids,
    ):
        found.setdefault(row[0], []).append(Known(row[1], row[2], row[3]))
    return found


async def load_voices(connection: Any, tenants: Iterable[str], contact_ids: Sequence[str]) -> Voices:
    """What decides on marketing to these numbers."""
    if not contact_ids:
        return NO_VOICES
    by_ref: dict[tuple[str, str], Stances] = {}
    by_number: dict[str, list[Stances]] = {}
    decoded: dict[str, Stances] = {"{}": NONE}
    barred: set[str] = set()
    for tenant, ref, contact_id, purposes, everywhere in await connection.fetch(
        "SELECT tenant_id, contact_ref, contact_id, purposes, EXISTS (SELECT FROM global_suppressions g "
        "WHERE g.number_hash = s.number_hash) FROM consent_state s WHERE contact_id = ANY($1::text[])",
        contact_ids,
    ):
        if everywhere:
            barred.add(contact_id)
        stances = decoded.get(purposes)
        if stances is None:
            stances = decoded[purposes] = _STANCES.decode(purposes)
        by_ref[tenant, ref] = stances
        by_number.setdefault(contact_id, []).append(stances)
    rows = await connection.fetch(
        "SELECT contact_id FROM suppressions WHERE tenant_id = ANY($1::text[]) AND contact_id = ANY($2::text[])",
        sorted(set(tenants)), contact_ids,
    )  # fmt: skip
    return Voices(by_ref, by_number, barred | {row[0] for row in rows}, await load_brands(connection, tenants))


async def load_brands(connection: Any, tenants: Iterable[str]) -> dict[str, dict[str, str]]:
    """Whose brand each sender is, for the tenants that say so."""
    rows = await connection.fetch(
        "SELECT tenant_id, body FROM tenant_rules WHERE tenant_id = ANY($1::text[]) AND kind = $2",
        sorted(set(tenants)),
        BRANDS_RULE,
    )
    return {row["tenant_id"]: _BRANDS.decode(row["body"]) for row in rows}


def member_columns(alias: str = "") -> str:
    """The columns of a `Member`, in its order."""
    names = ("ref", "contact_id", "number_hash", "number", "number_problem", "country", "prefix", "locale")
    zone = f"COALESCE({alias}time_zone, {alias}number_zone)"
    return ", ".join([*(alias + name for name in names), zone, f"{alias}attributes"])


def member_of(row: Any) -> Member:
    return Member(row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], _ATTRIBUTES.decode(row[9]))


async def load_members(connection: Any, tenant: str, refs: Sequence[str]) -> list[Member]:
    """Those of the refs that are still contacts, in the order of their refs."""
    rows = await connection.fetch(
        f"SELECT {member_columns()} FROM contacts WHERE tenant_id = $1 AND ref = ANY($2::text[]) ORDER BY ref",
        tenant,
        refs,
    )
    return [member_of(row) for row in rows]


async def longest_values(connection: Any, tenant: str, names: Sequence[str]) -> dict[str, Any]:
    """The longest value of each attribute among two thousand contacts."""
    rows = await connection.fetch(
        "SELECT DISTINCT ON (n.name) n.name, c.attributes -> n.name FROM "
        "(SELECT attributes FROM contacts WHERE tenant_id = $1 ORDER BY contact_id LIMIT 2000) AS c, unnest($2::text[]) AS n (name) "
        "WHERE c.attributes ? n.name ORDER BY n.name, length(c.attributes ->> n.name) DESC",
        tenant, list(names),
    )  # fmt: skip
    return {row[0]: msgspec.json.decode(row[1]) for row in rows}
