"""Run by `python -m smpp_connector migrate`."""

import asyncio

from shared.db.migrate import run_env
from smpp_connector.adapters.tables import metadata

asyncio.run(run_env(metadata))
