"""Renders the manifests and holds them to Kubernetes' own schemas, without a cluster.

    python deploy/k8s/validate/validate.py prepare          makes the tools and schemas, once, in build/k8s
    python deploy/k8s/validate/validate.py render FOLDER    prints what `kubectl apply -k FOLDER` would send
    python deploy/k8s/validate/validate.py check FOLDER     renders and validates; status 1 with the findings; `-` is stdin

kubeconform judges, by schemas made from the OpenAPI document in Kubernetes' own module, and for Strimzi's two kinds by
those beside this file. Go and kubectl do what they always do; where kubectl is missing or old, kustomize is built.
"""

import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from schemas import strict_schemas

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[2]
BUILD = CHECKOUT / "build" / "k8s"

KUBERNETES = "v1.34.4"
KUBERNETES_SUM = "h1:Yy6R4QB8C9kJPp25GFqEvX5XQwY5qzKeqD0Xx6oAcmk="  # of the whole module, as Go's checksums are
KUBECONFORM = "github.com/yannh/kubeconform/cmd/kubeconform"
KUSTOMIZE = "sigs.k8s.io/kustomize/kustomize/v5"
OLDEST_GO = (1, 19)
KUSTOMIZE_FROM = (5, 0)  # `labels` with `includeTemplates`
SCHEMA_FILE = "{{ .ResourceKind }}-{{ .Group }}-{{ .ResourceAPIVersion }}.json"  # as `schemas.file_name` has it
PATIENCE_S = 600


class ValidationTroubleError(Exception):
    """One sentence with the remedy."""


def prepare() -> None:
    """Makes what is missing: kubeconform, kustomize where kubectl has none, schemas. Harmless when repeated."""
    with _alone():
        _tool("kubeconform", KUBECONFORM)
        if not _kubectl_renders():
            _tool("kustomize", KUSTOMIZE)
        _schemas()


def render(folder: Path) -> str:
    if not (folder / "kustomization.yaml").exists():
        raise ValidationTroubleError(f"{folder} holds no kustomization.yaml")
    command = ["kubectl", "kustomize"] if _kubectl_renders() else [str(BUILD / "bin" / "kustomize"), "build"]
    done = _run([*command, str(folder)], {})
    if done.returncode:
        raise ValidationTroubleError(f"{folder} cannot be rendered: {done.stderr.strip()}")
    return done.stdout


def conform(manifests: str) -> tuple[int, list[str]]:
    """How many resources were held to a schema, and a line for each fault. A kind without a schema is a fault."""
    command = [
        str(BUILD / "bin" / "kubeconform"), "-strict", "-summary", "-output", "json",
        "-schema-location", f"{HERE}/strimzi/{SCHEMA_FILE}",
        "-schema-location", f"{BUILD}/schemas/{SCHEMA_FILE}",
        "-",
    ]  # fmt: skip
    done = _run(command, {}, text=manifests)
    try:
        told = json.loads(done.stdout)
    except json.JSONDecodeError:
        raise ValidationTroubleError(
            f"kubeconform said nothing readable: {(done.stderr or done.stdout)[:500]}"
        ) from None
    faults = [
        f"{r['kind']} {r['name']}: {r['msg']}" for r in told.get("resources") or () if r["status"] != "statusValid"
    ]
    return sum(told["summary"].values()), faults


@contextmanager
def _alone() -> Iterator[None]:
    """Two that prepare at once take turns."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(
    command: Sequence[str], environment: Mapping[str, str], *, cwd: Path | None = None, text: str | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - commands of ours; no shell
        command, cwd=cwd, env={**os.environ, **environment}, input=text, capture_output=True, text=True,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip


def _numbers(version: str) -> tuple[int, int]:
    found = re.search(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


@functools.cache
def _kubectl_renders() -> bool:
    if shutil.which("kubectl") is None:
        return False
    done = _run(["kubectl", "version", "--client", "--output=json"], {})
    try:
        return _numbers(json.loads(done.stdout)["kustomizeVersion"]) >= KUSTOMIZE_FROM
    except (json.JSONDecodeError, KeyError):
        return False


def _go() -> str:
    go = shutil.which("go") or _installed_go()
    version = _run([go, "env", "GOVERSION"], {"GOTOOLCHAIN": "local"}, cwd=BUILD).stdout
    if _numbers(version) < OLDEST_GO:
        raise ValidationTroubleError(
            f"Go is {version.strip() or 'too old'}: validating the manifests needs 1.19 or later."
        )
    return go


def _installed_go() -> str:
    """Debian's, when root; else the end with the one command to run."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ValidationTroubleError(
            "Validating the manifests needs Go; run: sudo apt-get install --no-install-recommends golang-go"
        )
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", "golang-go"]
    if _run(install, environment).returncode:
        _run(["apt-get", "update", "-qq"], environment)
        done = _run(install, environment)
        if done.returncode:
            raise ValidationTroubleError(f"apt-get could not install golang-go: {done.stderr.strip()[-300:]}")
    found = shutil.which("go")
    if found is None:
        raise ValidationTroubleError("golang-go is installed and yet there is no `go` on PATH.")
    return found


GO_ENVIRONMENT = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def _tool(name: str, package: str) -> None:
    wanted = hashlib.sha256((HERE / "go.mod").read_bytes() + (HERE / "go.sum").read_bytes()).hexdigest()
    binary, stamp = BUILD / "bin" / name, BUILD / f"{name}.stamp"
    if binary.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    binary.parent.mkdir(exist_ok=True)
    done = _run([_go(), "build", "-mod=readonly", "-trimpath", "-o", str(binary), package], GO_ENVIRONMENT, cwd=HERE)
    if done.returncode:
        raise ValidationTroubleError(f"Go could not build {name}: {done.stderr.strip()[-500:]}")
    stamp.write_text(wanted)


def _schemas() -> None:
    wanted = hashlib.sha256(KUBERNETES_SUM.encode() + (HERE / "schemas.py").read_bytes()).hexdigest()
    folder, stamp = BUILD / "schemas", BUILD / "schemas.stamp"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    done = _run([_go(), "mod", "download", "-json", f"k8s.io/kubernetes@{KUBERNETES}"], GO_ENVIRONMENT, cwd=BUILD)
    told = json.loads(done.stdout or "{}")
    if done.returncode or "Dir" not in told:
        raise ValidationTroubleError(
            f"Go could not bring k8s.io/kubernetes: {told.get('Error') or done.stderr.strip()[-500:]}"
        )
    if told["Sum"] != KUBERNETES_SUM:
        raise ValidationTroubleError(
            f"k8s.io/kubernetes {KUBERNETES} has another checksum than expected: {told['Sum']}"
        )
    swagger = json.loads((Path(told["Dir"]) / "api" / "openapi-spec" / "swagger.json").read_text("utf-8"))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, schema in strict_schemas(swagger):
        (folder / name).write_text(json.dumps(schema, separators=(",", ":")), "utf-8")
    stamp.write_text(wanted)


def main(arguments: Sequence[str]) -> int:
    try:
        match list(arguments):
            case ["prepare"]:
                prepare()
            case ["render", folder]:
                prepare()
                sys.stdout.write(render(Path(folder)))
            case ["check", folder]:
                prepare()
                count, faults = conform(sys.stdin.read() if folder == "-" else render(Path(folder)))
                sys.stdout.write("".join(f"{fault}\n" for fault in faults) or f"{count} resources are valid\n")
                return 1 if faults or not count else 0
            case _:
                sys.stderr.write(
                    "usage: python deploy/k8s/validate/validate.py prepare | render FOLDER | check FOLDER\n"
                )
                return 2
    except ValidationTroubleError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
