"""Campaigns, their runs and the chunks of a run's audience.

Locks are taken in one order everywhere: campaign, run, chunks. Whatever changes a campaign's state raises its version
and puts a record for `sms.campaign.changed` into the outbox in the same transaction.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

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
from segmenter.domain.optimise import BANDIT_EVERY_MS, Optimise, Winner
from segmenter.domain.schedule import Schedule, starts_again
from segmenter.domain.variants import Variant

CANCELLED: Final = "cancelled"  # counted in the run only: nothing was made of these people yet
_COUNTS = msgspec.json.Decoder(dict[str, int])
_VARIANTS = msgspec.json.Decoder(list[Variant])
_SCHEDULE = msgspec.json.Decoder(Schedule)


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
    variants: Sequence[Variant] = ()
    holdout: int = 0
    optimised: bool = False


class Chunk(NamedTuple):
    key: ChunkKey
    refs: list[str]
    due_at: int = 0
    split: Mapping[str, int] | None = None
    """Shares by variant that this chunk keeps in every repeat; None: those of the variants."""
    born_at: int | None = None
    """When the chunk in which these people were first came to be."""


class Outcome(NamedTuple):
    """What came of a chunk's people."""

    prepared: int
    dropped: Mapping[str, int]
    held: int = 0
    postponed: Mapping[int, Sequence[str]] = {}
    """Refs of people whose send window is closed, by the moment when it opens."""
    born_at: int = 0


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

    async def store(
        self, connection: Any, tenant: str, campaign: str, said: Mapping[str, Any], by: str, now: int
    ) -> int:
        """Writes a draft, which nobody has approved yet; answers its version. The caller holds the lock on an existing one."""
        version: int = await connection.fetchval(
            "INSERT INTO campaigns AS c (tenant_id, id, name, segment, template, purpose, sender, validity_s, variants, holdout, schedule, edited_by, optimise, quiet_days, "
            "state, version, created_at, updated_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10, $11::jsonb, $12, $14::jsonb, $15, 'draft', 1, $13, $13) "
            "ON CONFLICT (tenant_id, id) DO UPDATE SET name = $3, segment = $4, template = $5, purpose = $6, sender = $7, validity_s = $8, "
            "variants = $9::jsonb, holdout = $10, schedule = $11::jsonb, edited_by = $12, optimise = $14::jsonb, quiet_days = $15, launch_at = NULL, "
            "approved_by = NULL, approved_at = NULL, approved_cost = NULL, "
            "state = 'draft', version = c.version + 1, updated_at = $13 RETURNING version",
            tenant, campaign, said["name"], said["segment"], said["template"], said["purpose"], said["sender"], said["validity_s"],
            msgspec.json.encode(said["variants"]).decode(), said["holdout"],
            msgspec.json.encode(said["schedule"]).decode() if said["schedule"] else None, by, now,
            msgspec.json.encode(said["optimise"]).decode() if said["optimise"] else None, said["exclude_quiet_days"],
        )  # fmt: skip
        await put(connection, [self._changed(tenant, campaign, version, "draft", None, now)])
        return version

    async def approve(self, connection: Any, row: Any, by: str, cost: Decimal, now: int) -> None:
        await connection.execute(
            "UPDATE campaigns SET approved_by = $3, approved_at = $4, approved_cost = $5 WHERE tenant_id = $1 AND id = $2",
            row["tenant_id"], row["id"], by, now, cost,
        )  # fmt: skip

    async def schedule(self, connection: Any, tenant: str, campaign: str, at: int, now: int) -> None:
        """Waits for its start. Nobody downstream has to know: nothing of it is on the way."""
        await connection.execute(
            "UPDATE campaigns SET state = 'scheduled', launch_at = $3, updated_at = $4 WHERE tenant_id = $1 AND id = $2",
            tenant, campaign, at, now,
        )  # fmt: skip

    async def due(self, connection: Any, now: int) -> Any:
        """A campaign whose start has come, locked; None when there is none that nobody else holds."""
        return await connection.fetchrow(
            "SELECT * FROM campaigns WHERE state = 'scheduled' AND launch_at <= $1 ORDER BY launch_at LIMIT 1 FOR UPDATE SKIP LOCKED",
            now,
        )

    async def with_due_chunks(self, connection: Any, now: int) -> list[RunKey]:
        """Running runs that have chunks due and room on the topic."""
        rows = await connection.fetch(
            "SELECT r.tenant_id, r.campaign_id, r.run FROM runs r WHERE r.state = 'running' AND EXISTS (SELECT 1 FROM chunks c "
            "WHERE (c.tenant_id, c.campaign_id, c.run) = (r.tenant_id, r.campaign_id, r.run) AND c.state = 'waiting' AND c.due_at <= $1) "
            "AND (SELECT count(*) FROM chunks c WHERE (c.tenant_id, c.campaign_id, c.run) = (r.tenant_id, r.campaign_id, r.run) "
            "AND c.state = 'released') < $2 ORDER BY r.tenant_id, r.campaign_id, r.run",
            now, RELEASED_AHEAD,
        )  # fmt: skip
        return [RunKey(*row) for row in rows]

    async def lock_and_release(self, connection: Any, key: RunKey, now: int) -> None:
        """Releases what is due of a run that is still running."""
        state = await connection.fetchval(
            "SELECT state FROM runs WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3 FOR UPDATE", *key
        )
        if state == "running":
            await self.release(connection, key, now)

    async def page(self, connection: Any, tenant: str, after: str, limit: int) -> list[Any]:
        """Campaigns in the order of their ids, those after `after`."""
        return list(
            await connection.fetch(
                "SELECT * FROM campaigns WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3", tenant, after, limit
            )
        )

    async def move(self, connection: Any, row: Any, state: str, run: str | None, now: int) -> int:
        """Another state for a locked campaign and its run; answers the version."""
        version = int(row["version"]) + 1
        await connection.execute(
            "UPDATE campaigns SET state = $3, version = $4, run = $5, updated_at = $6, launch_at = NULL WHERE tenant_id = $1 AND id = $2",
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
        self, connection: Any, campaign: Any, segment: Any, template: Any, variants: Sequence[Variant], schedule: Schedule,
        optimise: Optimise | None, audience: Condition, now: int,
    ) -> RunKey:  # fmt: skip
        """Fixes the audience in chunks and starts the run. `audience`'s placeholders start at $10."""
        tenant, campaign_id = campaign["tenant_id"], campaign["id"]
        run = str(campaign["runs"] + 1)
        key = RunKey(tenant, campaign_id, run)
        tested = isinstance(optimise, Winner)
        decide_at = now + optimise.after_s * 1000 if isinstance(optimise, Winner) else 0
        await connection.execute(
            "INSERT INTO runs (tenant_id, campaign_id, run, state, born_at, segment, segment_version, filter, template, template_version, "
            "purpose, sender, validity_s, audience, chunks, variants, holdout, optimise, decide_at) "
            "VALUES ($1, $2, $3, 'running', $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, 0, $13::jsonb, $14, $15::jsonb, $16)",
            *key, now, segment["id"], segment["version"], segment["filter"], template["id"], template["version"],
            campaign["purpose"], campaign["sender"], campaign["validity_s"],
            msgspec.json.encode(list(variants)).decode(), campaign["holdout"], campaign["optimise"],
            None if optimise is None else decide_at,
        )  # fmt: skip
        # Numbers that get no SMS stand for themselves, else one wrong number given by thousands would be one chunk.
        shared = "CASE WHEN c.number_problem IS NULL THEN c.contact_id ELSE md5(c.ref) END"
        # A wave is what falls due at one moment: everybody, or the people of one zone. Who share a number are in one wave.
        zone = "COALESCE(c.time_zone, c.number_zone, $6::text)"
        local = f"(extract(epoch FROM $4::text::timestamp AT TIME ZONE {zone}) * 1000)::bigint"
        wave = (
            f"min({local}) OVER (PARTITION BY {shared})"
            if schedule.local_time
            else "(0 * length(concat($4::text, $6::text)))::bigint"
        )
        # Of a test first some are written to at once, whoever they are, and the rest when it is decided.
        rest = f"(('x' || substr(md5({shared}), 1, 7))::bit(28)::int % 100 >= $8::int)"
        wave = f"{wave} + CASE WHEN {rest} THEN $9::bigint ELSE 0 END"
        await connection.execute(
            "INSERT INTO chunks (tenant_id, campaign_id, run, chunk, refs, state, due_at) "
            "SELECT $1, $2, $3, row_number() OVER (ORDER BY wave, part) - 1, refs, 'waiting', "
            # evenly over the spread, the first at once
            "CASE WHEN $5::bigint = 0 THEN wave ELSE GREATEST(wave, $7::bigint) + $5 * part / max(part + 1) OVER (PARTITION BY wave) END "
            "FROM (SELECT wave, part, array_agg(ref ORDER BY ref) AS refs FROM ("
            f"SELECT ref, wave, (dense_rank() OVER (PARTITION BY wave ORDER BY shared) - 1) / {CHUNK_NUMBERS} AS part FROM ("
            f"SELECT c.ref, {shared} AS shared, {wave} AS wave FROM contacts c WHERE c.tenant_id = $1 AND {audience.sql}) AS members"
            ") AS parts GROUP BY wave, part) AS made",
            *key, schedule.local_time, schedule.spread_s * 1000, schedule.zone, now,
            optimise.test_share if isinstance(optimise, Winner) else 100, decide_at if tested else 0, *audience.params,
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
            await self._complete(connection, {**dict(campaign), "version": version}, run, now)
        return key

    async def _complete(self, connection: Any, campaign: Any, run: str, now: int) -> None:
        """The run is through; a recurring campaign waits for its next start."""
        await self.move(connection, campaign, "completed", run, now)
        again = starts_again(_SCHEDULE.decode(campaign["schedule"]), now) if campaign["schedule"] else None
        if again is not None:
            await self.schedule(connection, campaign["tenant_id"], campaign["id"], again, now)

    async def go_on(self, connection: Any, key: RunKey, now: int) -> None:
        """A run that was paused and is running again. The caller holds the lock on the campaign."""
        await self.release(connection, key, now)
        run = await self.find_run(connection, key)
        if run["chunks_done"] == run["chunks"]:
            await self._complete(connection, await self.find(connection, key.tenant, key.campaign), key.run, now)

    async def undecided(self, connection: Any, now: int) -> list[Any]:
        """Running runs whose split is to be made now: after their test, or once a minute where it follows the answers."""
        return list(
            await connection.fetch(
                "SELECT tenant_id, campaign_id, run, variants, optimise FROM runs WHERE state = 'running' AND optimise IS NOT NULL AND "
                "((decide_at > 0 AND split IS NULL AND decide_at <= $1) OR (decide_at = 0 AND COALESCE(split_at, born_at) <= $1 - $2)) "
                "ORDER BY tenant_id, campaign_id, run",
                now, BANDIT_EVERY_MS,
            )
        )  # fmt: skip

    async def put_split(self, connection: Any, key: RunKey, split: Mapping[str, int], now: int) -> None:
        await connection.execute(
            "UPDATE runs SET split = $4::jsonb, split_at = $5 WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3",
            *key, msgspec.json.encode(split).decode(), now,
        )  # fmt: skip

    async def postpone(self, connection: Any, key: RunKey, outcome: Outcome) -> None:
        """People whose window is closed become chunks that are due when it opens. The caller holds the lock on the campaign."""
        for due_at, refs in sorted(outcome.postponed.items()):
            await connection.execute(
                "INSERT INTO chunks (tenant_id, campaign_id, run, chunk, refs, state, due_at, born_at) SELECT $1, $2, $3, "
                "max(chunk) + 1, $4::text[], CASE WHEN (SELECT state FROM runs WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3) = 'cancelled' "
                "THEN 'cancelled' ELSE 'waiting' END, $5::bigint, $6::bigint FROM chunks WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3",
                *key, sorted(refs), due_at, outcome.born_at,
            )  # fmt: skip
        await connection.execute(
            "UPDATE runs SET chunks = chunks + $4 WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3",
            *key, len(outcome.postponed),
        )  # fmt: skip

    async def release(self, connection: Any, key: RunKey, now: int) -> None:
        """Puts chunks of a running run on the topic until enough are there. The caller holds the lock on the run."""
        released = await connection.fetchval(
            "SELECT count(*) FROM chunks WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3 AND state = 'released'",
            *key,
        )
        rows = await connection.fetch(
            "UPDATE chunks AS c SET state = 'released', released_at = $4, split = CASE WHEN c.split IS NULL AND c.due_at >= r.decide_at "
            "THEN r.split ELSE c.split END FROM runs r WHERE r.tenant_id = $1 AND r.campaign_id = $2 AND r.run = $3 "
            "AND c.tenant_id = $1 AND c.campaign_id = $2 AND c.run = $3 "
            "AND chunk IN (SELECT chunk FROM chunks WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3 AND state = 'waiting' "
            "AND due_at <= $4 AND (r.decide_at IS NULL OR r.decide_at = 0 OR r.split IS NOT NULL OR due_at < r.decide_at) "
            "ORDER BY due_at, chunk LIMIT $5) RETURNING chunk, cardinality(refs) AS size",
            *key, now, to_release(released),
        )  # fmt: skip
        await put(connection, [self._chunk(key, row["chunk"], row["size"], now) for row in rows])

    async def cancel_chunks(self, connection: Any, key: RunKey) -> None:
        """All that is not done yet stays unsent. The caller holds the lock on the run."""
        people = await connection.fetchval(
            "WITH gone AS (UPDATE chunks SET state = 'cancelled' WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3 "
            "AND state IN ('waiting', 'released') RETURNING cardinality(refs) AS size) SELECT COALESCE(sum(size), 0) FROM gone",
            *key,
        )
        if people:
            await self._count(connection, key, [Outcome(0, {CANCELLED: people})], chunks=0)
        await self.cancel_held(connection, key)

    async def cancel_held(self, connection: Any, key: RunKey) -> None:
        """What a person was to look at is dropped."""
        await connection.execute(
            "UPDATE held_messages SET decision = 'cancel' WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3 AND decision IS NULL",
            *key,
        )

    async def take(self, connection: Any, keys: Sequence[ChunkKey]) -> tuple[dict[RunKey, Run], list[Chunk]]:
        """Of chunks read from the topic those to expand now, with their runs.

        Chunks of a paused run go back to waiting: resuming puts them on the topic again.
        """
        runs = await self._runs(connection, {key.of_run for key in keys})
        paused = [key for key in keys if key.of_run in runs and runs[key.of_run].state == "paused"]
        if paused:
            await self.put_back(connection, paused)
        going = [key for key in keys if key.of_run in runs and runs[key.of_run].state == "running"]
        if not going:
            return runs, []
        rows = await connection.fetch(
            "SELECT tenant_id, campaign_id, run, chunk, refs, due_at, split, born_at FROM chunks WHERE state IN ('waiting', 'released') AND "
            "(tenant_id, campaign_id, run, chunk) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[])) "
            "ORDER BY tenant_id, campaign_id, run, chunk",
            *zip(*going, strict=True),
        )
        return runs, [
            Chunk(ChunkKey(r[0], r[1], r[2], r[3]), r[4], r[5], _COUNTS.decode(r[6]) if r[6] else None, r[7])
            for r in rows
        ]

    async def put_back(self, connection: Any, keys: Sequence[ChunkKey]) -> None:
        """Chunks that may not go now wait to be put on the topic again, and keep nobody waiting behind them."""
        await connection.execute(
            "UPDATE chunks SET state = 'waiting', released_at = NULL WHERE state = 'released' AND "
            "(tenant_id, campaign_id, run, chunk) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[]))",
            *zip(*keys, strict=True),
        )

    async def _runs(self, connection: Any, keys: set[RunKey]) -> dict[RunKey, Run]:
        """The lock keeps a pause or a resume from passing between what is read here and what is written for it."""
        rows = await connection.fetch(
            "SELECT tenant_id, campaign_id, run, state, born_at, segment, template, template_version, purpose, sender, validity_s, "
            "variants, holdout, optimise IS NOT NULL FROM runs WHERE (tenant_id, campaign_id, run) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[])) "
            "ORDER BY tenant_id, campaign_id, run FOR SHARE",
            *zip(*sorted(keys), strict=True),
        )
        return {
            RunKey(r[0], r[1], r[2]): Run(
                RunKey(r[0], r[1], r[2]),
                r[3],
                r[4],
                r[5],
                r[6],
                r[7],
                r[8],
                r[9],
                r[10],
                _VARIANTS.decode(r[11]),
                r[12],
                r[13],
            )
            for r in rows
        }

    async def finish(self, connection: Any, outcomes: Mapping[ChunkKey, Outcome], now: int) -> None:
        """Marks chunks done after their messages were published, releases the next ones, and ends runs that are through."""
        for key in sorted({k.of_run for k in outcomes}):
            campaign = await self.find(connection, key.tenant, key.campaign, lock=True)
            of_run = {k.chunk: outcome for k, outcome in outcomes.items() if k.of_run == key}
            rows = await connection.fetch(
                "UPDATE chunks AS c SET state = 'done', done_at = $5 FROM (SELECT chunk, state, cardinality(refs) AS size FROM chunks "
                "WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3 AND chunk = ANY($4::int[]) AND state <> 'done' FOR UPDATE) AS was "
                "WHERE c.tenant_id = $1 AND c.campaign_id = $2 AND c.run = $3 AND c.chunk = was.chunk RETURNING c.chunk, was.state, was.size",
                *key, list(of_run), now,
            )  # fmt: skip
            told = [of_run[row["chunk"]] for row in rows]
            for outcome in told:
                await self.postpone(connection, key, outcome)
            # Cancelled while it was expanded: its people were counted as cancelled, and went on after all.
            told += [
                Outcome(0, {CANCELLED: sum(map(len, of_run[row["chunk"]].postponed.values())) - row["size"]})
                for row in rows if row["state"] == "cancelled"
            ]  # fmt: skip
            await self._count(connection, key, told, chunks=len(rows))
            run = await self.find_run(connection, key)
            if run["state"] == "cancelled":
                await self.cancel_held(connection, key)
            if run["state"] == "running" and run["chunks_done"] == run["chunks"]:
                await self._complete(connection, campaign, key.run, now)
            elif run["state"] == "running":
                await self.release(connection, key, now)

    async def settled(self, connection: Any, key: RunKey, prepared: int, dropped: Mapping[str, int]) -> None:
        """Held messages of a run that went on, or ended."""
        await self._count(connection, key, [Outcome(prepared, dropped, -prepared - sum(dropped.values()))], chunks=0)

    async def _count(self, connection: Any, key: RunKey, outcomes: Sequence[Outcome], chunks: int) -> None:
        held = await connection.fetchval(
            "SELECT dropped FROM runs WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3 FOR UPDATE", *key
        )
        dropped = _COUNTS.decode(held)
        for outcome in outcomes:
            for reason, count in outcome.dropped.items():
                dropped[reason] = dropped.get(reason, 0) + count
        await connection.execute(
            "UPDATE runs SET chunks_done = chunks_done + $4, prepared = prepared + $5, dropped = $6::jsonb, held = held + $7 "
            "WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3",
            *key, chunks, sum(o.prepared for o in outcomes), msgspec.json.encode(dropped).decode(), sum(o.held for o in outcomes),
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
