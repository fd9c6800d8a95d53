"""The queue of callbacks: written with the ledger, worked through by `CallbackWorker`."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from dlr_processor.domain.addresses import origin_of
from dlr_processor.domain.fold import Change
from dlr_processor.domain.ledger import Message
from dlr_processor.domain.tell import callback_body, wanted

LEASE_MS = (
    30_000  # of a receiver: longer than a call may take; a worker that dies leaves its receivers to the others after it
)
RENEW_MS = 10_000
GIVE_UP_MS = 4 * 86_400_000  # past the last try of the schedule


class Endpoint(NamedTuple):
    endpoint_id: str
    url: str
    events: list[str]


class Receiver(NamedTuple):
    """Whom a callback goes to, how, and the closed secrets that sign it, newest first."""

    tenant_id: str
    secrets: list[bytes]
    shape: str = "standard"
    batch: int = 1


class Health(Struct):
    """What has become of the calls to one receiver since the last record of it."""

    tenant_id: str
    failures: int = 0
    paused_until: int = 0
    last_outcome: str = ""
    delivered_at: int | None = None
    failed_at: int | None = None
    delivered: int = 0
    failed: int = 0


class Done(NamedTuple):
    """A callback that has ended: `delivered`, `given_up` or `refused`."""

    id: int
    outcome: str
    tries: int


class Call(NamedTuple):
    """One callback to make."""

    id: int
    tenant_id: str
    message_id: str
    version: int
    target: str
    endpoint_id: str | None
    url: str
    body: str
    tries: int

    @property
    def webhook_id(self) -> str:
        """The same over all tries, so that a receiver can tell a repeat."""
        return f"msg_{self.message_id}_{self.version}"


async def endpoints_of(connection: Any, tenants: Iterable[str]) -> dict[str, list[Endpoint]]:
    rows = await connection.fetch(
        "SELECT tenant_id, endpoint_id, url, events FROM callback_endpoints WHERE tenant_id = ANY($1::text[])",
        list(tenants),
    )
    found: dict[str, list[Endpoint]] = defaultdict(list)
    for row in rows:
        found[row["tenant_id"]].append(Endpoint(str(row["endpoint_id"]), row["url"], row["events"]))
    return found


async def enqueue(
    connection: Any,
    changes: Sequence[Change],
    endpoints: Mapping[str, Sequence[Endpoint]],
    now: int,
    *,
    own_urls: bool = True,
) -> int:
    """One row for each change and receiver that wants it. Within the ledger's transaction; how many. `own_urls`: the
    messages' own addresses too."""
    rows: list[tuple[Message, str, str | None, str, str]] = []
    for change in changes:
        m = change.message
        mine = endpoints.get(m.tenant_id, ())
        if (m.callback_url is None and not mine) or not change.forward:
            continue
        body = None
        for endpoint in mine:
            if wanted(change, endpoint.events):
                body = body or msgspec.json.encode(callback_body(change)).decode()
                rows.append((m, endpoint.endpoint_id, endpoint.endpoint_id, endpoint.url, body))
        if own_urls and m.callback_url is not None and wanted(change, ()):
            body = body or msgspec.json.encode(callback_body(change)).decode()
            rows.append((m, f"{m.tenant_id} {origin_of(m.callback_url)}", None, m.callback_url, body))
    if rows:
        await connection.execute(
            "INSERT INTO callback_queue (tenant_id, message_id, version, target, endpoint_id, url, body, due_at, made_at) "
            "SELECT t, m, v, g, e, u, b, $8, $8 FROM unnest($1::text[], $2::uuid[], $3::int[], $4::text[], $5::uuid[], "
            "$6::text[], $7::text[]) AS given (t, m, v, g, e, u, b)",
            [m.tenant_id for m, *_ in rows],
            [m.message_id for m, *_ in rows],
            [m.version for m, *_ in rows],
            [target for _, target, _, _, _ in rows],
            [endpoint_id for _, _, endpoint_id, _, _ in rows],
            [url for _, _, _, url, _ in rows],
            [body for _, _, _, _, body in rows],
            now,
        )
    return len(rows)


async def targets(connection: Any) -> dict[str, int]:
    """Receivers with anything queued, and how many each takes in one call: one index probe for each, however long the
    queue."""
    rows = await connection.fetch(
        "WITH RECURSIVE t AS ((SELECT target FROM callback_queue ORDER BY target LIMIT 1) UNION ALL "
        "SELECT (SELECT q.target FROM callback_queue q WHERE q.target > t.target ORDER BY q.target LIMIT 1) "
        "FROM t WHERE t.target IS NOT NULL) SELECT t.target, coalesce(e.batch, 1) FROM t "
        "LEFT JOIN callback_endpoints e ON e.endpoint_id::text = t.target WHERE t.target IS NOT NULL"
    )
    return dict(map(tuple, rows))


async def lease(connection: Any, wanted: Iterable[str], owner: str, now: int) -> set[str]:
    """Those of the receivers that this worker may call for LEASE_MS from now. One worker serves a receiver, so that
    taking a callback from the queue writes nothing: a lease is a row a receiver, not a write a callback."""
    rows = await connection.fetch(
        "INSERT INTO callback_leases AS l SELECT t, $2, $3 FROM unnest($1::text[]) AS t ON CONFLICT (target) DO UPDATE "
        "SET owner = excluded.owner, until = excluded.until WHERE l.owner = excluded.owner OR l.until < $4 RETURNING target",
        sorted(wanted), owner, now + LEASE_MS, now,
    )  # fmt: skip
    return {row[0] for row in rows}


async def release(connection: Any, owner: str) -> None:
    """Leaves the worker's receivers to whoever wants them."""
    await connection.execute("DELETE FROM callback_leases WHERE owner = $1", owner)


async def claim(connection: Any, room: Mapping[str, int], held: Iterable[int], now: int) -> list[Call]:
    """Up to `room` due callbacks for each leased target, but those `held`: in this worker's hands already. Of one message
    at one target only the oldest is ever given out: so they arrive in order."""
    rows = await connection.fetch(
        "SELECT q.* FROM unnest($1::text[], $2::int[]) AS t (target, room) CROSS JOIN LATERAL ("
        "SELECT c.id, c.tenant_id, c.message_id::text, c.version, c.target, c.endpoint_id::text, c.url, c.body, c.tries "
        "FROM callback_queue c WHERE c.target = t.target AND c.due_at <= $3 AND c.id <> ALL($4::bigint[]) AND NOT EXISTS ("
        "SELECT 1 FROM callback_queue e WHERE e.message_id = c.message_id AND e.target = c.target AND e.id < c.id) "
        "ORDER BY c.due_at, c.id LIMIT t.room) q",
        list(room), list(room.values()), now, list(held),
    )  # fmt: skip
    return [Call(*row) for row in rows]


async def finish(connection: Any, done: Sequence[Done], again: Sequence[tuple[int, int, int]], now: int) -> None:
    """Moves the finished ones to the record of callbacks made; puts off the others: (id, tries, due_at)."""
    if done:
        await connection.execute(
            # Each is looked up by its id; nothing is joined afterwards, which without hash joins would take n times n.
            "WITH gone AS (DELETE FROM callback_queue q USING unnest($1::bigint[], $2::text[], $3::int[]) AS e (id, outcome, tries) "
            "WHERE q.id = e.id RETURNING q.id, q.message_id, q.tenant_id, q.version, q.endpoint_id, q.made_at, e.outcome, e.tries) "
            "INSERT INTO callbacks_made (message_id, day, id, tenant_id, version, endpoint_id, outcome, tries, made_at, "
            "ended_at) SELECT message_id, ('x' || left(message_id::text, 8))::bit(32)::bigint / 86400, id, "
            "tenant_id, version, endpoint_id, outcome, tries, made_at, $4 FROM gone ON CONFLICT DO NOTHING",
            *zip(*done, strict=True), now,
        )  # fmt: skip
    if again:
        ids, tries, due = zip(*again, strict=True)
        await connection.execute(
            "UPDATE callback_queue c SET tries = g.tries, due_at = g.due_at "
            "FROM unnest($1::bigint[], $2::int[], $3::bigint[]) AS g (id, tries, due_at) WHERE c.id = g.id",
            list(ids), list(tries), list(due),
        )  # fmt: skip


async def record_health(connection: Any, found: Mapping[str, Health]) -> None:
    """Adds to what is known of receivers; locks in an order that all replicas share."""
    rows = [(target, *msgspec.structs.astuple(health)) for target, health in sorted(found.items())]
    if rows:
        await connection.execute(
            "INSERT INTO callback_health AS h (target, tenant_id, failures, paused_until, last_outcome, delivered_at, "
            "failed_at, delivered, failed) SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[], "
            "$5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[]) ON CONFLICT (target) DO UPDATE SET "
            "failures = excluded.failures, paused_until = excluded.paused_until, last_outcome = excluded.last_outcome, "
            "delivered_at = coalesce(excluded.delivered_at, h.delivered_at), "
            "failed_at = coalesce(excluded.failed_at, h.failed_at), delivered = h.delivered + excluded.delivered, "
            "failed = h.failed + excluded.failed",
            *zip(*rows, strict=True),
        )  # fmt: skip


async def receivers_of(
    connection: Any, calls: Sequence[Call], now: int
) -> tuple[dict[str, Receiver], dict[str, list[bytes]]]:
    """Receivers by endpoint, and closed default secrets by tenant."""
    endpoint_ids = list({call.endpoint_id for call in calls if call.endpoint_id is not None})
    tenants = list({call.tenant_id for call in calls if call.endpoint_id is None})
    by_endpoint, by_tenant = {}, {}
    if endpoint_ids:
        for row in await connection.fetch(
            "SELECT endpoint_id::text, tenant_id, secret, previous, previous_until, shape, batch FROM callback_endpoints "
            "WHERE endpoint_id = ANY($1::uuid[])", endpoint_ids,
        ):  # fmt: skip
            by_endpoint[row[0]] = Receiver(row[1], _valid(row[2], row[3], row[4], now), row[5], row[6])
    if tenants:
        for row in await connection.fetch(
            "SELECT tenant_id, secret, previous, previous_until FROM callback_secrets WHERE tenant_id = ANY($1::text[])",
            tenants,
        ):
            by_tenant[row[0]] = _valid(row[1], row[2], row[3], now)
    return by_endpoint, by_tenant


def _valid(secret: bytes, previous: bytes | None, until: int | None, now: int) -> list[bytes]:
    return [secret, previous] if previous is not None and (until or 0) > now else [secret]


async def make_default_secret(connection: Any, tenant: str, closed: bytes, now: int) -> bytes:
    """The tenant's default secret; made now if there is none."""
    await connection.execute(
        "INSERT INTO callback_secrets (tenant_id, secret, made_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        tenant, closed, now,
    )  # fmt: skip
    found = await connection.fetchval("SELECT secret FROM callback_secrets WHERE tenant_id = $1", tenant)
    return bytes(found)


async def give_up(connection: Any, now: int) -> int:
    result = await connection.execute("DELETE FROM callback_queue WHERE made_at < $1", now - GIVE_UP_MS)
    return int(result.split()[-1])
