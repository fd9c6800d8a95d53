"""The table of id rules: what was proposed for a carrier, and whether it is in force."""

from datetime import datetime

from msgspec import Struct
from shared.carriers.learn_id_rule import RULES, Proposal, Rule
from shared.db.database import Database, passing_troubles

_PROPOSE = """
INSERT INTO id_rules AS r (carrier, rule, matched, observed, proposed_at) VALUES ($1, $2, $3, $4, clock_timestamp())
ON CONFLICT (carrier) DO UPDATE
   SET rule = EXCLUDED.rule, matched = EXCLUDED.matched, observed = EXCLUDED.observed, proposed_at = EXCLUDED.proposed_at
 WHERE r.applied_at IS NULL
"""
_FIND = "SELECT rule, matched, observed, proposed_at, applied_at FROM id_rules WHERE carrier = $1"
_APPLY = "UPDATE id_rules SET applied_at = coalesce(applied_at, clock_timestamp()) WHERE carrier = $1 AND rule = $2 RETURNING rule"
_DROP = "DELETE FROM id_rules WHERE carrier = $1 RETURNING rule"


class StoredRule(Struct, frozen=True):
    """`applied_at`: None while it is only proposed."""

    rule: str
    matched: int
    observed: int
    proposed_at: datetime
    applied_at: datetime | None

    @property
    def in_force(self) -> Rule | None:
        """The rule, once applied; None too for one that this version does not know."""
        return next((r for r in RULES if r.name == self.rule), None) if self.applied_at is not None else None


class IdRules:
    """One carrier's. RetryLaterError from any method."""

    def __init__(self, database: Database, carrier: str) -> None:
        self._database, self._carrier = database, carrier

    async def propose(self, proposal: Proposal) -> None:
        """Takes the place of an earlier proposal, never of a rule in force."""
        async with passing_troubles():
            await self._database.pool.execute(
                _PROPOSE, self._carrier, proposal.rule.name, proposal.matched, proposal.observed
            )

    async def find(self) -> StoredRule | None:
        async with passing_troubles():
            row = await self._database.pool.fetchrow(_FIND, self._carrier)
        return None if row is None else StoredRule(*row)

    async def apply(self, rule: str) -> bool:
        """Puts the stored proposal in force; False when that is no longer the one that was looked at."""
        async with passing_troubles():
            return await self._database.pool.fetchval(_APPLY, self._carrier, rule) is not None

    async def drop(self) -> bool:
        """Back to what the profile says; the learning begins anew. False when there was nothing."""
        async with passing_troubles():
            return await self._database.pool.fetchval(_DROP, self._carrier) is not None
