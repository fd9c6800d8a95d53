"""`python -m smpp_connector id-rule [apply|drop]`: what was learnt of the carrier's ids, and a person's word on it.

Whoever may open the connector's database may decide. Running connectors follow within seconds.
"""

import asyncio
import sys

from shared.db.database import Database
from shared.errors import RetryLaterError, SettingError

from smpp_connector.adapters.id_rules import IdRules
from smpp_connector.settings import Settings


def run_id_rule(settings: Settings, action: str | None) -> None:
    """SettingError with one sentence when it cannot be done."""
    if action not in (None, "apply", "drop"):
        raise SettingError("usage: python -m smpp_connector id-rule [apply|drop]")
    try:
        sys.stdout.write(asyncio.run(_decide(settings, action)) + "\n")
    except RetryLaterError as error:
        raise SettingError(f"the id rule cannot be reached: {error}") from None


async def _decide(settings: Settings, action: str | None) -> str:
    database = Database(settings.database_url.get_secret_value(), settings.service_name, pool_size=1)
    await database.open()
    try:
        rules = IdRules(database, settings.carrier_id)
        stored = await rules.find()
        if stored is None:
            raise SettingError(
                f"no rule is proposed for {settings.carrier_id}: one is after 1,000 messages, with id_rule set to propose or "
                "learn in the carriers file, where it matched 99 % of them"
            )
        said = f"{stored.rule}: matched {stored.matched} of {stored.observed}"
        if action == "apply":
            if not await rules.apply(stored.rule):
                raise SettingError("another rule was proposed meanwhile: look again")
            return f"{said}; in force"
        if action == "drop":
            await rules.drop()
            return f"{said}; dropped: the profile's rule is in force"
        return f"{said}; " + (f"in force since {stored.applied_at:%Y-%m-%d %H:%M}" if stored.applied_at else "proposed")
    finally:
        await database.close()
