"""Campaigns, their runs and the chunks of a run's audience.

Locks are taken in one order everywhere: campaign, run, chunks. Whatever changes a campaign's state raises its version
and puts a record for `sms.campaign.changed` into the outbox in the same transaction.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from shared.contracts.events import CampaignChanged, CampaignChunk
from shared.contracts.topics import CAMPAIGN, CHUNK
from shared.db.outbox import put
from shared.kafka.publisher import Outgoing, Publisher

from segmenter.domain.chunking import (
    CHUNK_NUMBERS,
    RELEASED_AHEAD,
    STALE_AFTER_MS,
    chunk_event_id,
    chunk_key,
    to_release,
)
from segmenter.domain.compile_filter import Condition

_COUNTS = msgspec.json.Decoder(dict[str, int])


class RunKey(NamedTuple):
    tenant: str
    campaign: str
    run: str


class ChunkKey(NamedTuple):
    tenant: str
    campaign: str
    run: str
    chunk: int

    @property
    def of_run(self) -> RunKey:
        return RunKey(self.tenant, self.campaign, self.run)


class Run(NamedTuple):
    """What a run does, fixed at its launch."""

    key: RunKey
    state: str
    born_at: int
    segment: str
    template: str
    template_version: int
    purpose: str
    sender: str | None
    validity_s: int


class Chunk(NamedTuple):
    key: ChunkKey
    refs: list[str]


class Outcome(NamedTuple):
    """What came of a chunk's people."""

    prepared: int
    dropped: Mapping[str, int]


class CampaignStore:
    """Methods run within the caller's raw transaction (`Database.hot`)."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def find(self, connection: Any, tenant: str, campaign: str, *, lock: bool = False) -> Any:
        """The campaign's row, or None."""
        return await connection.fetchrow(
            f"SELECT * FROM campaigns WHERE tenant_id = $1 AND id = $2{' FOR UPDATE' if lock else ''}", tenant, campaign
        )

    async def find_run(self, connection: Any, key: RunKey) -> Any:
        return await connection.fetchrow(
            "SELECT * FROM runs WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3", *key
        )

    async def store(self, connection: Any, tenant: str, campaign: str, said: Mapping[str, Any], now: int) -> int:
        """Writes a draft; answers its version. The caller holds the lock on an existing one."""
        version: int = await connection.fetchval(
            "INSERT INTO campaigns AS c (tenant_id, id, name, segment, template, purpose, sender, validity_s, state, version, created_at, updated_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'draft', 1, $9, $9) "
            "ON CONFLICT (tenant_id, id) DO UPDATE SET name = $3, segment = $4, template = $5, purpose = $6, sender = $7, validity_s = $8, "
            "state = 'draft', version = c.version + 1, updated_at = $9 RETURNING version",
            tenant, campaign, said["name"], said["segment"], said["template"], said["purpose"], said["sender"], said["validity_s"], now,
        )  # fmt: skip
        await put(connection, [self._changed(tenant, campaign, version, "draft", None, now)])
        return version

    async def move(self, connection: Any, row: Any, state: str, run: str | None, now: int) -> int:
        """Another state for a locked campaign and its run; answers the version."""
        version = int(row["version"]) + 1
        await connection.execute(
            "UPDATE campaigns SET state = $3, version = $4, run = $5, updated_at = $6 WHERE tenant_id = $1 AND id = $2",
            row["tenant_id"], row["id"], state, version, run, now,
        )  # fmt: skip
        if run is not None:
            await connection.execute(
                "UPDATE runs SET state = $4, ended_at = $5 WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3",
                row["tenant_id"], row["id"], run, state, now if state in ("cancelled", "completed") else None,
            )  # fmt: skip
        await put(connection, [self._changed(row["tenant_id"], row["id"], version, state, run, now)])
        return version

    async def launch(
        self, connection: Any, campaign: Any, segment: Any, template: Any, audience: Condition, now: int
    ) -> RunKey:
        """Fixes the audience in chunks and starts the run. `audience`'s placeholders start at $4."""
        tenant, campaign_id = campaign["tenant_id"], campaign["id"]
        run = str(campaign["runs"] + 1)
        key = RunKey(tenant, campaign_id, run)
        await connection.execute(
            "INSERT INTO runs (tenant_id, campaign_id, run, state, born_at, segment, segment_version, filter, template, template_version, "
            "purpose, sender, validity_s, audience, chunks) VALUES ($1, $2, $3, 'running', $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, 0)",
            *key, now, segment["id"], segment["version"], segment["filter"], template["id"], template["version"],
            campaign["purpose"], campaign["sender"], campaign["validity_s"],
        )  # fmt: skip
        # Numbers that get no SMS stand for themselves, else one wrong number given by thousands would be one chunk.
        shared = "CASE WHEN c.number_problem IS NULL THEN c.contact_id ELSE md5(c.ref) END"
        await connection.execute(
            "INSERT INTO chunks (tenant_id, campaign_id, run, chunk, refs, state) "
            "SELECT $1, $2, $3, chunk, array_agg(ref ORDER BY ref), 'waiting' FROM ("
            f"SELECT c.ref, (dense_rank() OVER (ORDER BY {shared}) - 1) / {CHUNK_NUMBERS} AS chunk FROM contacts c "
            f"WHERE c.tenant_id = $1 AND {audience.sql}) AS members GROUP BY chunk",
            *key, *audience.params,
        )  # fmt: skip
        size = await connection.fetchrow(
            "UPDATE runs SET (audience, chunks) = (SELECT COALESCE(sum(cardinality(refs)), 0), count(*) FROM chunks c "
            "WHERE c.tenant_id = $1 AND c.campaign_id = $2 AND c.run = $3) "
            "WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3 RETURNING chunks",
            *key,
        )
        await connection.execute(
            "UPDATE campaigns SET runs = runs + 1 WHERE tenant_id = $1 AND id = $2", tenant, campaign_id
        )
        version = await self.move(connection, campaign, "running", run, now)
        if size["chunks"]:
            await self.release(connection, key, now)
        else:  # nobody to write to: launched and done
            await self.move(connection, {**dict(campaign), "version": version}, "completed", run, now)
        return key

    async def release(self, connection: Any, key: RunKey, now: int) -> None:
        """Puts chunks of a running run on the topic until enough are there. The caller holds the lock on the run."""
        released = await connection.fetchval(
            "SELECT count(*) FROM chunks WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3 AND state = 'released'",
            *key,
        )
        rows = await connection.fetch(
            "UPDATE chunks SET state = 'released', released_at = $4 WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3 "
            "AND chunk IN (SELECT chunk FROM chunks WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3 AND state = 'waiting' "
            "ORDER BY chunk LIMIT $5) RETURNING chunk, cardinality(refs) AS size",
            *key, now, to_release(released),
        )  # fmt: skip
        await put(connection, [self._chunk(key, row["chunk"], row["size"], now) for row in rows])

    async def cancel_chunks(self, connection: Any, key: RunKey) -> None:
        """All that is not done yet stays unsent. The caller holds the lock on the run."""
        await connection.execute(
            "UPDATE chunks SET state = 'cancelled' WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3 AND state IN ('waiting', 'released')",
            *key,
        )

    async def take(self, connection: Any, keys: Sequence[ChunkKey]) -> tuple[dict[RunKey, Run], list[Chunk]]:
        """Of chunks read from the topic those to expand now, with their runs.

        Chunks of a paused run go back to waiting: resuming puts them on the topic again.
        """
        runs = await self._runs(connection, {key.of_run for key in keys})
        paused = [key for key in keys if key.of_run in runs and runs[key.of_run].state == "paused"]
        if paused:
            await connection.execute(
                "UPDATE chunks SET state = 'waiting', released_at = NULL WHERE state = 'released' AND "
                "(tenant_id, campaign_id, run, chunk) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[]))",
                *zip(*paused, strict=True),
            )
        going = [key for key in keys if key.of_run in runs and runs[key.of_run].state == "running"]
        if not going:
            return runs, []
        rows = await connection.fetch(
            "SELECT tenant_id, campaign_id, run, chunk, refs FROM chunks WHERE state IN ('waiting', 'released') AND "
            "(tenant_id, campaign_id, run, chunk) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[])) "
            "ORDER BY tenant_id, campaign_id, run, chunk",
            *zip(*going, strict=True),
        )
        return runs, [Chunk(ChunkKey(r[0], r[1], r[2], r[3]), r[4]) for r in rows]

    async def _runs(self, connection: Any, keys: set[RunKey]) -> dict[RunKey, Run]:
        """The lock keeps a pause or a resume from passing between what is read here and what is written for it."""
        rows = await connection.fetch(
            "SELECT tenant_id, campaign_id, run, state, born_at, segment, template, template_version, purpose, sender, validity_s "
            "FROM runs WHERE (tenant_id, campaign_id, run) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[])) "
            "ORDER BY tenant_id, campaign_id, run FOR SHARE",
            *zip(*sorted(keys), strict=True),
        )
        return {RunKey(r[0], r[1], r[2]): Run(RunKey(r[0], r[1], r[2]), *tuple(r)[3:]) for r in rows}

    async def finish(self, connection: Any, outcomes: Mapping[ChunkKey, Outcome], now: int) -> None:
        """Marks chunks done after their messages were published, releases the next ones, and ends runs that are through."""
        for key in sorted({k.of_run for k in outcomes}):
            campaign = await self.find(connection, key.tenant, key.campaign, lock=True)
            of_run = {k.chunk: outcome for k, outcome in outcomes.items() if k.of_run == key}
            rows = await connection.fetch(
                "UPDATE chunks SET state = 'done', done_at = $5 WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3 "
                "AND chunk = ANY($4::int[]) AND state <> 'done' RETURNING chunk",
                *key, list(of_run), now,
            )  # fmt: skip
            await self._count(connection, key, [of_run[row["chunk"]] for row in rows])
            run = await self.find_run(connection, key)
            if run["state"] == "running" and run["chunks_done"] == run["chunks"]:
                await self.move(connection, campaign, "completed", key.run, now)
            elif run["state"] == "running":
                await self.release(connection, key, now)

    async def _count(self, connection: Any, key: RunKey, outcomes: Sequence[Outcome]) -> None:
        held = await connection.fetchval(
            "SELECT dropped FROM runs WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3 FOR UPDATE", *key
        )
        dropped = _COUNTS.decode(held)
        for outcome in outcomes:
            for reason, count in outcome.dropped.items():
                dropped[reason] = dropped.get(reason, 0) + count
        await connection.execute(
            "UPDATE runs SET chunks_done = chunks_done + $4, prepared = prepared + $5, dropped = $6::jsonb "
            "WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3",
            *key, len(outcomes), sum(o.prepared for o in outcomes), msgspec.json.encode(dropped).decode(),
        )  # fmt: skip

    async def release_stale(self, connection: Any, now: int) -> int:
        """Puts chunks on the topic again whose record nobody finished; harmless when one still waits there."""
        rows = await connection.fetch(
            "UPDATE chunks AS c SET released_at = $1 FROM (SELECT tenant_id, campaign_id, run, chunk FROM chunks "
            "WHERE state = 'released' AND released_at < $2 ORDER BY released_at LIMIT $3 FOR UPDATE SKIP LOCKED) AS s "
            "WHERE (c.tenant_id, c.campaign_id, c.run, c.chunk) = (s.tenant_id, s.campaign_id, s.run, s.chunk) "
            "RETURNING c.tenant_id, c.campaign_id, c.run, c.chunk, cardinality(c.refs) AS size",
            now, now - STALE_AFTER_MS, 10 * RELEASED_AHEAD,
        )  # fmt: skip
        await put(connection, [self._chunk(RunKey(r[0], r[1], r[2]), r[3], r[4], now) for r in rows])
        return len(rows)

    def _chunk(self, key: RunKey, chunk: int, size: int, now: int) -> Outgoing:
        event = CampaignChunk(
            event_id=chunk_event_id(key.campaign, key.run, chunk), tenant_id=key.tenant, occurred_at=now,
            campaign_id=key.campaign, run=key.run, chunk=chunk, size=size,
        )  # fmt: skip
        return self._publisher.record(CHUNK.name, chunk_key(key.tenant, key.campaign, chunk), event)

    def _changed(self, tenant: str, campaign: str, version: int, state: str, run: str | None, now: int) -> Outgoing:
        event = CampaignChanged(
            event_id=f"{tenant}:{campaign}:changed:{version}", tenant_id=tenant, occurred_at=now, campaign_id=campaign,
            version=version, state=state, run=run,
        )  # fmt: skip
        return self._publisher.record(CAMPAIGN.name, f"{tenant}:{campaign}", event)
