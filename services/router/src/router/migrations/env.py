"""How Alembic runs the router's migrations."""

import asyncio

from router.adapters.tables import metadata
from shared.db.migrate import run_env

asyncio.run(run_env(metadata))
