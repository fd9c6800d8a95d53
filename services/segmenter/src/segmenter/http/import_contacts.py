"""Contacts from a stream of any length, stored slice by slice while the next one is read and made."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
from fastapi import Request
from shared.http.problems import ProblemError
from starlette.requests import ClientDisconnect

from segmenter.adapters.attribute_store import learn, load_schema
from segmenter.adapters.contact_store import NewContact
from segmenter.domain.attributes import Schema
from segmenter.domain.read_csv import BadLine
from segmenter.http.bodies import decoded
from segmenter.http.import_lines import ContactSlices, ImportReport, Line, Row
from segmenter.http.new_contact import ContactItem, ContactMaker, trouble_of
from segmenter.http.parts import Parts

CHANCE: Final = 100  # lines between two chances for other requests

_ITEM = msgspec.json.Decoder(ContactItem)


async def maker_for(parts: Parts, tenant: str) -> ContactMaker:
    async with parts.db.hot(tenant) as connection:
        return ContactMaker(parts, tenant, await load_schema(connection, tenant))


async def import_contacts(parts: Parts, tenant: str, request: Request) -> ImportReport:
    """Stores a stream of contacts. Slices are made while the one before is being stored; a bad line is reported and the next one is read."""
    report = ImportReport()
    maker = await maker_for(parts, tenant)
    slices = ContactSlices(request, maker.schema)
    storing: asyncio.Task[None] | None = None
    try:
        async for lines in slices:
            contacts = await _made(maker, slices, lines, report)
            if storing is not None:
                await storing
            storing = asyncio.create_task(_store_slice(parts, maker, tenant, contacts, lines[-1][0], report))
    except ClientDisconnect:
        report.complete = False  # nobody reads this; what came is stored
    finally:
        if storing is not None:
            await storing
    return report


async def _made(
    maker: ContactMaker, slices: ContactSlices, lines: list[Line], report: ImportReport
) -> list[NewContact]:
    contacts: list[NewContact] = []
    for count, (number, line) in enumerate(lines, 1):
        report.lines += 1
        if isinstance(line, BadLine):
            report.refuse(number, line)
            continue
        try:
            if isinstance(line, Row):
                contacts.append(maker.made_of_words(line))
            else:
                body = decoded(line, _ITEM)
                contacts.append(maker.made(body.ref, body))
        except ProblemError as problem:
            field, code, detail = trouble_of(problem)
            report.refuse(number, BadLine(field, slices.column(field), code, detail))
        if count % CHANCE == 0:
            await asyncio.sleep(0)
    return contacts


async def _store_slice(
    parts: Parts, maker: ContactMaker, tenant: str, contacts: list[NewContact], through: int, report: ImportReport
) -> None:
    by_ref = {contact.ref: contact for contact in contacts}
    changed = await store_made(parts, tenant, list(by_ref.values()), maker.schema)
    report.stored += changed
    report.unchanged += len(by_ref) - changed
    report.repeated += len(contacts) - len(by_ref)
    report.cannot_reach(Counter(c.facts.problem for c in by_ref.values() if c.facts.problem is not None))
    report.through = through


async def store_made(parts: Parts, tenant: str, contacts: Sequence[NewContact], schema: Schema) -> int:
    """Stores contacts and what they taught. How many were new or changed."""
    if not contacts:
        return 0
    now = parts.clock()
    learnt, schema.learnt = schema.learnt, {}
    async with parts.db.hot(tenant) as connection:
        await learn(connection, tenant, learnt, now)
        changed = await parts.contacts.store(connection, tenant, contacts, now)
    if changed:
        parts.pump.wake()
    return changed
