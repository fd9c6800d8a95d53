"""What the segmenter needs to be told, beyond what every service that seals is told."""

from pydantic import Field
from shared.settings import SealingSettings


class Settings(SealingSettings):
    analytics_url: str = Field(pattern=r"^https?://")  # asked how a campaign's variants fare
    router_url: str = Field(pattern=r"^https?://")  # asked how much may be released now (promise 6)
