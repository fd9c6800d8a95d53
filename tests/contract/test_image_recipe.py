"""The image recipe, read as text: no engine that builds images is needed to see that it can work."""

import re
import shlex
from pathlib import Path

import pytest
from shared.db.roles import SERVICES

CHECKOUT = Path(__file__).parents[2]
RECIPE = CHECKOUT / "deploy" / "k8s" / "image" / "Dockerfile"
NAMES = {service.service for service in SERVICES}

Instruction = tuple[str, str]


def _instructions() -> list[Instruction]:
    """Keyword and rest of each instruction; comments dropped, continued lines joined."""
    text = "\n".join(line for line in RECIPE.read_text("utf-8").splitlines() if not line.startswith("#"))
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in lines if line.strip()]


def _stages() -> list[list[Instruction]]:
    stages: list[list[Instruction]] = [[]]
    for instruction in _instructions():
        if instruction[0] == "FROM":
            stages.append([])
        stages[-1].append(instruction)
    return stages[1:]


def _of(stage: list[Instruction], keyword: str) -> list[str]:
    return [rest for word, rest in stage if word == keyword]


def _services() -> set[str]:
    """The values that the recipe's own check of SERVICE lets through."""
    case = re.search(r'case "\$SERVICE" in\s+([a-z|-]+)\)', " ".join(_of(_stages()[0], "RUN")))
    assert case is not None
    return set(case[1].split("|"))


def test_it_builds_the_six_services_and_nothing_else() -> None:
    assert _services() == NAMES


@pytest.mark.parametrize("service", sorted(NAMES))
def test_everything_that_is_copied_exists(service: str) -> None:
    copied = [rest for stage in _stages() for rest in _of(stage, "COPY") if not rest.startswith("--from")]
    assert copied
    for rest in copied:
        *sources, _ = shlex.split(rest)
        for source in sources:
            assert (CHECKOUT / source.replace("${SERVICE}", service)).exists(), source


@pytest.mark.parametrize("service", sorted(NAMES))
def test_each_service_is_a_distribution_with_a_package_that_can_be_run(service: str) -> None:
    project = (CHECKOUT / "services" / service / "pyproject.toml").read_text("utf-8")
    assert f'name = "relais-{service}"' in project
    package = CHECKOUT / "services" / service / "src" / service.replace("-", "_")
    assert (package / "__main__.py").exists()


def test_what_is_copied_passes_the_ignore_file() -> None:
    kept = [
        line[1:] for line in (RECIPE.parent / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    copied = [rest.split()[0] for stage in _stages() for rest in _of(stage, "COPY") if not rest.startswith("--from")]
    assert all(any(source == k or source.startswith(f"{k}/") for k in kept) for source in copied), copied


def test_packages_come_by_hash_as_wheels_and_the_rest_without_the_network() -> None:
    commands = [c.strip() for run in _of(_stages()[0], "RUN") for c in run.split("&&")]
    pips = [shlex.split(c) for c in commands if c.startswith("pip")]
    online = [c for c in pips if "--no-index" not in c]
    assert len(online) == 1
    assert {"--require-hashes", "--no-deps", "requirements.lock.txt"} <= set(online[0])
    assert online[0][online[0].index("--only-binary") + 1] == ":all:"
    ours = next(c for c in pips if "wheel" in c[:2])
    assert {"--no-build-isolation", "--no-deps", "./shared", "./services/$SERVICE"} <= set(ours)


def test_the_build_backend_and_the_services_needs_are_in_the_lock() -> None:
    locked = set(
        re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==", (CHECKOUT / "requirements.lock.txt").read_text("utf-8"), re.M)
    )
    assert {"hatchling", "editables"} <= locked
    for service in [CHECKOUT / "shared", *(CHECKOUT / "services" / name for name in NAMES)]:
        listed = re.search(r"^dependencies = \[(.*?)\]$", (service / "pyproject.toml").read_text("utf-8"), re.M | re.S)
        assert listed is not None
        needs = {re.split(r"[\[<>=!~ ]", need)[0] for need in re.findall(r'"([^"]+)"', listed[1])}
        assert {need for need in needs if not need.startswith("relais-")} <= locked, service


def test_it_names_no_host_and_hides_no_secret() -> None:
    said = " ".join(rest for _, rest in _instructions())
    assert "://" not in said
    assert "index-url" not in said
    assert not re.search(r"(?i)password|secret|token", said)


def test_every_base_image_has_a_tag_and_may_be_pinned_by_digest() -> None:
    values = dict(rest.partition("=")[::2] for word, rest in _instructions() if word == "ARG")
    assert values["PYTHON_TAG"] == "3.11-slim-bookworm"
    assert values["PYTHON_DIGEST"] == ""
    for stage in _stages():
        assert _of(stage, "FROM")[0].split(" ")[0] == "python:${PYTHON_TAG}${PYTHON_DIGEST}"


def test_what_runs_is_not_root_and_is_the_service_itself() -> None:
    last = _stages()[-1]
    users = _of(last, "USER")
    assert len(users) == 1
    user, group = users[0].split(":")
    assert int(user) == int(group) == 10001
    assert last.index(("USER", users[0])) > max(i for i, (word, _) in enumerate(last) if word == "COPY")
    assert not _of(last, "RUN")
    assert _of(last, "ENTRYPOINT") == ['["/opt/relais/bin/start"]']
    assert "exec /opt/relais/bin/python -m %s" in " ".join(_of(_stages()[0], "RUN"))
    assert "PYTHONDONTWRITEBYTECODE=1" in _of(last, "ENV")[0]
