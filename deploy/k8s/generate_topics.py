"""Strimzi's KafkaTopics and KafkaUsers, from the declarations in `shared/contracts/topics.py`.

    python deploy/k8s/generate_topics.py write           writes deploy/k8s/kafka/{topics,users,carrier-mercure}.yaml
    python deploy/k8s/generate_topics.py check           fails when they are not what the declarations say
    python deploy/k8s/generate_topics.py carrier ID...   prints the topics of these carriers, for an overlay

The forms are those of Strimzi's custom resources `kafka.strimzi.io/v1` (Strimzi 0.49 and later): spec.partitions,
replicas and config of a KafkaTopic; authentication and simple authorization of a KafkaUser.

A topic's settings are exactly those of the topics job (`shared.contracts.apply`): both may run, neither undoes the
other's work. `min.insync.replicas` is therefore the broker's setting, not a topic's.
"""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from shared.contracts.apply import wanted
from shared.contracts.topics import TOPICS, Topic

HERE = Path(__file__).parent
CLUSTER = "relais"  # the name of the Kafka resource
NAMESPACE = "kafka"  # where Strimzi watches for topics and users
REPLICAS = 3  # with min.insync.replicas=2 on the brokers a 2xx outlives the loss of one
EXAMPLE_CARRIERS = ("mercure",)
TOPICS_JOB = "topics"
CARRIER_ID = re.compile(r"[a-z][a-z0-9-]{0,29}")

# The router asks how much marketing still waits for each connector (promise 6).
READS_LAG_OF: Mapping[str, tuple[str, ...]] = {"router": ("smpp-connector.",)}

NOTE = "# Generated from shared/src/shared/contracts/topics.py by deploy/k8s/generate_topics.py: do not edit.\n"


def _meta(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": NAMESPACE, "labels": {"strimzi.io/cluster": CLUSTER}}


def _settings(config: Mapping[str, str]) -> dict[str, int | float | str]:
    """Numbers as numbers, which is how Strimzi's documentation writes them."""
    return {key: yaml.safe_load(value) for key, value in sorted(config.items())}


def topic_manifests(carriers: Sequence[str]) -> list[dict[str, Any]]:
    """A KafkaTopic for each concrete topic and its dead letters, production's partition counts."""
    return [
        {
            "apiVersion": "kafka.strimzi.io/v1",
            "kind": "KafkaTopic",
            "metadata": _meta(name),
            "spec": {"partitions": partitions, "replicas": REPLICAS, "config": _settings(config)},
        }
        for name, (partitions, config) in sorted(wanted(carriers, production=True).items())
    ]


def carrier_manifests(carriers: Sequence[str]) -> list[dict[str, Any]]:
    """The topics that these carriers add to those that are there without any."""
    without = set(wanted((), production=True))
    return [m for m in topic_manifests(carriers) if m["metadata"]["name"] not in without]


def _topic_rule(topic: Topic, operations: Sequence[str]) -> dict[str, Any]:
    """A carrier's topics by their common beginning, so that a new carrier changes no user."""
    if topic.carrier:
        resource = {"type": "topic", "name": topic.name.split("{")[0], "patternType": "prefix"}
    else:
        resource = {"type": "topic", "name": topic.name, "patternType": "literal"}
    return {"resource": resource, "operations": list(operations)}


def _rule(kind: str, name: str, pattern: str, *operations: str) -> dict[str, Any]:
    return {"resource": {"type": kind, "name": name, "patternType": pattern}, "operations": list(operations)}


def _rules_of(service: str) -> list[dict[str, Any]]:
    """Reads what it consumes, writes what it produces and the dead letters of what it consumes; nothing else."""
    produced = [t for t in TOPICS if service in t.producers]
    consumed = [t for t in TOPICS if service in t.consumers]
    dead = {t.dead_letters.replace(".{carrier}", "") for t in consumed}
    rules = [_topic_rule(t, ("Describe", "Write")) for t in produced]
    rules += [_topic_rule(t, ("Describe", "Read")) for t in consumed]
    rules += [_rule("topic", name, "literal", "Describe", "Write") for name in dead]
    if consumed:
        rules.append(_rule("group", service, "prefix", "Describe", "Read"))  # groups begin with the service's name
    rules += [_rule("group", prefix, "prefix", "Describe") for prefix in READS_LAG_OF.get(service, ())]
    return _each_once(rules)


def _each_once(rules: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One rule a resource, with all its operations: two lanes of a carrier share a beginning."""
    merged: dict[tuple[str, str, str], set[str]] = {}
    for rule in rules:
        resource = rule["resource"]
        key = (resource["type"], resource["name"], resource["patternType"])
        merged.setdefault(key, set()).update(rule["operations"])
    return [_rule(*key, *sorted(operations)) for key, operations in sorted(merged.items())]


def services() -> list[str]:
    return sorted({name for t in TOPICS for name in (*t.producers, *t.consumers)})


def user_manifests() -> list[dict[str, Any]]:
    """One principal a service, and one for the topics job, each known by its certificate."""
    beginnings = sorted({t.base.split(".")[0] + "." for t in TOPICS})
    makes = ("Alter", "AlterConfigs", "Create", "Describe", "DescribeConfigs")
    job = [_rule("topic", beginning, "prefix", *makes) for beginning in beginnings]
    rules = {TOPICS_JOB: job} | {service: _rules_of(service) for service in services()}
    return [
        {
            "apiVersion": "kafka.strimzi.io/v1",
            "kind": "KafkaUser",
            "metadata": _meta(f"relais-{name}"),
            "spec": {"authentication": {"type": "tls"}, "authorization": {"type": "simple", "acls": acls}},
        }
        for name, acls in rules.items()
    ]


def text_of(manifests: Sequence[Mapping[str, Any]]) -> str:
    return NOTE + yaml.safe_dump_all(manifests, sort_keys=False, explicit_start=True, width=120)


def files() -> dict[Path, str]:
    found = {HERE / "kafka" / "topics.yaml": topic_manifests(()), HERE / "kafka" / "users.yaml": user_manifests()}
    for carrier in EXAMPLE_CARRIERS:
        found[HERE / "kafka" / f"carrier-{carrier}.yaml"] = carrier_manifests([carrier])
    return {path: text_of(manifests) for path, manifests in found.items()}


def main(arguments: Sequence[str]) -> None:
    match list(arguments):
        case ["write"]:
            for path, text in files().items():
                path.write_text(text, "utf-8")
        case ["check"]:
            stale = [path for path, text in files().items() if not path.exists() or path.read_text("utf-8") != text]
            if stale:
                names = ", ".join(str(path.relative_to(HERE)) for path in stale)
                raise SystemExit(f"{names}: not what the topics say; run `python deploy/k8s/generate_topics.py write`")
        case ["carrier", *carriers] if carriers:
            for carrier in carriers:
                if not CARRIER_ID.fullmatch(carrier):
                    raise SystemExit(f"{carrier!r} is not a carrier's id: a letter, then up to 29 of a-z, 0-9 and -")
            sys.stdout.write(text_of(carrier_manifests(carriers)))
        case _:
            raise SystemExit("usage: python deploy/k8s/generate_topics.py write | check | carrier ID...")


if __name__ == "__main__":
    main(sys.argv[1:])
