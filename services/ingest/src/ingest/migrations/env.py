import asyncio

from ingest.adapters.tables import metadata
from shared.db.migrate import run_env

asyncio.run(run_env(metadata))
