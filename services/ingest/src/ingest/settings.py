"""What ingest needs to know. Every value comes from the environment, `RELAIS_` in front."""

from collections.abc import Mapping

from pydantic import Field, SecretStr, field_validator
from shared.settings import SealingSettings

from ingest.domain.api_key import parse_key
from ingest.domain.owners import Owner


class Settings(SealingSettings):
    service_name: str = "ingest"
    segmenter_url: str
    router_url: str
    dlr_processor_url: str
    analytics_url: str
    bootstrap_key: SecretStr | None = None  # makes the tenant `demo` with this key where they are missing
    bootstrap_key_2: SecretStr | None = None  # the same for the tenant `other`
    callbacks_allow_loopback: bool = False  # http callbacks to this machine: for the local stack
    rate_tenant_per_s: int = Field(default=20_000, ge=1)  # messages a second and process, unless the tenant has its own
    rate_key_per_s: int = Field(default=20_000, ge=1)
    upload_limit_bytes: int = Field(default=1024**3, ge=1)
    uploads_at_once: int = Field(default=4, ge=1)
    links_url: str | None = None  # where short links without a domain of their own are served; this process by default
    patience_s: float = Field(default=10.0, gt=0)  # for the brokers, before a caller is told to try again

    @field_validator("bootstrap_key", "bootstrap_key_2", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("bootstrap_key", "bootstrap_key_2")
    @classmethod
    def _is_a_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and parse_key(value.get_secret_value()) is None:
            raise ValueError("must be rk_, 8 small letters or digits, _, and 43 characters of base64url")
        return value

    @field_validator("segmenter_url", "router_url", "dlr_processor_url", "analytics_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must be an http or https URL")
        return value.rstrip("/")

    @field_validator("links_url")
    @classmethod
    def _is_links_address(cls, value: str | None) -> str | None:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must be an http or https URL")
        return value.rstrip("/") if value else None

    @property
    def links_base(self) -> str:
        """What short links begin with; the default serves the machine that asks."""
        host = "127.0.0.1" if self.http_host == "0.0.0.0" else self.http_host  # noqa: S104
        return self.links_url or f"http://{host}:{self.http_port}"

    @property
    def owners(self) -> Mapping[Owner, str]:
        """Where each owner listens."""
        return {
            Owner.SEGMENTER: self.segmenter_url, Owner.ROUTER: self.router_url,
            Owner.DLR_PROCESSOR: self.dlr_processor_url, Owner.ANALYTICS: self.analytics_url,
        }  # fmt: skip

    @property
    def bootstrap_keys(self) -> Mapping[str, SecretStr]:
        """Tenant to key."""
        pairs = (("demo", self.bootstrap_key), ("other", self.bootstrap_key_2))
        return {tenant: key for tenant, key in pairs if key is not None}
