"""Where dlr-processor is put together. `python -m dlr_processor` runs it, `... migrate` brings its schema up to date."""

import sys
from pathlib import Path

from shared.clock import now_ms
from shared.contracts.topics import ACCEPTED, DEFERRED, DROPPED, INBOUND, PREPARED, RECEIPT, SUBMITTED
from shared.crypto.ids import MessageIds, NumberIndex
from shared.crypto.tokens import Tokens
from shared.db.database import Database
from shared.db.migrate import migrate
from shared.db.outbox import OutboxPump
from shared.errors import SettingError
from shared.kafka.shell import KafkaShell
from shared.service import Service
from shared.settings import load

from dlr_processor.adapters.number_owners import NumberOwners
from dlr_processor.adapters.numbers import NumberPump
from dlr_processor.adapters.post_callback import CallbackPoster
from dlr_processor.adapters.secrets import SecretBox
from dlr_processor.adapters.segmenter import ConsentAsker, OptOutPump
from dlr_processor.callback_routes import make_callback_routes
from dlr_processor.callbacks import CallbackWorker
from dlr_processor.handlers import LedgerHandler
from dlr_processor.housekeeping import Housekeeping
from dlr_processor.routes import make_routes
from dlr_processor.settings import Settings

NAME = "dlr-processor"
ACCEPTANCES = [topic.name for topic in ACCEPTED]
TOPICS = [topic.name for topic in (*PREPARED, DEFERRED, DROPPED, SUBMITTED, RECEIPT, INBOUND)]
REST_LINGER_MS = 1000  # a record that rests can wait at the broker as well
SHARE = 1000  # of one partition in a batch: preparation, submission and receipt of 4,000 messages over four each


def main() -> None:
    settings = load(Settings)
    root = Service(settings, title="Relais ledger", description="What became of each message.")
    database = Database(settings.database_url.get_secret_value(), settings.service_name)
    root.starts(database.open, database.close)
    root.ready_when("database", lambda: hasattr(database, "pool"))
    shell = KafkaShell(root, NAME)
    tokens = Tokens(settings.internal_secret.get_secret_value())
    box = SecretBox(settings.master)

    outbox = OutboxPump(database, shell.publisher, NAME)
    opt_outs = OptOutPump(database, tokens, settings.segmenter_url, NAME)
    numbers = NumberPump(database, tokens, settings.segmenter_url, NAME)
    poster = CallbackPoster(allow_loopback=settings.callbacks_allow_loopback)
    root.starts(poster.open, poster.close)
    callbacks = CallbackWorker(database, poster, box, root.metrics, now_ms)
    owners = NumberOwners(tokens, settings.router_url or "", NAME, now_ms)
    handler = LedgerHandler(
        database=database, publisher=shell.publisher, outbox=outbox, callbacks=callbacks, opt_outs=opt_outs,
        numbers=NumberIndex(settings.master), master=settings.master, metrics=root.metrics, now_ms=now_ms,
        invalid_after=settings.invalid_after, pump_numbers=numbers.wake, owner_of=owners.of,
    )  # fmt: skip
    housekeeping = Housekeeping(database, handler, root.metrics, now_ms, retention_days=settings.retention_days)
    root.starts(housekeeping.open)

    root.task("outbox", outbox.run)
    root.task("opt-outs", opt_outs.run)
    root.task("numbers", numbers.run)
    if settings.router_url is not None:
        root.task("number owners", owners.run)
    root.task("housekeeping", housekeeping.run)
    if settings.callbacks:
        root.task("callbacks", callbacks.run)
    shell.consume(NAME, TOPICS, handler, linger_ms=settings.linger_ms, gather_ms=settings.gather_ms, share=SHARE)
    # Preparation or a drop tells all that the acceptance does, and mostly within a blink: then nothing is to write.
    shell.consume(f"{NAME}.accepted", ACCEPTANCES, handler, linger_ms=REST_LINGER_MS, rest_ms=settings.accepted_rest_ms)
    root.app.include_router(
        make_routes(database, tokens, MessageIds(settings.master), ConsentAsker(tokens, settings.segmenter_url, NAME))
    )
    root.app.include_router(
        make_callback_routes(database, tokens, box, callbacks, now_ms, allow_loopback=settings.callbacks_allow_loopback)
    )
    root.run()


if __name__ == "__main__":
    if sys.argv[1:] == ["migrate"]:
        try:
            migrate(Path(__file__).parent, "dlr_processor")
        except SettingError as error:
            raise SystemExit(str(error)) from None
    elif sys.argv[1:]:
        raise SystemExit("usage: python -m dlr_processor [migrate]")
    else:
        main()
