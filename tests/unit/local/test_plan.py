"""The plan says what runs, with which arguments and environment."""

from dataclasses import fields
from pathlib import Path

import pytest
from relais_local.carriers_file import CarriersFile, parse_carriers
from relais_local.paths import Paths
from relais_local.plan import StackPlan, make_plan, port_names, simulator_settings_yaml
from relais_local.stack_secrets import Secrets

SIMULATED = {"id": "mercure", "system_id": "relais-m", "simulated": True}
EXTERNAL = {"id": "orion", "host": "10.0.0.7", "port": 2775, "system_id": "relais", "password": "secret"}
SECRETS = Secrets(**{field.name: f"<{field.name}>" for field in fields(Secrets)})


def carriers() -> CarriersFile:
    return parse_carriers({"carriers": [SIMULATED, EXTERNAL]}, "carriers.yaml")


def plan(extra_env: dict[str, dict[str, str]] | None = None) -> StackPlan:
    names = port_names(carriers())
    ports = {name: 21000 + index for index, name in enumerate(names)}
    completed = carriers().completed({"mercure": ports["smsc-mercure"]}, SECRETS.smsc_password)
    return make_plan(Paths(run=Path("/r")), completed, ports, SECRETS, python="/v/bin/python", extra_env=extra_env)


def test_every_service_runs_once_and_each_carrier_has_its_own_connector() -> None:
    assert [program.name for program in plan().services] == [
        "segmenter",
        "router",
        "dlr-processor",
        "analytics",
        "analytics-quality",
        "smpp-connector-mercure",
        "smpp-connector-orion",
        "ingest",
    ]


def test_only_simulated_carriers_are_simulated() -> None:
    assert [program.name for program in plan().simulators] == ["smsc-mercure"]
    simulator = plan().simulators[0]
    assert simulator.argv[:2] == ("/v/bin/relais", "smsc")
    assert "--password" not in simulator.argv
    assert simulator.env == {"RELAIS_SMSC_PASSWORD": "<smsc_password>"}


def test_connector_learns_its_carrier_and_where_the_completed_file_is() -> None:
    env = plan().service("smpp-connector-orion").env
    assert (env["RELAIS_CARRIER_ID"], env["RELAIS_CARRIERS_FILE"]) == ("orion", "/r/carriers.yaml")
    assert env["RELAIS_SERVICE_NAME"] == "smpp-connector"


@pytest.mark.parametrize("service", ["ingest", "segmenter", "router", "dlr-processor", "analytics"])
def test_each_service_gets_its_own_database_role_and_no_other_password(service: str) -> None:
    env = plan().service(service).env
    role = service.replace("-", "_")
    assert env["RELAIS_DATABASE_URL"].startswith(f"postgresql://relais_{role}:<database_{role}>@127.0.0.1:")
    shown = " ".join(env.values())
    assert shown.count("<database_") == 1
    assert "RELAIS_DATABASE_OWNER_URL" not in env


def test_only_the_public_door_gets_the_api_keys() -> None:
    for program in plan().services:
        assert ("<api_key>" in program.env.values()) == (program.name == "ingest")


def test_callbacks_to_loopback_are_permitted_where_they_are_checked_and_sent() -> None:
    allowed = [p.name for p in plan().services if p.env.get("RELAIS_CALLBACKS_ALLOW_LOOPBACK") == "true"]
    assert allowed == ["dlr-processor", "ingest"]


def test_router_and_topics_job_know_all_carriers() -> None:
    assert plan().service("router").env["RELAIS_CARRIERS"] == "mercure,orion"
    assert plan().topics.env["RELAIS_CARRIERS"] == "mercure,orion"


def test_migrations_run_as_owner_for_every_service() -> None:
    assert [program.argv[2:] for program in plan().migrations] == [
        (package, "migrate")
        for package in ("ingest", "segmenter", "router", "smpp_connector", "dlr_processor", "analytics")
    ]
    assert all("relais_owner:<database_owner>@" in p.env["RELAIS_DATABASE_OWNER_URL"] for p in plan().migrations)


def test_replica_differs_in_name_and_port_alone() -> None:
    first, second = plan().service("segmenter"), plan().replica("segmenter", 2, 29999)
    assert second.name == "segmenter-2"
    assert second.argv == first.argv
    assert {name for name in first.env if first.env[name] != second.env[name]} == {"RELAIS_HTTP_PORT"}
    assert second.ready_url == "http://127.0.0.1:29999/readyz"


def test_extra_environment_reaches_whom_it_names() -> None:
    made = plan({"": {"A": "all"}, "smpp-connector": {"B": "both"}, "smpp-connector-orion": {"C": "one"}})
    assert all(program.env["A"] == "all" for program in made.services)
    assert [program.name for program in made.services if "B" in program.env] == [
        "smpp-connector-mercure",
        "smpp-connector-orion",
    ]
    assert [program.name for program in made.services if "C" in program.env] == ["smpp-connector-orion"]


def test_no_password_is_an_argument() -> None:
    made = plan()
    for program in (made.bootstrap, made.topics, *made.migrations, *made.simulators, *made.services):
        assert "<" not in " ".join(program.argv)


def test_simulator_settings_hold_the_control_port_and_what_the_file_says() -> None:
    carrier = parse_carriers({"carriers": [{**SIMULATED, "simulator": {"seed": 7}}]}, "f").carriers[0]
    assert simulator_settings_yaml(carrier, {"smsc-mercure-control": 21777}) == "seed: 7\ncontrol_port: 21777\n"
