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
from console.smsc.read_script import library, load
from console.smsc.script import Script, ScriptError
from console.smsc.smsc import Smsc
from console.smsc.tls import server_context


def _list_scripts(wanted: bool) -> None:
    if wanted:
        for name, script in library():
            print(f"{name:32}{script.name}")
        raise typer.Exit


def run_smsc(
    password: Annotated[str, typer.Option(envvar="RELAIS_SMSC_PASSWORD", help="What ESMEs must bind with.")],
    system_id: Annotated[str | None, typer.Option(help="The account ESMEs bind as.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML; options given here win over it.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; loopback unless told.")] = None,
    port: Annotated[int | None, typer.Option(help="0 picks a free port; 2775 unless told.")] = None,
    control_port: Annotated[int | None, typer.Option(help="Control API on loopback; a free port unless told.")] = None,
    seed: Annotated[int | None, typer.Option(help="Makes ids, outcomes and delays the same at every start.")] = None,
    full_history: Annotated[bool, typer.Option("--full-history", help="Remember every submit (memory grows).")] = False,
    script: Annotated[str | None, typer.Option(help="A file with a script, or the name of one of the library.")] = None,
    scripts: Annotated[
        bool, typer.Option("--scripts", help="List the library of scripts.", is_eager=True, callback=_list_scripts)
    ] = False,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM; the listener then speaks TLS only.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM, to the certificate.")] = None,
    tls_client_ca: Annotated[Path | None, typer.Option(help="PEM; ESMEs then need a certificate by it.")] = None,
) -> None:
    """Run a simulated SMSC (SMPP 3.4). Prints one JSON line with its ports when it is ready.

    With --script it turns hostile: see services/console/README.md.
    """
    options = {"system_id": system_id, "host": host, "port": port, "control_port": control_port, "seed": seed}
    try:
        settings: dict[str, Any] = read_config_file(config) if config else {}
        settings |= {name: value for name, value in options.items() if value is not None}
        tls = {"certificate": tls_certificate, "key": tls_key, "client_ca": tls_client_ca}
        if any(tls.values()):
            settings["tls"] = {name: path for name, path in tls.items() if path}
        if full_history:
            settings["history"] = None
        smsc_config = SmscConfig.model_validate(settings | {"password": password})
        play = load(script) if script else None
        if smsc_config.tls:
            server_context(smsc_config.tls)  # wrong files are said here, in a sentence
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_url=False):
            print(f"relais smsc: {'.'.join(map(str, fault['loc']))}: {fault['msg']}", file=sys.stderr)
        raise typer.Exit(2) from None
    except ScriptError as error:
        print(f"relais smsc: {script}: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        print(f"relais smsc: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    gc.set_threshold(50_000, 50, 100)  # a long history is no garbage, and walking it often costs more than it frees
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(smsc_config, play))
        sys.stderr.flush()
        os._exit(0)  # freeing a history of a million rows one by one would outlast the second that SIGTERM grants


async def _serve(config: SmscConfig, script: Script | None) -> None:
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    async with Smsc(config, script=script) as smsc:
        print(json.dumps({"ready": True, "port": smsc.port, "control_port": smsc.control_port}), flush=True)
        await stopped.wait()
