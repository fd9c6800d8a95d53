"""`python -m smpp_connector` runs one carrier's connector; `... migrate` makes its schema; `... id-rule` shows,
applies or drops what was learnt of the carrier's ids."""

import sys
from pathlib import Path

from shared.carriers.registry import load_profile
from shared.clock import now_ms
from shared.contracts.topics import CAMPAIGN, CONSENT
from shared.db.database import Database
from shared.db.migrate import migrate
from shared.errors import SettingError
from shared.kafka.shell import KafkaShell
from shared.service import Service
from shared.settings import load

from smpp_connector.carriers_file import read_carrier
from smpp_connector.connector import Connector
from smpp_connector.domain.campaigns import Campaigns
from smpp_connector.domain.consent import STALE_S, OptOuts
from smpp_connector.id_rule_command import run_id_rule
from smpp_connector.settings import Settings


def run() -> None:
    settings = load(Settings)
    carrier = read_carrier(settings.carriers_file, settings.carrier_id)
    root = Service(settings, title=f"Relais SMPP connector of {carrier.id}")
    database = Database(settings.database_url.get_secret_value(), settings.service_name)
    root.starts(database.open, database.close)
    shell = KafkaShell(root, "smpp-connector", carriers=[carrier.id])
    opt_outs, campaigns = OptOuts(), Campaigns()
    consents = shell.follow("consents", [CONSENT.name], opt_outs.apply)
    states = shell.follow("campaigns", [CAMPAIGN.name], campaigns.apply)
    connector = Connector(
        settings=settings,
        carrier=carrier,
        profile=load_profile(carrier.profile),
        database=database,
        publisher=shell.publisher,
        schemas=shell.schemas,
        metrics=root.metrics,
        opt_outs=opt_outs,
        campaigns=campaigns,
        bulk_allowed=lambda: consents.age_s() <= STALE_S and states.age_s() <= STALE_S,
        now_ms=now_ms,
    )
    root.starts(connector.open, connector.close)
    root.task("connector", connector.run)
    root.drains(connector.drain)
    root.ready_when("connector", lambda: connector.ready)
    root.app.add_api_route("/id-rule", connector.shown_id_rule, summary="How this carrier's ids are made equal")
    root.run()


def main() -> None:
    try:
        if sys.argv[1:] == ["migrate"]:
            migrate(Path(__file__).parent, "smpp_connector")
        elif not sys.argv[1:]:
            run()
        elif sys.argv[1] == "id-rule" and len(sys.argv) <= 3:
            run_id_rule(load(Settings), sys.argv[2] if sys.argv[2:] else None)
        else:
            raise SettingError("usage: python -m smpp_connector [migrate | id-rule [apply|drop]]")
    except SettingError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(78) from None  # EX_CONFIG of sysexits.h


if __name__ == "__main__":
    main()
