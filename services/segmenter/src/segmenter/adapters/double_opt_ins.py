"""Double opt-ins in PostgreSQL: asked, waiting, confirmed by a handset's word or by a code."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from segmenter.adapters.consent_store import Entry
from segmenter.domain.double_opt_in import LASTS_MS, MOST_TRIES, Method

SOURCE = "double opt-in"


class Asked(NamedTuple):
    id: str
    ref: str
    contact_id: str
    purpose: str
    method: Method
    code_hash: str | None
    source: str
    proof: str
    message_id: str
    wording: str


async def waiting_for(connection: Any, tenant: str, ref: str, purpose: str, now: int) -> Any:
    """The request that already waits for this person's answer, or None."""
    return await connection.fetchrow(
        "SELECT id, message_id, expires_at FROM double_opt_ins WHERE tenant_id = $1 AND contact_ref = $2 AND purpose = $3 "
        "AND state = 'pending' AND expires_at > $4",
        tenant, ref, purpose, now,
    )  # fmt: skip


async def ask(connection: Any, tenant: str, asked: Asked, now: int) -> int:
    """When it expires."""
    await connection.execute(
        "INSERT INTO double_opt_ins (tenant_id, id, contact_ref, contact_id, purpose, method, code_hash, source, proof, message_id, wording, "
        "state, tries, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'pending', 0, $12, $13)",
        tenant, *asked, now, now + LASTS_MS,
    )  # fmt: skip
    return now + LASTS_MS


async def find(connection: Any, tenant: str, opt_in: str, *, lock: bool = False) -> Any:
    return await connection.fetchrow(
        f"SELECT * FROM double_opt_ins WHERE tenant_id = $1 AND id = $2 {'FOR UPDATE' if lock else ''}", tenant, opt_in
    )


async def try_code(connection: Any, tenant: str, row: Any, code_hash: str, now: int) -> str | None:
    """Why the code does not confirm the locked request; None when it does."""
    if row["state"] != "pending" or row["method"] != "code":
        return "this request waits for no code"
    if row["expires_at"] <= now:
        return "this request has expired: ask again"
    if row["tries"] >= MOST_TRIES:
        return "too many wrong codes: ask again"
    if row["code_hash"] == code_hash:
        return None
    await connection.execute(
        "UPDATE double_opt_ins SET tries = tries + 1 WHERE tenant_id = $1 AND id = $2", tenant, row["id"]
    )
    return "this is not the code"


async def end(connection: Any, tenant: str, rows: Sequence[Any], state: str, now: int) -> None:
    await connection.execute(
        "UPDATE double_opt_ins SET state = $3, ended_at = $4 WHERE tenant_id = $1 AND id = ANY($2::text[])",
        tenant, [row["id"] for row in rows], state, now,
    )  # fmt: skip


async def answered_by(connection: Any, tenant: str, contact_id: str, at: int) -> list[Any]:
    """Requests that a word from this number at this moment answers, locked."""
    return list(
        await connection.fetch(
            "SELECT * FROM double_opt_ins WHERE tenant_id = $1 AND contact_id = $2 AND state = 'pending' "
            "AND created_at <= $3 AND expires_at > $3 ORDER BY id FOR UPDATE",
            tenant, contact_id, at,
        )
    )  # fmt: skip


def confirmed(row: Any, how: str, at: int, by: str) -> Entry:
    """The ledger's line: what was asked, where the person first said yes, and what confirmed it."""
    proof = f"{row['proof']}; asked by message {row['message_id']}, confirmed by {how}"[:2000]
    return Entry(
        f"double-opt-in:{row['id']}",
        row["contact_ref"],
        row["purpose"],
        "granted",
        f"{SOURCE}, {row['source']}"[:200],
        proof,
        at,
        by,
        row["wording"],
    )
