"""A message's share in a conversion, as a row; and what is known of a person's message when shares are given out."""

from typing import Any, NamedTuple

from analytics.domain.attribution import Conversion, Credit, Touch
from analytics.domain.response_sums import MessagePlace

SHARES = (
    "SELECT a.event_id, a.model, a.message_id::text, a.share_micros, a.value_micros, a.currency, a.tenant_id, a.campaign_id, "
    "a.hour, a.run, a.variant, a.segment, a.country, a.carrier, a.held_out FROM attributions a "
    "JOIN unnest($1::text[], $2::text[]) AS e (tenant_id, event_id) USING (tenant_id, event_id)"
)


class Share(NamedTuple):
    """`share` and `value` in millionths, counted under `place`."""

    event_id: str
    model: str
    message_id: str
    share: int
    value: int
    currency: str
    place: MessagePlace

    @classmethod
    def of(cls, conversion: Conversion, credit: Credit, place: MessagePlace) -> "Share":
        return cls(
            conversion.event_id, credit.model, credit.touch.message_id, credit.share, credit.value, conversion.currency or "",
            place,
        )  # fmt: skip

    @classmethod
    def read(cls, row: tuple[Any, ...]) -> "Share":
        """A row of SHARES."""
        return cls._make((*row[:6], MessagePlace(*row[6:])))


class Sent(NamedTuple):
    """A message meant for somebody. `since`: from when a conversion may be due to it, ms UTC."""

    touch: Touch
    since: int
    place: MessagePlace
    is_touch: bool
    is_trial: bool
