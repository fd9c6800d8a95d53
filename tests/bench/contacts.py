"""What an import costs: `python tests/bench/contacts.py [contacts]`.

Starts a durable PostgreSQL of its own, writes a CSV with ten attributes a contact and imports it as the segmenter does
for `relais contacts import`, 4 MB at a time. Records for the topics are put into the outbox and taken out
again, encoded and counted: Kafka is left out. CPU is this process's and PostgreSQL's together.
"""

import argparse
import asyncio
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audience import MASTER, TENANT, PaperPublisher
from fastapi import Request
from own_postgres import own_postgres
from segmenter.adapters.at_rest import AtRest
from segmenter.adapters.consent_store import ConsentStore
from segmenter.adapters.contact_store import ContactStore
from segmenter.http.import_contacts import import_contacts
from segmenter.http.parts import Parts
from shared.clock import now_ms
from shared.crypto.ids import NumberIndex
from shared.db.database import Database
from shared.db.outbox import OutboxPump
from shared.db.roles import DATABASE

PIECE = 4 * 1024 * 1024
CITIES = ("Lyon", "Paris", "Lille", "Nantes", "Nice", "Saint-Étienne")
HEADER = "ref,number,locale,first_name,city,points,tier,vip,age,born,home,store,spent\n"


def lines(contacts: int) -> Iterator[str]:
    yield HEADER
    for i in range(contacts):
        yield (
            f"c{i},+336{i % 100_000_000:08d},fr,Zoé,{CITIES[i % 6]},{i % 1000},gold,{'true' if i % 10 == 0 else 'false'},"
            f"{18 + i % 60},19{50 + i % 50}-0{1 + i % 9}-11,{45.5 + i % 500 / 1000:.3f} {4.6 + i % 400 / 1000:.3f},s{i % 300},{i % 500}.50\n"
        )


def pieces(contacts: int) -> Iterator[tuple[int, bytes]]:
    held, size, first = [], 0, 2
    count = 1
    for line in lines(contacts):
        held.append(line)
        size += len(line)
        count += 1
        if size >= PIECE:
            yield first, "".join(held).encode()
            held, size, first = [HEADER], 0, count
    if len(held) > 1:
        yield first, "".join(held).encode()


def cpu() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime


def postgres_cpu(pid: int) -> float:
    """Seconds of CPU of the server and its processes, those that ended included."""
    total, ticks = 0, os.sysconf("SC_CLK_TCK")
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid or stat.parent.name == str(pid):
            total += int(fields[11]) + int(fields[12])
            if stat.parent.name == str(pid):
                total += int(fields[13]) + int(fields[14])
    return total / ticks


async def load(parts: Parts, contacts: int, server: int) -> None:
    stored, wall, own, theirs = 0, time.perf_counter(), cpu(), postgres_cpu(server)
    for first, body in pieces(contacts):
        report = await import_contacts(parts, TENANT, upload(body, first))
        assert report.failed == 0, report.errors[:3]
        stored += report.stored
    wall, own, theirs = time.perf_counter() - wall, cpu() - own, postgres_cpu(server) - theirs
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"import of {contacts:,} contacts with ten attributes: {stored:,} stored in {wall:.0f} s, {contacts / wall:,.0f}/s; "
        f"CPU a contact {own / contacts * 1e6:.0f} us here, {theirs / contacts * 1e6:.0f} us PostgreSQL; {peak / 1024:.0f} MB at most"
    )


def upload(body: bytes, first: int) -> Request:
    """A request as the server gives it, 64 KB at a time."""
    waiting = [body[at : at + 65_536] for at in range(0, len(body), 65_536)]

    async def receive() -> dict[str, Any]:
        chunk = waiting.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(waiting)}

    headers = [(b"content-type", b"text/csv")]
    return Request(
        {"type": "http", "method": "POST", "headers": headers, "query_string": f"line={first}".encode()}, receive
    )


async def main(contacts: int, profile: bool) -> None:
    async with own_postgres("segmenter") as postgres:
        db = Database(postgres.url(user="relais_segmenter", password="secret", database=DATABASE), "segmenter")
        await db.open()
        publisher: Any = PaperPublisher()
        consents = ConsentStore(publisher)
        pump = OutboxPump(db, publisher, "segmenter")
        pumping = asyncio.create_task(pump.run())
        parts: Any = Parts.__new__(Parts)
        for name, part in {
            "db": db, "pump": pump, "clock": now_ms, "at_rest": AtRest(MASTER), "index": NumberIndex(MASTER),
            "consents": consents, "contacts": ContactStore(publisher, consents),
        }.items():  # fmt: skip
            object.__setattr__(parts, name, part)
        server = postgres.process.pid
        if profile:
            import cProfile
            import pstats

            profiler = cProfile.Profile()
            profiler.enable()
            await load(parts, contacts, server)
            profiler.disable()
            pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
        else:
            await load(parts, contacts, server)
        pumping.cancel()
        await asyncio.gather(pumping, return_exceptions=True)
        await db.close()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("contacts", nargs="?", type=int, default=1_000_000)
    arguments.add_argument("--profile", action="store_true")
    given = arguments.parse_args()
    asyncio.run(main(given.contacts, given.profile))
