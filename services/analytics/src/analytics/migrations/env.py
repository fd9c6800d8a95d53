"""How Alembic runs analytics' migrations."""

import asyncio

from analytics.adapters.tables import metadata
from shared.db.migrate import run_env

asyncio.run(run_env(metadata))
