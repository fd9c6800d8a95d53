"""What runs in the local stack: from carriers, ports and secrets to the processes' arguments and environments. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from relais_local.carriers_file import Carrier, CarriersFile
from relais_local.paths import Paths
from relais_local.stack_secrets import SERVICES, Secrets

# In the order of the road. Connectors are one process a carrier, see `connector_name`.
QUALITY = "analytics-quality"  # Faust's windows: a process of its own, so that losing it changes no message
SINGLE_SERVICES = ("segmenter", "router", "dlr-processor", "analytics", "ingest")

PARTS = ("kafka", "kafka-controller", "registry", "postgres")


@dataclass(frozen=True)
class Program:
    """A process to start: `env` is what it gets besides the supervisor's own environment."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    ready_url: str | None = None
    """Answers 200 when the program is ready; None for a job, which is done when it ends."""


@dataclass(frozen=True)
class StackPlan:
    bootstrap: Program
    topics: Program
    migrations: tuple[Program, ...]
    simulators: tuple[Program, ...]
    services: tuple[Program, ...]

    def service(self, name: str) -> Program:
        return next(program for program in self.services if program.name == name)

    def replica(self, name: str, number: int, http_port: int) -> Program:
        """A further process of a service, e.g. `segmenter-2`, that differs in its name and its port alone."""
        first = self.service(name)
        return replace(
            first,
            name=f"{name}-{number}",
            env={**first.env, "RELAIS_HTTP_PORT": str(http_port)},
            ready_url=_readiness(http_port),
        )


# Shorter than the supervisor's patience with a service (`stack.GRACE_SERVICES_S`), which ends within ten seconds.
SHUTDOWN_GRACE_S = "3"


def _readiness(http_port: int) -> str:
    return f"http://127.0.0.1:{http_port}/readyz"


def connector_name(carrier_id: str) -> str:
    return f"smpp-connector-{carrier_id}"


# The one who refuses a callback address at the door and the one who calls it must agree.
CALLBACKS_TO_LOOPBACK = {"RELAIS_CALLBACKS_ALLOW_LOOPBACK": "true"}


def simulator_name(carrier_id: str) -> str:
    return f"smsc-{carrier_id}"


def control_name(carrier_id: str) -> str:
    """The port over which a simulated carrier is told how to behave."""
    return f"smsc-{carrier_id}-control"


def port_names(carriers: CarriersFile) -> list[str]:
    """Everything that needs a port of its own."""
    names = [*PARTS, *SINGLE_SERVICES, QUALITY]
    for carrier in carriers.carriers:
        names.append(connector_name(carrier.id))
        if carrier.simulated:
            names += [simulator_name(carrier.id), control_name(carrier.id)]
    return names


def simulator_settings(carrier: Carrier, control_port: int) -> dict[str, Any]:
    """The simulator's settings file. The password travels in its environment."""
    return {**carrier.simulator, "control_port": control_port}


def simulator_settings_path(paths: Paths, carrier_id: str) -> Path:
    return paths.run / f"{simulator_name(carrier_id)}.yaml"


def simulator_settings_yaml(carrier: Carrier, ports: Mapping[str, int]) -> str:
    return yaml.safe_dump(simulator_settings(carrier, ports[control_name(carrier.id)]), sort_keys=False)


def make_plan(
    paths: Paths,
    carriers: CarriersFile,
    ports: Mapping[str, int],
    secrets: Secrets,
    *,
    python: str,
    extra_env: Mapping[str, Mapping[str, str]] | None = None,
) -> StackPlan:
    """`carriers` is complete (ports, passwords); `extra_env` adds to a service's environment, `""` to every one's."""
    extra = extra_env or {}
    ids = ",".join(carrier.id for carrier in carriers.carriers)

    def package(service: str) -> str:
        return service.replace("-", "_")

    def database(user: str, password: str) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{ports['postgres']}/relais"

    kafka = {
        "RELAIS_KAFKA_BOOTSTRAP": f"127.0.0.1:{ports['kafka']}",
        "RELAIS_REGISTRY_URL": f"http://127.0.0.1:{ports['registry']}/apis/ccompat/v7",
        "RELAIS_LOCAL": "true",
    }
    addresses = {
        f"RELAIS_{package(service).upper()}_URL": f"http://127.0.0.1:{ports[service]}" for service in SINGLE_SERVICES
    }
    special: dict[str, dict[str, str]] = {
        "ingest": {
            "RELAIS_BOOTSTRAP_KEY": secrets.api_key,
            "RELAIS_BOOTSTRAP_KEY_2": secrets.other_key,
            **CALLBACKS_TO_LOOPBACK,
        },
        "router": {"RELAIS_CARRIERS": ids},
        "dlr-processor": CALLBACKS_TO_LOOPBACK,
    }

    def program(service: str, name: str, more: Mapping[str, str], *arguments: str) -> Program:
        return Program(
            name=name,
            argv=(python, "-m", package(service), *arguments),
            env={
                "RELAIS_SERVICE_NAME": service,
                "RELAIS_HTTP_HOST": "127.0.0.1",
                "RELAIS_HTTP_PORT": str(ports[name]),
                **kafka,
                "RELAIS_DATABASE_URL": database(f"relais_{package(service)}", secrets.database(service)),
                "RELAIS_MASTER_KEY": secrets.master_key,
                "RELAIS_INTERNAL_SECRET": secrets.internal_secret,
                "RELAIS_SHUTDOWN_GRACE_S": SHUTDOWN_GRACE_S,
                **addresses,
                **more,
                **extra.get("", {}),
                **extra.get(service, {}),
                **(extra.get(name, {}) if name != service else {}),
            },
            ready_url=_readiness(ports[name]),
        )

    connectors = [
        program(
            "smpp-connector",
            connector_name(carrier.id),
            {"RELAIS_CARRIER_ID": carrier.id, "RELAIS_CARRIERS_FILE": str(paths.carriers)},
        )
        for carrier in carriers.carriers
    ]
    return StackPlan(
        bootstrap=Program(
            "bootstrap",
            (python, "-m", "shared.db", "bootstrap"),
            {
                "RELAIS_DATABASE_ADMIN_URL": (
                    f"postgresql://postgres:{secrets.database_superuser}@127.0.0.1:{ports['postgres']}/postgres"
                ),
                "RELAIS_PASSWORD_OWNER": secrets.database_owner,
                **{f"RELAIS_PASSWORD_{package(name).upper()}": secrets.database(name) for name in SERVICES},
            },
        ),
        topics=Program("topics", (python, "-m", "shared.contracts", "apply"), {**kafka, "RELAIS_CARRIERS": ids}),
        migrations=tuple(
            Program(
                f"migrate-{name}",
                (python, "-m", package(name), "migrate"),
                {"RELAIS_DATABASE_OWNER_URL": database("relais_owner", secrets.database_owner)},
            )
            for name in SERVICES
        ),
        simulators=tuple(_simulators(paths, carriers.carriers, ports, python)),
        services=(
            *(program(name, name, special.get(name, {})) for name in SINGLE_SERVICES if name != "ingest"),
            program("analytics", QUALITY, {"RELAIS_STATE_DIR": str(paths.run / QUALITY)}, "quality"),
            *connectors,
            program("ingest", "ingest", special["ingest"]),
        ),
    )


def _simulators(paths: Paths, carriers: Iterable[Carrier], ports: Mapping[str, int], python: str) -> Iterable[Program]:
    for carrier in carriers:
        if carrier.simulated:
            yield Program(
                simulator_name(carrier.id),
                (
                    *(str(Path(python).with_name("relais")), "smsc", "--port", str(carrier.port)),
                    *("--system-id", carrier.system_id),
                    *("--config", str(simulator_settings_path(paths, carrier.id))),
                ),
                {"RELAIS_SMSC_PASSWORD": carrier.password or ""},
                ready_url=f"http://127.0.0.1:{ports[control_name(carrier.id)]}/health",
            )
