"""Numbers that an older key sealed are sealed again under this quarter's, some at a time."""

from typing import Any, Final

from segmenter.adapters.at_rest import AtRest

AT_ONCE: Final = 2000


async def reseal(connection: Any, at_rest: AtRest, limit: int = AT_ONCE) -> int:
    """How many were sealed again; fewer than `limit`: none is left. The transaction is for EVERYONE."""
    head = at_rest.head
    rows = await connection.fetch(
        "SELECT tenant_id, ref, contact_id, number FROM contacts WHERE substring(number FROM 1 FOR $1) <> $2 "
        "LIMIT $3 FOR UPDATE SKIP LOCKED",
        len(head), head, limit,
    )  # fmt: skip
    sealed = [
        at_rest.seal(r["tenant_id"], r["contact_id"], at_rest.open(r["tenant_id"], r["contact_id"], r["number"]))
        for r in rows
    ]
    await connection.execute(
        "UPDATE contacts AS c SET number = n.number FROM unnest($1::text[], $2::text[], $3::bytea[]) AS n (tenant_id, ref, number) "
        "WHERE c.tenant_id = n.tenant_id AND c.ref = n.ref",
        [r["tenant_id"] for r in rows], [r["ref"] for r in rows], sealed,
    )  # fmt: skip
    return len(rows)
