"""One process: its settings, telemetry, HTTP server, background tasks, and an end in the reverse order of the start.

Liveness is the event loop's progress only. Readiness is whatever the service says it needs.
"""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import uvicorn
import uvloop
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from opentelemetry import trace

from shared.http import problems
from shared.settings import ServiceSettings
from shared.telemetry.logs import logger, setup_logs
from shared.telemetry.metrics import Metrics
from shared.telemetry.traces import setup_traces

# Records in hand are many young objects that die by themselves; to look for circles among them after every 700, as
# Python does unless told, cost a connector a tenth of its time. So many take a few megabytes.
YOUNG_OBJECTS = 20_000


class Service:
    """What a composition root assembles.

    `starts(open, close)` in order; `task(...)` runs until the end and takes the process down when it fails, so that
    whoever supervises starts it again; `ready_when(...)` names conditions of readiness.
    """

    def __init__(self, settings: ServiceSettings, *, title: str, description: str = "", version: str = "0.1.0") -> None:
        self.settings = settings
        setup_logs(settings.service_name, settings.log_level)
        self.log = logger()
        self.metrics = Metrics(settings.service_name)
        self.traces = setup_traces(settings.service_name, settings.trace_ratio, settings.otlp_endpoint)
        trace.set_tracer_provider(self.traces)
        self.tracer = self.traces.get_tracer("relais")
        self.app = FastAPI(
            title=title, description=description, version=version, docs_url=None, redoc_url=None,
            # FastAPI's own spans hold the query, and a query may hold a number; they cost 100 us a request besides.
            telemetry={"tracing": False, "metrics": False, "logs": False},
        )  # fmt: skip
        problems.install(self.app)
        self._health()
        self._parts: list[tuple[Callable[[], Awaitable[Any]], Callable[[], Awaitable[Any]] | None]] = []
        self._tasks: list[tuple[str, Callable[[], Coroutine[Any, Any, None]], Callable[[], None] | None]] = []
        self._conditions: dict[str, Callable[[], bool]] = {}
        self._drains: list[Callable[[], Awaitable[Any]]] = []

    def starts(self, opens: Callable[[], Awaitable[Any]], closes: Callable[[], Awaitable[Any]] | None = None) -> None:
        """A part opened before the tasks run and closed after they have ended, last opened first."""
        self._parts.append((opens, closes))

    def task(
        self, name: str, run: Callable[[], Coroutine[Any, Any, None]], stop: Callable[[], None] | None = None
    ) -> None:
        """A background task. With `stop` it is asked to end and given the grace; without, it is cancelled."""
        self._tasks.append((name, run, stop))

    def drains(self, drain: Callable[[], Awaitable[Any]]) -> None:
        """Awaited first of all when the process is asked to end: stop taking work in, finish what is in hand."""
        self._drains.append(drain)

    def ready_when(self, name: str, condition: Callable[[], bool]) -> None:
        self._conditions[name] = condition

    def _health(self) -> None:
        async def livez() -> dict[str, str]:
            return {"status": "alive"}

        async def readyz() -> JSONResponse:
            state = {name: condition() for name, condition in self._conditions.items()}
            return JSONResponse(
                {"ready": all(state.values()), "conditions": state}, status_code=200 if all(state.values()) else 503
            )

        async def metrics() -> Response:
            return Response(self.metrics.exposition(), media_type="text/plain; version=0.0.4")

        self.app.add_api_route("/livez", livez, include_in_schema=False)
        self.app.add_api_route("/readyz", readyz, include_in_schema=False)
        self.app.add_api_route("/metrics", metrics, include_in_schema=False)

    def run(self) -> None:
        """Until SIGTERM or SIGINT. Exit status 0 after an orderly end, 1 when a task failed."""
        sys.exit(uvloop.run(self._run()))

    async def _run(self) -> int:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        config = uvicorn.Config(
            self.app, host=self.settings.http_host, port=self.settings.http_port, log_config=None, access_log=False, lifespan="off",
            timeout_graceful_shutdown=2, backlog=4096, server_header=False,
        )  # fmt: skip
        server = uvicorn.Server(config)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
        serving = asyncio.create_task(server.serve(), name="http")
        opened: list[Callable[[], Awaitable[Any]]] = []
        running: dict[str, asyncio.Task[None]] = {}
        stopper = asyncio.create_task(stop.wait())
        failed = False
        try:
            for opens, closes in self._parts:
                opening = asyncio.ensure_future(opens())
                await asyncio.wait([opening, stopper, serving], return_when=asyncio.FIRST_COMPLETED)
                if not opening.done():
                    opening.cancel()
                    break
                await opening
                if closes is not None:
                    opened.append(closes)
            if not stop.is_set() and not serving.done():
                running = {name: asyncio.create_task(run(), name=name) for name, run, _ in self._tasks}
                # What stands now stays: without this a full collection looks at all of it, 110 ms every few seconds.
                gc.collect()
                gc.freeze()
                gc.set_threshold(YOUNG_OBJECTS, 20, 20)
                self.log.info("service runs")
                await asyncio.wait([stopper, serving, *running.values()], return_when=asyncio.FIRST_COMPLETED)
        except Exception:
            self.log.exception("service cannot start")
            failed = True
        failed = self._report(running, serving, stop) or failed
        await self._end(running, server, serving, opened)
        stopper.cancel()
        return 1 if failed else 0

    def _report(self, running: dict[str, asyncio.Task[None]], serving: asyncio.Task[Any], stop: asyncio.Event) -> bool:
        if stop.is_set():
            self.log.info("service stops")
            return False
        if serving.done():
            self.log.error("the HTTP server ended: is its port taken?", port=self.settings.http_port)
            return True
        for name, task in running.items():
            if task.done():
                self.log.error("task ended", task=name, exc_info=task.exception() if not task.cancelled() else None)
        return True

    async def _end(
        self,
        running: dict[str, asyncio.Task[None]],
        server: uvicorn.Server,
        serving: asyncio.Task[Any],
        opened: list[Callable[[], Awaitable[Any]]],
    ) -> None:
        try:
            async with asyncio.timeout(self.settings.shutdown_grace_s):
                for drain in reversed(self._drains):
                    await drain()
                asked = []
                for name, _, stop in reversed(self._tasks):
                    task = running.get(name)
                    if task is None or task.done():
                        continue
                    if stop is not None:
                        stop()
                    else:
                        task.cancel()
                    asked.append(task)
                if asked:
                    await asyncio.wait(asked)
        except TimeoutError:
            self.log.warning("the grace is over: what was in hand will be repeated after the restart")
        except Exception:
            self.log.exception("draining failed")
        for task in running.values():
            task.cancel()
        server.should_exit = True
        with contextlib.suppress(Exception, SystemExit):
            await asyncio.wait_for(serving, 3)
        for close in reversed(opened):
            try:
                await asyncio.wait_for(close(), 2)
            except Exception:
                self.log.warning("a part did not close in time")
        self.traces.shutdown()
        self.metrics.close()
