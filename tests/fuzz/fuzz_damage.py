"""Random damage to valid octets, through one target in one process."""

import signal
import time
import traceback
from random import Random
from typing import NamedTuple

import psutil
from fuzz_corpus import spoil
from fuzz_targets import TARGETS

HANG_S = 1.0  # of CPU for one input: the machine's other work does not count
MAX_FINDINGS = 20
BATCH = 2000


class Finding(NamedTuple):
    target: str
    data: bytes
    what: str


class Result(NamedTuple):
    target: str
    inputs: int
    seconds: float
    cpu_seconds: float
    slowest_us: float
    """CPU of the slowest batch, an input."""
    growth: int
    findings: list[Finding]


class HangError(BaseException):
    """Not an Exception, so that no code under test can swallow it."""


def damage(target: str, inputs: int, seed: int, corpus: list[bytes]) -> Result:
    """So many spoilt inputs through one target, in this process."""
    check, random = TARGETS[target], Random(seed)
    findings: list[Finding] = []
    done, stuck_at = 0, -1

    def tick(*_: object) -> None:
        nonlocal stuck_at
        if stuck_at == done:
            raise HangError
        stuck_at = done

    signal.signal(signal.SIGVTALRM, tick)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANG_S, HANG_S)
    process = psutil.Process()
    early, slowest = 0, 0.0
    began, cpu_began = time.perf_counter(), time.process_time()
    choose, size = random.random, len(corpus)
    while done < inputs and len(findings) < MAX_FINDINGS:
        batch_began = time.process_time()
        end = min(done + BATCH, inputs)
        while done < end:
            data = spoil(corpus[int(choose() * size)], corpus, random)
            done += 1
            try:
                check(data)
            except (Exception, HangError) as error:
                what = "took more than a second" if isinstance(error, HangError) else traceback.format_exc(limit=-3)
                findings.append(Finding(target, data, what))
                if len(findings) == MAX_FINDINGS:
                    break
        slowest = max(slowest, (time.process_time() - batch_began) / BATCH)
        if not early and done >= inputs // 10:
            early = process.memory_info().rss
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    growth = max(0, process.memory_info().rss - early) if early else 0
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    return Result(target, done, seconds, cpu, slowest * 1e6, growth, findings)
