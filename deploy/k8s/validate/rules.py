"""What no schema says: that the manifests fit together, and fit this project. Pure; each rule answers its findings.

The rule for security contexts is a reading of the main demands of Kubernetes' Pod Security Standard *restricted*, version
1.34, on the fields that these manifests may use; it is not the admission controller itself.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

Doc = Mapping[str, Any]
NAME = "app.kubernetes.io/name"
COMPONENT = "app.kubernetes.io/component"
INSTANCE = "app.kubernetes.io/instance"
PART_OF = "app.kubernetes.io/part-of"
LONG_RUNNING = ("Deployment", "StatefulSet")
WITHOUT_NAMESPACE = ("Namespace",)
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
AFTER_THE_GRACE_S = 15  # `shared.service` closes what is left: the HTTP server in 3 s, each part in 2 s


def of_kind(docs: Iterable[Doc], *kinds: str) -> list[Doc]:
    return [doc for doc in docs if doc["kind"] in kinds]


def name_of(doc: Doc) -> str:
    return f"{doc['kind']} {doc['metadata']['name']}"


def template(doc: Doc) -> Doc:
    found: Doc = doc["spec"]["template"]
    return found


def pod_labels(doc: Doc) -> Mapping[str, str]:
    found: Mapping[str, str] = template(doc)["metadata"]["labels"]
    return found


def containers(doc: Doc) -> list[Doc]:
    spec = template(doc)["spec"]
    return [*spec.get("initContainers", ()), *spec["containers"]]


def workloads(docs: Iterable[Doc]) -> list[Doc]:
    return of_kind(docs, *LONG_RUNNING, "Job")


def selects(selector: Doc, labels: Mapping[str, str]) -> bool:
    """A label selector's meaning; an empty one selects everything."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for demand in selector.get("matchExpressions", ()):
        if demand["operator"] != "In":
            raise ValueError(f"this check does not know the operator {demand['operator']}")
        if labels.get(demand["key"]) not in demand["values"]:
            return False
    return True


def settings_of(container: Doc, docs: Iterable[Doc]) -> dict[str, Any]:
    """The container's environment: a text where a ConfigMap or the manifest says it, else where it comes from."""
    maps = {doc["metadata"]["name"]: doc["data"] for doc in of_kind(docs, "ConfigMap")}
    found: dict[str, Any] = {}
    for source in container.get("envFrom", ()):
        found |= maps[source["configMapRef"]["name"]]
    for variable in container.get("env", ()):
        if "value" in variable:
            found[variable["name"]] = variable["value"]
        elif "configMapKeyRef" in variable["valueFrom"]:
            reference = variable["valueFrom"]["configMapKeyRef"]
            found[variable["name"]] = maps[reference["name"]][reference["key"]]
        else:
            found[variable["name"]] = variable["valueFrom"]
    return found


def selectors_fit(docs: Sequence[Doc]) -> Iterator[str]:
    running = of_kind(docs, *LONG_RUNNING)
    for doc in running:
        chosen = [other for other in workloads(docs) if selects(doc["spec"]["selector"], pod_labels(other))]
        if [id(other) for other in chosen] != [id(doc)]:
            yield f"{name_of(doc)}: its selector chooses {', '.join(map(name_of, chosen)) or 'nothing'}"
        for spread in template(doc)["spec"].get("topologySpreadConstraints", ()):
            if not selects(spread["labelSelector"], pod_labels(doc)):
                yield f"{name_of(doc)}: a spread constraint does not count its own pods"
        if len(template(doc)["spec"].get("topologySpreadConstraints", ())) < 2:
            yield f"{name_of(doc)}: is not spread over zones and nodes"
        budgets = [b for b in of_kind(docs, "PodDisruptionBudget") if selects(b["spec"]["selector"], pod_labels(doc))]
        if len(budgets) != 1:
            yield f"{name_of(doc)}: has {len(budgets)} PodDisruptionBudgets"
    for doc in of_kind(docs, "Service"):
        chosen = [
            other for other in workloads(docs) if selects({"matchLabels": doc["spec"]["selector"]}, pod_labels(other))
        ]
        if len(chosen) != 1:
            yield f"{name_of(doc)}: chooses {', '.join(map(name_of, chosen)) or 'nothing'}"
        for other in chosen:
            named = {port["name"] for container in containers(other) for port in container.get("ports", ())}
            yield from (
                f"{name_of(doc)}: {name_of(other)} has no port {port['targetPort']}"
                for port in doc["spec"]["ports"] if port["targetPort"] not in named
            )  # fmt: skip
    for doc in of_kind(docs, "HorizontalPodAutoscaler"):
        target = doc["spec"]["scaleTargetRef"]
        found = [d for d in running if (d["kind"], d["metadata"]["name"]) == (target["kind"], target["name"])]
        if not found:
            yield f"{name_of(doc)}: scales {target['kind']} {target['name']}, which is not there"
        yield from (
            f"{name_of(d)}: has replicas and an autoscaler, which would undo each other"
            for d in found
            if "replicas" in d["spec"]
        )
        yield from (f"{name_of(d)}: a connector is never scaled by load" for d in found if d["kind"] == "StatefulSet")


def references_exist(docs: Sequence[Doc], documented: Mapping[str, set[str]]) -> Iterator[str]:
    """`documented`: Secrets from outside, each with its keys."""
    accounts = {doc["metadata"]["name"]: doc for doc in of_kind(docs, "ServiceAccount")}
    maps = {doc["metadata"]["name"]: doc["data"] for doc in of_kind(docs, "ConfigMap")}
    services = {doc["metadata"]["name"]: doc for doc in of_kind(docs, "Service")}
    for doc in of_kind(docs, "Secret"):
        yield f"{name_of(doc)}: secrets are never committed"

    def asks(reference: Doc, what: str) -> Iterator[str]:
        there: Mapping[str, Any] = maps if what == "ConfigMap" else documented
        if reference["name"] not in there:
            yield f"{what} {reference['name']} is neither there nor documented"
        elif "key" in reference and reference["key"] not in there[reference["name"]]:
            yield f"{what} {reference['name']} has no key {reference['key']}"

    for doc in workloads(docs):
        spec = template(doc)["spec"]
        if spec.get("serviceAccountName") not in accounts:
            yield f"{name_of(doc)}: its ServiceAccount is not there"
        if (
            doc["kind"] == "StatefulSet"
            and services.get(doc["spec"]["serviceName"], {}).get("spec", {}).get("clusterIP") != "None"
        ):
            yield f"{name_of(doc)}: has no headless Service {doc['spec']['serviceName']}"
        volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
        for volume in volumes.values():
            if "secret" in volume:
                keys = [item["key"] for item in volume["secret"].get("items", ())]
                for key in keys or [None]:
                    reference = {"name": volume["secret"]["secretName"], **({"key": key} if key else {})}
                    yield from (f"{name_of(doc)}: {fault}" for fault in asks(reference, "Secret"))
        for container in containers(doc):
            for mount in container.get("volumeMounts", ()):
                if mount["name"] not in volumes:
                    yield f"{name_of(doc)}: mounts {mount['name']}, which is no volume"
            for source in container.get("envFrom", ()):
                yield from (f"{name_of(doc)}: {fault}" for fault in asks(source["configMapRef"], "ConfigMap"))
            for variable in container.get("env", ()):
                for kind, what in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                    if kind in variable.get("valueFrom", {}):
                        yield from (f"{name_of(doc)}: {fault}" for fault in asks(variable["valueFrom"][kind], what))


def pods_are_restricted(docs: Sequence[Doc]) -> Iterator[str]:
    for doc in of_kind(docs, "Namespace"):
        if doc["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{name_of(doc)}: does not enforce the restricted standard"
    for doc in workloads(docs):
        spec = template(doc)["spec"]
        pod = spec.get("securityContext", {})
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(field):
                yield f"{name_of(doc)}: {field}"
        for volume in spec.get("volumes", ()):
            if not VOLUMES & set(volume):
                yield f"{name_of(doc)}: volume {volume['name']} is of a kind that is not permitted"
        if pod.get("sysctls"):
            yield f"{name_of(doc)}: sets sysctls"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{name_of(doc)}: mounts a token for the API server"
        for container in containers(doc):
            own = container.get("securityContext", {})
            both = {**pod, **own}
            where = f"{name_of(doc)}, container {container['name']}"
            if both.get("runAsNonRoot") is not True or both.get("runAsUser", 0) == 0:
                yield f"{where}: may run as root"
            if both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
                yield f"{where}: has no seccomp profile"
            if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
                yield f"{where}: may gain privileges"
            if own.get("capabilities", {}).get("drop") != ["ALL"] or own.get("capabilities", {}).get("add"):
                yield f"{where}: keeps capabilities"
            if own.get("readOnlyRootFilesystem") is not True:
                yield f"{where}: may write to its root"
            if own.get("procMount", "Default") != "Default":
                yield f"{where}: sees more of /proc"
            yield from (
                f"{where}: takes a port of the node" for port in container.get("ports", ()) if "hostPort" in port
            )
    for doc in of_kind(docs, "ServiceAccount"):
        if doc.get("automountServiceAccountToken") is not False:
            yield f"{name_of(doc)}: mounts its token everywhere"


def pods_are_run_well(docs: Sequence[Doc]) -> Iterator[str]:
    for doc in workloads(docs):
        for container in containers(doc):
            where = f"{name_of(doc)}, container {container['name']}"
            repository, _, tag = container["image"].rpartition(":")
            if not repository or not tag or tag == "latest" or "/" in tag:
                yield f"{where}: image {container['image']} names no version"
            for amount in ("requests", "limits"):
                if set(container.get("resources", {}).get(amount, {})) != {"cpu", "memory"}:
                    yield f"{where}: {amount} are not said"
            if doc["kind"] == "Job":
                continue
            ports = {port["name"] for port in container.get("ports", ())}
            for probe, path in (("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
                get = container.get(probe, {}).get("httpGet", {})
                if get.get("path") != path or get.get("port") not in ports:
                    yield f"{where}: {probe} does not ask {path} at a named port"
            pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            needs = float(settings_of(container, docs)["RELAIS_SHUTDOWN_GRACE_S"]) + pause + AFTER_THE_GRACE_S
            if template(doc)["spec"].get("terminationGracePeriodSeconds", 30) < needs:
                yield f"{where}: is killed before its {needs:.0f} s to end are over"
        if doc["kind"] == "Job" and doc["spec"].get("backoffLimit", 6) < 6:
            yield f"{name_of(doc)}: gives up before what it waits for may be there"
        if doc["kind"] == "Deployment" and pod_labels(doc)[NAME] == "smpp-connector":
            yield f"{name_of(doc)}: a surge pod would exceed the carrier's binds; use a StatefulSet"


def labels_are_common(docs: Sequence[Doc]) -> Iterator[str]:
    for doc in docs:
        if doc["kind"] not in WITHOUT_NAMESPACE and doc["metadata"].get("namespace") != "relais":
            yield f"{name_of(doc)}: is not in the namespace relais"
        if doc["metadata"].get("labels", {}).get(PART_OF) != "relais":
            yield f"{name_of(doc)}: is not labelled as part of Relais"
    for doc in workloads(docs):
        wanted = "job" if doc["kind"] == "Job" else "service"
        for labels in (doc["metadata"]["labels"], pod_labels(doc)):
            if not labels.get(NAME) or labels.get(COMPONENT) != wanted:
                yield f"{name_of(doc)}: lacks {NAME} or is no {COMPONENT}: {wanted}"


def network_is_closed_but_where_needed(docs: Sequence[Doc]) -> Iterator[str]:
    policies = of_kind(docs, "NetworkPolicy")
    closed = [
        p for p in policies if not p["spec"]["podSelector"] and set(p["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    ]
    if not any(not p["spec"].get("ingress") and not p["spec"].get("egress") for p in closed):
        yield "no NetworkPolicy denies everything"
    for policy in policies:
        if policy["spec"]["podSelector"] and not any(
            selects(policy["spec"]["podSelector"], pod_labels(w)) for w in workloads(docs)
        ):
            yield f"{name_of(policy)}: chooses no pod"
        for way in ("ingress", "egress"):
            for rule in policy["spec"].get(way, ()):
                for peer in rule.get("from", rule.get("to", ())):
                    if (
                        "namespaceSelector" not in peer
                        and "podSelector" in peer
                        and not any(selects(peer["podSelector"], pod_labels(w)) for w in workloads(docs))
                    ):
                        yield f"{name_of(policy)}: names a peer that is no pod"
    by_name = {pod_labels(w)[NAME]: w for w in workloads(docs)}
    for doc in workloads(docs):
        for container in containers(doc):
            for variable, value in settings_of(container, docs).items():
                for host, port in _addresses(variable, value):
                    if host in by_name:
                        if not _may(policies, "egress", pod_labels(doc), pod_labels(by_name[host]), port):
                            yield f"{name_of(doc)}: {variable} names {host}, which it may not call"
                        if not _may(policies, "ingress", pod_labels(by_name[host]), pod_labels(doc), port):
                            yield f"{name_of(doc)}: {variable} names {host}, which does not let it in"
                    elif not _may(policies, "egress", pod_labels(doc), None, port):
                        yield f"{name_of(doc)}: {variable} needs port {port}, which it may not reach"


GIVEN_OUT = frozenset({"RELAIS_LINKS_URL"})  # addresses of ours that are told to others, and called by nobody here


def _addresses(variable: str, value: Any) -> Iterator[tuple[str, int]]:
    """Host and port of what a setting tells to call. A database's address is secret; its port is PostgreSQL's."""
    if variable.startswith("RELAIS_DATABASE_"):
        yield "", 5432
    elif variable == "RELAIS_KAFKA_BOOTSTRAP":
        for part in value.split(","):
            yield part.rpartition(":")[0], int(part.rpartition(":")[2])
    elif variable.endswith("_URL") and variable not in GIVEN_OUT:
        host, _, port = value.split("://", 1)[1].split("/", 1)[0].partition(":")
        yield host, int(port or 80)


def _may(policies: Iterable[Doc], way: str, pod: Mapping[str, str], peer: Mapping[str, str] | None, port: int) -> bool:
    """Whether a policy of the pod opens the port to the peer; None: to somebody outside the namespace."""
    for policy in policies:
        if not selects(policy["spec"]["podSelector"], pod):
            continue
        for rule in policy["spec"].get(way, ()):
            if port not in [p["port"] for p in rule["ports"] if p["protocol"] == "TCP"]:
                continue
            for to in rule.get("to" if way == "egress" else "from", ()):
                inside = "namespaceSelector" not in to and "podSelector" in to
                if inside == (peer is not None) and (peer is None or selects(to["podSelector"], peer)):
                    return True
    return False


def carriers_have_connectors(docs: Sequence[Doc]) -> Iterator[str]:
    """Each carrier that the router and the topics job know has one StatefulSet, and no other has."""
    connectors = [pod_labels(doc).get(INSTANCE) for doc in of_kind(docs, "StatefulSet")]
    for doc in workloads(docs):
        for container in containers(doc):
            told = settings_of(container, docs).get("RELAIS_CARRIERS")
            if told is not None and sorted(told.split(",")) != sorted(map(str, connectors)):
                yield f"{name_of(doc)}: knows the carriers {told}, and there are connectors for {connectors}"


RULES: Mapping[str, Callable[[Sequence[Doc]], Iterator[str]]] = {
    "selectors fit": selectors_fit,
    "pods are restricted": pods_are_restricted,
    "pods are run well": pods_are_run_well,
    "labels are common": labels_are_common,
    "the network is closed but where needed": network_is_closed_but_where_needed,
    "carriers have connectors": carriers_have_connectors,
}
