"""The manifests: rendered, held to Kubernetes' schemas, to our rules, and to the services they start."""

import base64
import copy
import importlib
import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from shared.contracts.topics import TOPICS
from shared.db.roles import SERVICES
from shared.settings import ServiceSettings
from shared.telemetry.metrics import REGISTRY

K8S = Path(__file__).parents[2] / "deploy" / "k8s"
VALIDATE = K8S / "validate" / "validate.py"
SYSTEMS = ("base", "overlays/example")
FOLDERS = (*SYSTEMS, "kafka", "warehouse")
NAMES = tuple(service.service for service in SERVICES)


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"k8s_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rules = _module(K8S / "validate" / "rules.py")


def _call(*arguments: str, text: str | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, *arguments], input=text, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def rendered() -> Callable[[str], str]:
    """A folder's manifests as text. The first call makes the tools, which takes up to a minute on a fresh machine."""
    found: dict[str, str] = {}

    def render(folder: str) -> str:
        if folder not in found:
            done = _call(str(VALIDATE), "render", str(K8S / folder))
            assert done.returncode == 0, done.stderr
            found[folder] = done.stdout
        return found[folder]

    return render


@pytest.fixture(scope="session")
def docs(rendered: Callable[[str], str]) -> Callable[[str], list[Any]]:
    """A folder's manifests, parsed once: whoever changes them takes a copy."""
    found: dict[str, list[Any]] = {}

    def parse(folder: str) -> list[Any]:
        if folder not in found:
            found[folder] = list(yaml.load_all(rendered(folder), yaml.CSafeLoader))
        return found[folder]

    return parse


def _check(text: str) -> "subprocess.CompletedProcess[str]":
    return _call(str(VALIDATE), "check", "-", text=text)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("folder", FOLDERS)
def test_kubernetes_would_know_every_kind_and_field(folder: str, rendered: Callable[[str], str]) -> None:
    done = _check(rendered(folder))
    count = len(re.findall(r"^kind: ", rendered(folder), re.MULTILINE))
    assert done.stdout == f"{count} resources are valid\n", done.stdout + done.stderr


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("  replicas: 2\n", "  replicaz: 2\n", "replicaz"),
        ("apiVersion: policy/v1\n", "apiVersion: policy/v1beta1\n", "could not find schema"),
        ("        - containerPort: 8080\n", '        - containerPort: "8080"\n', "expected integer"),
        ("  maxUnavailable: 1\n", "  maxUnavailable: 1\n  maxUnavailable: 2\n", "already set"),
        ("            cpu: 500m\n", "            cpu: [500m]\n", "expected"),
    ],
    ids=[
        "a field that is misspelt",
        "an API that is gone",
        "a text for a number",
        "a key twice",
        "a list for a quantity",
    ],
)
def test_the_validation_finds(right: str, wrong: str, said: str, rendered: Callable[[str], str]) -> None:
    text = rendered("base")
    assert right in text
    done = _check(text.replace(right, wrong, 1))
    assert done.returncode == 1
    assert said in done.stdout


@pytest.mark.parametrize("folder", SYSTEMS)
@pytest.mark.parametrize("rule", rules.RULES)
def test_rule(rule: str, folder: str, docs: Callable[[str], list[Any]]) -> None:
    assert list(rules.RULES[rule](docs(folder))) == []


def _documented_secrets(docs: list[Any]) -> dict[str, set[str]]:
    """The README's table, its placeholders filled in with the services and the carriers that are there."""
    carriers = [rules.pod_labels(doc)[rules.INSTANCE] for doc in rules.of_kind(docs, "StatefulSet")]
    found: dict[str, set[str]] = {}
    for name, keys in re.findall(
        r"^\| `([a-z<>-]+)` \| ((?:`[a-z.-]+`(?:, )?)+) \|", (K8S / "README.md").read_text("utf-8"), re.M
    ):
        placeholder = re.search(r"<(service|carrier)>", name)
        fillings = {None: [""], "service": NAMES, "carrier": carriers}[placeholder and placeholder[1]]
        for filling in fillings:
            found[re.sub("<.*>", filling, name)] = set(re.findall("`([^`]+)`", keys))
    return found


@pytest.mark.parametrize("folder", SYSTEMS)
def test_whatever_is_referred_to_is_there_or_in_the_readme(folder: str, docs: Callable[[str], list[Any]]) -> None:
    assert list(rules.references_exist(docs(folder), _documented_secrets(docs(folder)))) == []


def test_the_readme_asks_for_no_secret_that_nothing_uses(
    rendered: Callable[[str], str], docs: Callable[[str], list[Any]]
) -> None:
    used = set(re.findall(r"(?:secretKeyRef:\n +key: [a-z.-]+\n +name|secretName): ([a-z-]+)", rendered("base")))
    assert set(_documented_secrets(docs("base"))) == used


def _first(docs: list[Any], kind: str, name: str) -> Any:
    return next(doc for doc in docs if (doc["kind"], doc["metadata"]["name"]) == (kind, name))


def _pod(docs: list[Any], kind: str, name: str) -> Any:
    return _first(docs, kind, name)["spec"]["template"]["spec"]


BREAKS: dict[str, tuple[str, Callable[[list[Any]], Any]]] = {
    "a selector that misses its pods": (
        "selectors fit",
        lambda d: _first(d, "Deployment", "router")["spec"]["selector"]["matchLabels"].update({rules.NAME: "rooter"}),
    ),
    "a Service for nobody": ("selectors fit", lambda d: _first(d, "Service", "router")["spec"].update(selector={"a": "b"})),
    "no disruption budget": ("selectors fit", lambda d: d.remove(_first(d, "PodDisruptionBudget", "segmenter"))),
    "replicas beside an autoscaler": ("selectors fit", lambda d: _first(d, "Deployment", "ingest")["spec"].update(replicas=2)),
    "root": ("pods are restricted", lambda d: _pod(d, "Deployment", "router")["securityContext"].update(runAsUser=0)),
    "a writable root": (
        "pods are restricted",
        lambda d: _pod(d, "Job", "topics")["containers"][0]["securityContext"].pop("readOnlyRootFilesystem"),
    ),
    "a folder of the node": (
        "pods are restricted",
        lambda d: _pod(d, "Deployment", "router")["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
    ),
    "the latest image": ("pods are run well", lambda d: _pod(d, "Deployment", "router")["containers"][0].update(image="relais/router:latest")),
    "no liveness": ("pods are run well", lambda d: _pod(d, "Deployment", "router")["containers"][0].pop("livenessProbe")),
    "no limits": ("pods are run well", lambda d: _pod(d, "Job", "topics")["containers"][0]["resources"].pop("limits")),
    "too little time to end": ("pods are run well", lambda d: _pod(d, "Deployment", "router").update(terminationGracePeriodSeconds=30)),
    "another namespace": ("labels are common", lambda d: _first(d, "Service", "router")["metadata"].update(namespace="default")),
    "an open network": ("the network is closed but where needed", lambda d: d.remove(_first(d, "NetworkPolicy", "default-deny"))),
    "a caller who is kept out": (
        "the network is closed but where needed",
        lambda d: _first(d, "NetworkPolicy", "router")["spec"]["ingress"].pop(0),
    ),
    "no way to PostgreSQL": (
        "the network is closed but where needed",
        lambda d: _first(d, "NetworkPolicy", "migrations")["spec"]["podSelector"]["matchExpressions"][0]["values"].remove("migrate-router"),
    ),
    "a carrier without a connector": ("carriers have connectors", lambda d: d.remove(_first(d, "StatefulSet", "smpp-connector-mercure"))),
}  # fmt: skip


@pytest.mark.parametrize("break_", BREAKS)
def test_the_rules_find(break_: str, docs: Callable[[str], list[Any]]) -> None:
    rule, damage = BREAKS[break_]
    broken = copy.deepcopy(docs("base"))
    damage(broken)
    assert list(rules.RULES[rule](broken)) != []


def test_a_key_that_no_secret_has_is_found(docs: Callable[[str], list[Any]]) -> None:
    secrets = _documented_secrets(docs("base"))
    secrets["relais-internal"] = {"another"}
    assert list(rules.references_exist(docs("base"), secrets)) != []


def _image(container: Mapping[str, Any]) -> str:
    name: str = container["image"].rpartition(":")[0].rpartition("/")[2]
    return name


def _commands(docs: list[Any]) -> Iterator[tuple[str, Any, Any]]:
    for doc in rules.workloads(docs):
        for container in rules.containers(doc):
            yield rules.name_of(doc), doc, container


@pytest.mark.parametrize("folder", SYSTEMS)
def test_every_command_is_a_module_that_its_image_holds(folder: str, docs: Callable[[str], list[Any]]) -> None:
    for name, _, container in _commands(docs(folder)):
        interpreter, flag, module, *_ = container["command"]
        assert (interpreter, flag) == ("python", "-m"), name
        assert _image(container) in NAMES, name
        assert module.split(".")[0] in ("shared", _image(container).replace("-", "_")), name
        assert importlib.util.find_spec(f"{module}.__main__") is not None, f"{name}: there is no `python -m {module}`"


def _made_up(variable: str, source: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """A value of the right shape for what comes from a Secret or from the pod's own labels."""
    if "fieldRef" in source:
        label = re.fullmatch(r"metadata\.labels\['(.+)'\]", source["fieldRef"]["fieldPath"])
        assert label is not None
        return labels[label[1]]
    assert "secretKeyRef" in source
    if variable == "RELAIS_MASTER_KEY":
        return base64.b64encode(bytes(32)).decode()
    if variable.startswith("RELAIS_BOOTSTRAP_KEY"):
        return f"rk_{'a' * 8}_{'b' * 43}"
    return (
        "postgresql://user:password@host:5432/relais"
        if variable.endswith("_URL")
        else "a-secret-of-the-right-length-for-tests"
    )


def _settings_class(package: str) -> type[ServiceSettings]:
    found: type[ServiceSettings] = importlib.import_module(f"{package}.settings").Settings
    return found


@pytest.mark.parametrize("folder", SYSTEMS)
def test_each_service_starts_with_the_settings_it_is_given(
    folder: str, docs: Callable[[str], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every RELAIS_ variable is a field of that service's settings, every required one is given, every value is accepted."""
    seen = set()
    for name, doc, container in _commands(docs(folder)):
        if doc["kind"] == "Job":
            continue
        seen.add(_image(container))
        cls = _settings_class(container["command"][2])
        given = rules.settings_of(container, docs(folder))
        unknown = {
            v for v in given if v.removeprefix("RELAIS_").lower() not in cls.model_fields or not v.startswith("RELAIS_")
        }
        assert unknown == set(), f"{name}: not settings of {cls.__module__}"
        with monkeypatch.context() as environment:
            for variable, value in given.items():
                labels = rules.pod_labels(doc)
                environment.setenv(variable, value if isinstance(value, str) else _made_up(variable, value, labels))
            settings = cls()
        assert settings.service_name == _image(container), name
        assert settings.local is False, name
    assert seen == set(NAMES)


JOBS = {
    "shared.db": {"RELAIS_DATABASE_ADMIN_URL", "RELAIS_PASSWORD_OWNER", *(s.password_variable for s in SERVICES)},
    "shared.contracts": {"RELAIS_KAFKA_BOOTSTRAP", "RELAIS_REGISTRY_URL", "RELAIS_CARRIERS"},
    **{name.replace("-", "_"): {"RELAIS_DATABASE_OWNER_URL"} for name in NAMES},
}
ARGUMENTS = {"shared.db": ["bootstrap"], "shared.contracts": ["apply"]}


@pytest.mark.parametrize("folder", SYSTEMS)
def test_each_job_gets_exactly_what_it_reads(folder: str, docs: Callable[[str], list[Any]]) -> None:
    seen = {}
    for _, doc, container in _commands(docs(folder)):
        if doc["kind"] == "Job":
            module, *arguments = container["command"][2:]
            assert arguments == ARGUMENTS.get(module, ["migrate"])
            seen[module] = set(rules.settings_of(container, docs(folder)))
    assert seen == JOBS


def test_no_service_can_read_the_owners_or_the_superusers_database_url(docs: Callable[[str], list[Any]]) -> None:
    for name, doc, container in _commands(docs("base")):
        if doc["kind"] != "Job":
            own = rules.settings_of(container, docs("base"))["RELAIS_DATABASE_URL"]["secretKeyRef"]["name"]
            assert own == f"relais-database-{_image(container)}", name


def test_topics_and_users_are_what_the_declarations_say() -> None:
    done = _call(str(K8S / "generate_topics.py"), "check")
    assert done.returncode == 0, done.stderr


def _allowed(users: Mapping[str, Any], service: str, operation: str, topic: str) -> bool:
    for rule in users[f"relais-{service}"]["spec"]["authorization"]["acls"]:
        resource = rule["resource"]
        if resource["type"] != "topic" or operation not in rule["operations"]:
            continue
        if resource["name"] == topic or (resource["patternType"] == "prefix" and topic.startswith(resource["name"])):
            return True
    return False


def test_a_service_may_read_what_it_consumes_and_write_what_it_produces_and_nothing_else(
    docs: Callable[[str], list[Any]],
) -> None:
    users = {doc["metadata"]["name"]: doc for doc in docs("kafka") if doc["kind"] == "KafkaUser"}
    assert set(users) == {"relais-topics", *(f"relais-{name}" for name in NAMES)}
    for topic in TOPICS:
        name = topic.named("mercure") if topic.carrier else topic.name
        dead = topic.dead_letters.replace(".{carrier}", "")
        for service in NAMES:
            where = f"{service}, {name}"
            assert _allowed(users, service, "Write", name) == (service in topic.producers), where
            assert _allowed(users, service, "Read", name) == (service in topic.consumers), where
            if service in topic.consumers:
                assert _allowed(users, service, "Write", dead), where
        assert not _allowed(users, "topics", "Read", name)
        assert not _allowed(users, "topics", "Write", name)


def test_the_example_carriers_topics_are_there(docs: Callable[[str], list[Any]]) -> None:
    topics = {doc["metadata"]["name"]: doc["spec"] for doc in docs("kafka") if doc["kind"] == "KafkaTopic"}
    for topic in TOPICS:
        name = topic.named("mercure") if topic.carrier else topic.name
        assert topics[name]["partitions"] == topic.partitions(production=True)
        assert topics[name]["replicas"] == 3


def test_a_carriers_id_that_no_topic_may_hold_is_refused() -> None:
    done = _call(str(K8S / "generate_topics.py"), "carrier", "Not an id")
    assert done.returncode == 1
    assert "is not a carrier's id" in done.stderr


def test_the_daily_reconciliation_says_what_its_command_takes_and_is_confined_as_the_services_are(
    docs: Callable[[str], list[Any]],
) -> None:
    [cron] = rules.of_kind(docs("warehouse"), "CronJob")
    job = {"kind": "Job", "metadata": cron["metadata"], "spec": cron["spec"]["jobTemplate"]["spec"]}
    assert list(rules.RULES["pods are restricted"]([job])) == []
    [container] = rules.containers(job)
    commands = (K8S.parent / "warehouse" / "src" / "relais_warehouse" / "__main__.py").read_text("utf-8")
    assert container["args"][0] == "reconcile"
    assert '"reconcile"' in commands
    assert rules.settings_of(container, docs("warehouse")).keys() == {"RELAIS_KAFKA_BOOTSTRAP", "RELAIS_REGISTRY_URL"}
    recipe = (K8S.parent / "warehouse" / "Dockerfile").read_text("utf-8")
    assert all((K8S.parents[1] / source).exists() for source in re.findall(r"^COPY (deploy/\S+) ", recipe, re.M))


def test_alerts_ask_for_metrics_that_there_are() -> None:
    groups = yaml.safe_load((K8S.parent / "monitoring" / "alerts.yaml").read_text("utf-8"))["groups"]
    asked = {
        name for group in groups for rule in group["rules"] for name in re.findall(r"relais_[a-z_]+", rule["expr"])
    }
    assert asked
    assert asked <= {metric.name for metric in REGISTRY}
