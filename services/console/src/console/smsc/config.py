"""What a simulated SMSC can be told: once at its start, and (the `Behaviour` part) while it runs."""

from os import environ
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FilePath, SecretStr, model_validator

from console.smsc import sampling
from console.smsc.message_ids import IdStyle
from console.smsc.pdu import ESME_RINVDSTADR
from console.smsc.receipt_text import STATES, ReceiptLayout

Share = Annotated[float, Field(ge=0, le=1)]
Status = Annotated[int, Field(ge=1, le=0xFFFFFFFF)]
Seconds = Annotated[float, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Delay(_Strict):
    """Seconds: `{constant}`, or `{median, p99}` of a lognormal distribution, or `{low, high}` of an even one."""

    constant: Seconds | None = None
    median: Annotated[float, Field(gt=0)] | None = None
    p99: Annotated[float, Field(gt=0)] | None = None
    low: Seconds | None = None
    high: Seconds | None = None

    @model_validator(mode="after")
    def _is_one_distribution(self) -> Self:
        given = {name for name in ("constant", "median", "p99", "low", "high") if getattr(self, name) is not None}
        if given not in ({"constant"}, {"median", "p99"}, {"low", "high"}):
            raise ValueError("give a number of seconds, or median and p99, or low and high")
        if (self.median or 0) > (self.p99 or 0) or (self.low or 0) > (self.high or 0):
            raise ValueError("median must not exceed p99, nor low exceed high")
        return self

    def quantiles(self) -> sampling.Quantiles:
        if self.constant is not None:
            return sampling.constant(self.constant)
        if self.median is not None and self.p99 is not None:
            return sampling.lognormal(self.median, self.p99)
        return sampling.uniform(self.low or 0.0, self.high or 0.0)


def _plain_number_is_constant(value: Any) -> Any:
    return {"constant": value} if isinstance(value, int | float) else value


DelayOrSeconds = Annotated[Delay, BeforeValidator(_plain_number_is_constant)]


class Outcome(_Strict):
    """How an accepted message may end: `stat` as in receipts (DELIVRD, UNDELIV, ...), or NONE for no receipt at all."""

    stat: str
    weight: Annotated[float, Field(ge=0)] = 1.0
    err: tuple[str, ...] = ("000",)
    """Three-digit error codes, of which one is drawn for each message."""
    delay: DelayOrSeconds = Delay(median=2.0, p99=8.0)
    destination_ends: str | None = None
    """If set, every message to a number that ends so gets this outcome, and no other message does."""

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if self.stat != "NONE" and self.stat not in STATES:
            raise ValueError(f"stat must be NONE or one of {', '.join(STATES)}")
        if not self.err or not all(code.isdigit() and int(code) <= 0xFFFF for code in self.err):
            raise ValueError("err needs one or more decimal codes of at most 65535")
        return self


class SubmitError(_Strict):
    """A command_status with which submits are refused: by chance, or always for numbers that end in some digits."""

    status: Status
    share: Share = 0.0
    destination_ends: str | None = None


class Throttle(_Strict):
    """Refuse submits above `rate` a second with ESME_RTHROTTLED; 0 means no limit."""

    rate: Annotated[float, Field(ge=0)] = 0.0
    burst: Annotated[float, Field(ge=1)] = 10.0


# Of 100 messages of a demo, 1 is refused at submit, 92 are delivered, 4 and 2 fail later, 1 stays without a receipt.
# The delay (0.5 to 8 s for 98 of 100) lets a demo of 20,000 messages end in about a minute.
_DEMO_OUTCOMES = (
    Outcome(stat="DELIVRD", weight=92),
    Outcome(stat="UNDELIV", weight=4, err=("001", "011", "027", "034")),
    Outcome(stat="EXPIRED", weight=2, err=("027", "032")),
    Outcome(stat="NONE", weight=1),
)
_DEMO_ERRORS = (SubmitError(status=ESME_RINVDSTADR, share=0.01),)


class Behaviour(_Strict):
    """What may change while the SMSC runs."""

    latency: DelayOrSeconds = Delay(constant=0.0)
    """From submit_sm to its response."""
    throttle: Throttle = Throttle()
    errors: tuple[SubmitError, ...] = _DEMO_ERRORS
    unanswered_share: Share = 0.0
    """Messages that are taken, and get a receipt, but never a submit_sm_resp."""
    outcomes: Annotated[tuple[Outcome, ...], Field(min_length=1)] = _DEMO_OUTCOMES
    receipt_repeat_share: Share = 0.0
    """Receipts that are sent twice."""
    submit_window: Annotated[int, Field(ge=0)] = 0
    """Submits without a response that one bind may have; those above get ESME_RTHROTTLED. 0: no limit."""
    refuse_binds: Annotated[int, Field(ge=0)] = 0
    """If not 0, every bind is refused with this command_status."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if sum(error.share for error in self.errors if error.destination_ends is None) > 1:
            raise ValueError("the shares of errors add up to more than 1")
        if not any(outcome.weight for outcome in self.outcomes if outcome.destination_ends is None):
            raise ValueError("one outcome that is not bound to a destination needs a weight above 0")
        return self

    def changed(self, changes: dict[str, Any]) -> "Behaviour":
        """This behaviour with the named settings replaced. Raises pydantic's ValidationError."""
        return Behaviour.model_validate({**self.model_dump(exclude_unset=True), **changes})


class Ids(_Strict):
    """How ids look, e.g. hexadecimal in responses and decimal in receipts. A width of 0 keeps no leading zeros."""

    response: IdStyle = "hex"
    response_width: Annotated[int, Field(ge=0, le=64)] = 8
    receipt: IdStyle | None = None
    """None: the same as in the response."""
    receipt_width: Annotated[int, Field(ge=0, le=64)] = 0
    first: Annotated[int, Field(ge=0)] | None = None
    """The first message's number; None: from the seed, or from the clock without one."""


class Receipts(_Strict):
    """What receipts carry."""

    text: bool = True
    layout: ReceiptLayout = "appendix_b"
    """How the text is worded: as in the specification's appendix B, or as carriers were seen to write it."""
    parameters: bool = True
    """receipted_message_id, message_state and network_error_code."""
    message_characters: Annotated[int, Field(ge=0, le=20)] = 20
    """How much of the message is repeated after `text:`."""
    zone_offset_minutes: Annotated[int, Field(ge=-720, le=840)] = 0
    """The unstated time zone of the dates: minutes east of UTC."""


class Account(_Strict):
    """A further account: its binds share nothing with those of others, and get only their own receipts."""

    system_id: Annotated[str, Field(min_length=1, max_length=15)]
    password: SecretStr
    max_binds: Annotated[int, Field(ge=1)] = 8


class Tls(_Strict):
    """A TLS listener instead of a plain one; PEM files."""

    certificate: FilePath
    """The server's, with what its chain needs."""
    key: FilePath
    client_ca: FilePath | None = None
    """If set, only ESMEs with a certificate by this authority may connect."""
    minimum_version: Literal["1.2", "1.3"] = "1.2"


class SmscConfig(_Strict):
    """One simulated SMSC, with one account or several."""

    system_id: Annotated[str, Field(min_length=1, max_length=15)]
    password: SecretStr
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 2775
    """0 takes a free port."""
    control_port: Annotated[int, Field(ge=0, le=65535)] | None = 0
    """On loopback; 0 takes a free port, None opens none."""
    seed: int | None = None
    max_binds: Annotated[int, Field(ge=1)] = 8
    accounts: tuple[Account, ...] = ()
    """Besides `system_id`, which also gets the inbound messages of the control API."""
    tls: Tls | None = None
    deliver_window: Annotated[int, Field(ge=1)] = 100
    """deliver_sm without a response that one bind gets at most."""
    deliver_timeout_s: Annotated[float, Field(gt=0)] = 30.0
    """After this long without deliver_sm_resp, a message goes back to the queue: it arrives twice."""
    deliver_retry_s: Annotated[float, Field(gt=0)] = 5.0
    """Before a message that the ESME refused for now is sent again."""
    session_init_s: Annotated[float, Field(gt=0)] = 10.0
    """Within which a new connection has to bind."""
    enquire_link_s: Annotated[float, Field(ge=0)] = 30.0
    """Silence after which the SMSC asks; twice as long ends the link. 0: never."""
    history: Annotated[int, Field(ge=0)] | None = 200_000
    """Submits remembered: at least this many, at most twice as many; 0: none, None: every one."""
    ids: Ids = Ids()
    receipts: Receipts = Receipts()
    behaviour: Behaviour = Behaviour()

    @model_validator(mode="after")
    def _names_each_account_once(self) -> Self:
        names = [self.system_id, *(account.system_id for account in self.accounts)]
        if len(set(names)) != len(names):
            raise ValueError("two accounts have the same system_id")
        return self


def read_config_file(path: Path) -> dict[str, Any]:
    """The settings in a YAML file, not yet validated. Raises ValueError if it is not a mapping or holds a password.

    A further account names, as `password_from`, the environment variable that holds its password.
    """
    values = yaml.safe_load(path.read_text("utf-8")) or {}
    if not isinstance(values, dict):
        raise ValueError("the configuration must be a mapping of settings")
    if "password" in values:
        raise ValueError("the password belongs into RELAIS_SMSC_PASSWORD, not into a file")
    for account in values.get("accounts") or ():
        if not isinstance(account, dict) or "password" in account or not isinstance(account.get("password_from"), str):
            raise ValueError("an account names as password_from the environment variable that holds its password")
        variable = account.pop("password_from")
        if not environ.get(variable):
            raise ValueError(f"the environment has no {variable}, which an account's password_from names")
        account["password"] = environ[variable]
    return values
