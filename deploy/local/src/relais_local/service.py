"""A service, a simulator or a job of the stack: a Python process described by the plan."""

from collections.abc import Mapping

import aiohttp

from relais_local.errors import LocalStackError
from relais_local.paths import CHECKOUT, Paths
from relais_local.plan import Program
from relais_local.process import ChildProcess


class Service:
    """Runs one program of the plan; `start()` does not wait until it is ready, `ready()` tells."""

    def __init__(self, program: Program, paths: Paths, base_env: Mapping[str, str]) -> None:
        self.name = program.name
        self._ready_url = program.ready_url
        self.process = ChildProcess(
            program.name,
            program.argv,
            {**base_env, **program.env},
            log=paths.log(program.name),
            pid_file=paths.pid(program.name) if program.ready_url else None,
            cwd=CHECKOUT,
        )

    async def start(self) -> None:
        await self.process.start()

    async def stop(self, grace_s: float = 5.0) -> None:
        await self.process.stop(grace_s)

    async def ready(self, client: aiohttp.ClientSession) -> bool:
        if self._ready_url is None:
            return True
        try:
            async with client.get(self._ready_url) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False


async def run_job(program: Program, paths: Paths, base_env: Mapping[str, str]) -> None:
    """Run a job to its end. Raises LocalStackError when it fails."""
    job = Service(program, paths, base_env)
    await job.start()
    try:
        code = await job.process.wait()
    finally:
        job.process.kill_group()
    if code != 0:
        raise LocalStackError(
            f"The job {program.name} failed: {job.process.last_line()!r}; its whole log is {job.process.log}."
        )
