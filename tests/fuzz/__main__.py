"""Fuzzing of whatever a carrier's octets reach first: python tests/fuzz [--inputs N] [--seed N] [--target NAME]

First a coverage-guided fuzzer, where it is installed, looks for inputs that reach new code; then random damage to
those and to valid octets, much faster, does the bulk. A finding is kept in build/fuzz/findings, shown in hexadecimal,
and becomes a named test. Exit status 1 when there is one.

Checked of every input: no exception but PduError, the promises in `fuzz_targets`, at most a second of CPU, and of
every process that its memory does not grow.
"""

import argparse
import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fuzz_corpus import seeds
from fuzz_damage import Finding, Result, damage
from fuzz_targets import TARGETS

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "fuzz"
PROCESSES = 2
MAX_GROWTH = 24 * 1024 * 1024  # octets of a process, between its first tenth and its end

SHARES = {"pdu": 35, "stream": 15, "receipt": 25, "text": 20, "times": 5}
"""Percent of the inputs for each target."""


def guide(target: str, inputs: int, seed: int) -> tuple[int, str, list[Finding]]:
    """The coverage-guided fuzzer on one target: inputs done, its last words, findings. Its corpus is kept."""
    corpus, artifacts = BUILD / "corpus" / target, BUILD / "crashes" / target
    for folder in (corpus, artifacts):
        folder.mkdir(parents=True, exist_ok=True)
    for data in seeds(target):
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    before = set(artifacts.iterdir())
    command = [
        sys.executable, str(HERE / "guided.py"), target, f"-runs={inputs}", f"-seed={seed}", "-max_len=1024",
        "-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1", f"-artifact_prefix={artifacts}/", str(corpus),
    ]  # fmt: skip
    output = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False).stderr
    coverage = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", output)
    count = re.findall(r"stat::number_of_executed_units: (\d+)", output)
    words = f"coverage {coverage[-1][0]}, features {coverage[-1][1]}, kept {coverage[-1][2]}" if coverage else ""
    new = sorted(set(artifacts.iterdir()) - before)
    findings = [Finding(target, path.read_bytes(), output[-2000:]) for path in new]
    if not findings and not count:
        words = "did not run: " + (output.strip().splitlines() or ["no output"])[-1]
    return int(count[-1]) if count else 0, words, findings


def kept(target: str) -> list[bytes]:
    """Valid octets, and what the guided fuzzer kept for reaching new code."""
    folder = BUILD / "corpus" / target
    found = [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []
    return seeds(target) + found


def tell(findings: list[Finding]) -> None:
    folder = BUILD / "findings"
    folder.mkdir(parents=True, exist_ok=True)
    for target, data, what in findings:
        path = folder / f"{target}-{hashlib.sha256(data).hexdigest()[:12]}.bin"
        path.write_bytes(data)
        print(f"\nFOUND {target}: {path.relative_to(BUILD.parents[1])}, {len(data)} octets\n{data[:200].hex()}\n{what}")


def in_parallel(calls: list[Callable[[], Result]]) -> list[Result]:
    """Each in a process of its own, begun afresh, `PROCESSES` at once."""
    with ProcessPoolExecutor(PROCESSES, get_context("spawn"), max_tasks_per_child=1) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def told(what: str, results: list[Result]) -> None:
    inputs = sum(result.inputs for result in results)
    print(
        f"damaged {what:<10}{inputs:>12,} inputs"
        f"  {PROCESSES * inputs / max(0.001, sum(result.cpu_seconds for result in results)):>9,.0f}/s on {PROCESSES} cores"
        f"  slowest batch {max(result.slowest_us for result in results):>3,.0f} us an input"
        f"  memory +{max(result.growth for result in results) // 1024:,} KiB"
        f"  findings {sum(len(result.findings) for result in results)}",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz what a carrier's octets reach first.")
    parser.add_argument("--inputs", type=int, default=10_000_000, help="damaged inputs, over all targets")
    parser.add_argument("--guided", type=int, default=500_000, help="coverage-guided inputs, over all targets")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**31)
    parser.add_argument("--target", choices=sorted(TARGETS), help="this one only")
    arguments = parser.parse_args()
    shares = {arguments.target: 100} if arguments.target else SHARES
    print(f"seed {arguments.seed}, {PROCESSES} processes")
    findings: list[Finding] = []

    if importlib.util.find_spec("atheris") is None:
        print("without coverage guidance: atheris is not installed")
    elif arguments.guided:
        began, total = time.perf_counter(), 0
        for target, share in shares.items():
            inputs, words, found = guide(target, arguments.guided * share // 100, arguments.seed)
            total, findings = total + inputs, findings + found
            print(f"guided  {target:<10}{inputs:>12,} inputs  {words}  findings {len(found)}", flush=True)
        print(f"guided  {'all':<10}{total:>12,} inputs in {time.perf_counter() - began:,.0f} s")

    began = time.perf_counter()
    calls = []
    for target, share in shares.items():
        corpus = kept(target)
        for _ in range(PROCESSES):
            inputs = arguments.inputs * share // 100 // PROCESSES
            calls.append(partial(damage, target, inputs, arguments.seed * 1000 + len(calls), corpus))
    results = in_parallel(calls)
    grown = [result for result in results if result.growth > MAX_GROWTH]
    for target in shares:
        own = [result for result in results if result.target == target]
        inputs = sum(result.inputs for result in own)
        told(target, own)
        findings += [finding for result in own for finding in result.findings]
    told("all", results)
    print(f"in {time.perf_counter() - began:,.0f} s, whatever else the machine does")
    for result in grown:
        print(f"GROWN {result.target}: {result.growth:,} octets")
    tell(findings)
    print("nothing found" if not findings and not grown else f"{len(findings)} findings")
    return 1 if findings or grown else 0


if __name__ == "__main__":
    os.chdir(HERE.parents[1])
    sys.exit(main())
