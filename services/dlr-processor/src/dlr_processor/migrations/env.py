"""Run by `python -m dlr_processor migrate`."""

import asyncio

from dlr_processor.adapters.tables import metadata
from shared.db.migrate import run_env

asyncio.run(run_env(metadata))
