"""`python -m shared.db bootstrap | shred`"""

import asyncio
import os
import sys

import asyncpg

from shared.clock import now_ms
from shared.crypto import vault
from shared.db import bootstrap
from shared.errors import SettingError


async def _shred() -> None:
    url = os.environ.get("RELAIS_DATABASE_OWNER_URL")
    if not url:
        raise SettingError("setting RELAIS_DATABASE_OWNER_URL is missing: the owner role's URL of the database")
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        count = await vault.shred(pool, now_ms())
    sys.stdout.write(f"{count} keys deleted\n")


def main() -> None:
    match sys.argv[1:]:
        case ["bootstrap"]:
            bootstrap.main()
        case ["shred"]:  # daily: what is still sealed with keys past their life can no longer be opened
            asyncio.run(_shred())
        case _:
            raise SettingError("usage: python -m shared.db bootstrap | shred")


if __name__ == "__main__":
    try:
        main()
    except SettingError as error:
        raise SystemExit(str(error)) from None
