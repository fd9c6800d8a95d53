"""`python -m relais_local run|up|down|clean`: what `make` calls."""

import argparse
import asyncio
import contextlib
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO

import psutil

from relais_local import control
from relais_local.carriers_file import CarriersFile, read_carriers
from relais_local.demo.run import refuse_real_carriers, run_demo
from relais_local.errors import LocalStackError
from relais_local.paths import CHECKOUT, Paths
from relais_local.plan import port_names
from relais_local.ports import PREFERRED_API_PORT, choose_ports, is_free, load_ports, save_ports
from relais_local.stack import Stack
from relais_local.stack_secrets import load_or_make_secrets

Say = Callable[[str], None]


def main() -> None:
    arguments = _arguments()
    paths = Paths(run=arguments.run_dir.resolve())
    try:
        match arguments.command:
            case "run":
                asyncio.run(_run(paths, arguments))
            case "up":
                _up(paths, arguments)
            case "supervise":
                asyncio.run(_supervise(paths, arguments))
            case "down":
                print("the stack is down" if control.send_away(paths) else "no stack was running")
            case "clean":
                control.send_away(paths)
                control.delete_everything(paths)
                print(f"{paths.run} is gone")
    except LocalStackError as error:
        raise SystemExit(str(error)) from None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="relais_local", description="The whole of Relais on one machine.")
    parser.add_argument("command", choices=["run", "up", "down", "clean", "supervise"])
    parser.add_argument("--carriers", type=Path, default=CHECKOUT / "deploy" / "local" / "carriers.yaml")
    parser.add_argument(
        "--run-dir", type=Path, default=CHECKOUT / ".run", help="where the running stack keeps its things"
    )
    parser.add_argument("--port", type=int, help=f"of the API; {PREFERRED_API_PORT} or a free one unless told")
    return parser.parse_args()


def make_stack(paths: Paths, carriers: CarriersFile, api_port: int | None, say: Say) -> Stack:
    """A stack on this machine's free ports, the same as last time where they are still free."""
    kept = load_ports(paths.ports)
    wanted = api_port or kept.get("ingest", PREFERRED_API_PORT)
    if not is_free(wanted):
        if api_port:
            raise LocalStackError(f"Port {api_port} is taken: stop what listens there, or choose another API port.")
        say(f"port {wanted} is taken, so the API gets another")
    for carrier in carriers.carriers:
        if carrier.simulated and carrier.port and not is_free(carrier.port):
            raise LocalStackError(
                f"Port {carrier.port} of carrier {carrier.id} is taken: stop what listens there, or leave the port out."
            )
    names = port_names(carriers)
    ports = choose_ports(names, {**kept, "ingest": wanted}, prefer={"ingest": PREFERRED_API_PORT})
    save_ports(paths.ports, {**kept, **ports})
    return Stack(paths, carriers, ports, load_or_make_secrets(paths.secrets), say=say)


async def _serve(
    paths: Paths, arguments: argparse.Namespace, say: Say, ready: Callable[[Stack], Awaitable[None]]
) -> None:
    """Start the stack, do `ready` when it is, and keep it up until a signal; then stop it."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    carriers = read_carriers(arguments.carriers)
    paths.make()
    with control.only_one(paths):
        for name in control.end_leftovers(paths):
            say(f"{name} was left by an earlier stack: ended")
        stack = make_stack(paths, carriers, arguments.port, say)
        stopping = asyncio.create_task(stop.wait())
        try:
            for step in (stack.start, functools.partial(ready, stack)):
                working = asyncio.ensure_future(step())
                await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
                if not working.done():
                    working.cancel()
                    await asyncio.wait([working])
                    return
                working.result()
            await stopping
        finally:
            say("stopping")
            await stack.stop()
            say("all stopped")


async def _run(paths: Paths, arguments: argparse.Namespace) -> None:
    begun = _command_started_at()

    async def demo(stack: Stack) -> None:
        await run_demo(stack.api, stack.secrets.api_key, command_started_at=begun)
        print(f"\n{addresses(stack)}\n\ntry        {_curl(stack)}\n\nCtrl-C stops everything.", flush=True)

    refuse_real_carriers(read_carriers(arguments.carriers))
    await _serve(paths, arguments, _tell, demo)


def _up(paths: Paths, arguments: argparse.Namespace) -> None:
    """Start a supervisor of its own, and repeat its words until the stack is ready or has failed."""
    read_carriers(arguments.carriers)  # a mistake is better told before anything starts
    paths.make()
    words = [sys.executable, "-m", "relais_local", "supervise", "--carriers", str(arguments.carriers.resolve())]
    words += ["--run-dir", str(paths.run), *(["--port", str(arguments.port)] if arguments.port else [])]
    with paths.log("supervisor.errors").open("ab") as errors:
        supervisor = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
    try:
        ready = _repeat(supervisor.stdout) if supervisor.stdout else False
    except KeyboardInterrupt:
        supervisor.terminate()
        supervisor.wait()
        raise LocalStackError("Called off: the stack is down.") from None
    if not ready:
        supervisor.wait()
        raise SystemExit(1)


READY, FAILED = "\x06", "\x15"  # ACK and NAK in front of the supervisor's last line to `up`


def _repeat(words: IO[str]) -> bool:
    for line in words:
        match line[:1]:
            case "\x06":
                print(line[1:].rstrip("\n").replace("\t", "\n"))
                return True
            case "\x15":
                print(line[1:], end="", file=sys.stderr)
                return False
            case _:
                _tell(line.rstrip("\n"))
    print("The supervisor ended without a word: see .run/logs/supervisor.errors.log.", file=sys.stderr)
    return False


async def _supervise(paths: Paths, arguments: argparse.Namespace) -> None:
    """What `up` leaves behind. Standard output is a pipe to it until the stack is ready."""
    listening = True

    def say(line: str) -> None:
        if listening:
            with contextlib.suppress(BrokenPipeError):
                print(line, flush=True)

    async def ready(stack: Stack) -> None:
        nonlocal listening
        say(READY + addresses(stack).replace("\n", "\t"))
        listening = False
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    try:
        await _serve(paths, arguments, say, ready)
    except LocalStackError as error:
        say(FAILED + str(error))
        raise SystemExit(1) from None


def addresses(stack: Stack) -> str:
    """What a person needs next."""
    services = "  ".join(
        f"{name} :{stack.ports[name]}" for name in ("segmenter", "router", "dlr-processor", "analytics")
    )
    return (
        f"API         {stack.api}/v1  (OpenAPI: {stack.api}/openapi.json)\n"
        f"key         {stack.secrets.api_key}\n"
        f"metrics     {services}  at /metrics\n"
        f"Kafka       {stack.kafka.bootstrap}    registry http://127.0.0.1:{stack.ports['registry']}/apis/ccompat/v7\n"
        f"logs        {stack.paths.logs}    scripts: {stack.paths.env}"
    )


def _curl(stack: Stack) -> str:
    body = '{"to":"+33612345678","text":"Bonjour","class":"transactional"}'  # the example number of libphonenumber
    return (
        f"curl -s {stack.api}/v1/messages -H 'Authorization: Bearer {stack.secrets.api_key}' "
        f"-H 'Content-Type: application/json' -d '{body}'"
    )


def _tell(line: str) -> None:
    print(f"  {line}", flush=True)


def _command_started_at() -> float:
    """When the person pressed Enter (seconds since the epoch): at the start of `make`, where that is our parent."""
    ourselves = psutil.Process()
    with contextlib.suppress(psutil.Error):
        parent = ourselves.parent()
        if parent is not None and parent.name() in ("make", "gmake"):
            return parent.create_time()
    return ourselves.create_time()


if __name__ == "__main__":
    main()
