"""Settings that every service has. A bad value stops the process with one sentence that names it."""

import base64
import sys
from typing import NoReturn, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Read from the environment, `RELAIS_` in front. Secrets have no defaults."""

    model_config = SettingsConfigDict(env_prefix="RELAIS_", extra="ignore", frozen=True)

    service_name: str
    http_host: str = "0.0.0.0"  # noqa: S104 - a pod's own address; the local stack sets loopback
    http_port: int = Field(ge=1, le=65535)
    kafka_bootstrap: str
    registry_url: str
    database_url: SecretStr
    internal_secret: SecretStr  # signs the tokens that ingest hands to the services behind it
    local: bool = False  # the local stack: fewer partitions
    trace_ratio: float = Field(default=0.01, ge=0, le=1)
    otlp_endpoint: str | None = None  # no traces leave the process without it
    log_level: str = "INFO"
    shutdown_grace_s: float = 8.0  # shorter than the orchestrator's patience


class SealingSettings(ServiceSettings):
    """For the services that seal or open numbers and texts."""

    master_key: SecretStr

    @field_validator("master_key")
    @classmethod
    def _is_32_bytes(cls, value: SecretStr) -> SecretStr:
        try:
            good = len(base64.b64decode(value.get_secret_value(), validate=True)) == 32
        except ValueError:
            good = False
        if not good:
            raise ValueError("must be 32 bytes in base64: make one with `openssl rand -base64 32`")
        return value

    @property
    def master(self) -> bytes:
        return base64.b64decode(self.master_key.get_secret_value())


S = TypeVar("S", bound=BaseSettings)


def load(cls: type[S]) -> S:
    """The settings from the environment, or the end of the process with one sentence a field."""
    try:
        return cls()
    except ValidationError as error:
        prefix = cls.model_config.get("env_prefix", "")
        for item in error.errors():
            name = prefix + "_".join(str(p) for p in item["loc"]).upper()
            trouble = "is missing" if item["type"] == "missing" else item["msg"].removeprefix("Value error, ")
            sys.stderr.write(f"setting {name} {trouble}\n")
        stop()


def stop() -> NoReturn:
    raise SystemExit(78)  # EX_CONFIG of sysexits.h
