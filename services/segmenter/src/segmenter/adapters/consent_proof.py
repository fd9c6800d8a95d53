"""Proof of consent for one message: what the ledger had recorded about its person when it was prepared (GDPR 7(1))."""

from typing import Any

from segmenter.adapters.people import load_brands
from segmenter.domain.consent import MARKETING, NONE, Stance, Stances, purpose_of, refusal, take_in


async def consent_at(
    connection: Any, tenant: str, ref: str | None, contact_id: str, purpose: str, sender: str | None, at: int
) -> dict[str, Any]:
    """The verdict with the lines it rests on. `at` in milliseconds UTC: later lines do not count, whenever they say they
    were said. People who share the number are told by their stance only."""
    if purpose != MARKETING:
        return {"purpose": purpose, "needed": False, "why": "only marketing needs a recorded grant"}
    refs = {ref} if ref is not None else set()
    refs |= {
        row[0]
        for row in await connection.fetch(
            "SELECT contact_ref FROM consent_state WHERE tenant_id = $1 AND contact_id = $2", tenant, contact_id
        )
    }
    lines = await connection.fetch(
        "SELECT entry_id, contact_ref, purpose, state, source, wording, proof, at, recorded_at, recorded_by FROM consent_ledger "
        "WHERE tenant_id = $1 AND contact_ref = ANY($2::text[]) AND split_part(purpose, ':', 1) = $3 AND recorded_at <= $4 "
        "ORDER BY at, recorded_at",
        tenant, sorted(refs), MARKETING, at,
    )  # fmt: skip
    said: dict[str, Stances] = {name: {} for name in sorted(refs)}
    for line in lines:
        held = said[line["contact_ref"]]
        said[line["contact_ref"]] = (
            take_in(held, line["purpose"], Stance(line["state"], line["at"], line["source"])) or held
        )
    asked = purpose_of(purpose, sender, (await load_brands(connection, [tenant])).get(tenant, {}))
    person = ref or next(
        (name for name, held in said.items() if refusal(asked, held, [held], suppressed=False) is None), None
    )
    refused = refusal(asked, said.get(person or "", NONE), said.values(), suppressed=False)
    return {
        "purpose": asked, "needed": True, "contact": person, "verdict": refused or "granted",
        "ledger": [dict(line) for line in lines if line["contact_ref"] == person],
        "sharing": {name: held[MARKETING].state if MARKETING in held else None for name, held in said.items() if name != person},
    }  # fmt: skip
