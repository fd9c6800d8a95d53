"""Alembic's entry: runs by `python -m segmenter migrate`."""

import asyncio

from segmenter.adapters.tables import METADATA
from shared.db.migrate import run_env

asyncio.run(run_env(METADATA))
