"""Quiet people: known for a while, and nothing was heard of them since. Writing to them again mostly earns complaints."""

from segmenter.domain.compile_filter import Condition

DAY_MS = 86_400_000


def without_quiet(audience: Condition, days: int | None, now: int) -> Condition:
    """The audience without those who have been contacts for `days` and of whom no event was told within them. None: with all."""
    if days is None:
        return audience
    since = now - days * DAY_MS
    # Numbers of ours only; a filter's own values stay parameters.
    heard = (
        "EXISTS (SELECT 1 FROM event_days q WHERE q.tenant_id = c.tenant_id AND q.contact_ref = c.ref "
        f"AND q.day >= {int(since // DAY_MS)})"
    )
    return Condition(f"({audience.sql}) AND (c.created_at >= {int(since)} OR {heard})", audience.params)
