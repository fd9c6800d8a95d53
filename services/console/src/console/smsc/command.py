"""`relais smsc`: run the simulated SMSC in the foreground until SIGTERM or SIGINT."""

import asyncio
import gc
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
import yaml
from pydantic import ValidationError

from console.smsc.config import SmscConfig, read_config_file
from console.smsc.smsc import Smsc


def run_smsc(
    password: Annotated[str, typer.Option(envvar="RELAIS_SMSC_PASSWORD", help="What ESMEs must bind with.")],
    system_id: Annotated[str | None, typer.Option(help="The account ESMEs bind as.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML; options given here win over it.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; loopback unless told.")] = None,
    port: Annotated[int | None, typer.Option(help="0 picks a free port; 2775 unless told.")] = None,
    control_port: Annotated[int | None, typer.Option(help="Control API on loopback; a free port unless told.")] = None,
    seed: Annotated[int | None, typer.Option(help="Makes ids, outcomes and delays the same at every start.")] = None,
    full_history: Annotated[bool, typer.Option("--full-history", help="Remember every submit (memory grows).")] = False,
) -> None:
    """Run a simulated SMSC (SMPP 3.4). Prints one JSON line with its ports when it is ready."""
    options = {"system_id": system_id, "host": host, "port": port, "control_port": control_port, "seed": seed}
    try:
        settings: dict[str, Any] = read_config_file(config) if config else {}
        settings |= {name: value for name, value in options.items() if value is not None}
        if full_history:
            settings["history"] = None
        smsc_config = SmscConfig.model_validate(settings | {"password": password})
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_url=False):
            print(f"relais smsc: {'.'.join(map(str, fault['loc']))}: {fault['msg']}", file=sys.stderr)
        raise typer.Exit(2) from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        print(f"relais smsc: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    gc.set_threshold(50_000, 50, 100)  # a long history is no garbage, and walking it often costs more than it frees
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(smsc_config))
        sys.stderr.flush()
        os._exit(0)  # freeing a history of a million rows one by one would outlast the second that SIGTERM grants


async def _serve(config: SmscConfig) -> None:
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    async with Smsc(config) as smsc:
        print(json.dumps({"ready": True, "port": smsc.port, "control_port": smsc.control_port}), flush=True)
        await stopped.wait()
