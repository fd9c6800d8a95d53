"""When a message without any final word is given up as `unknown`."""

DAY_MS = 86_400_000
NO_ANSWER_MS = (
    DAY_MS  # the carrier never answered the submit_sm, and no receipt came for a day: longer than most validities
)
NO_RECEIPT_MS = 3 * DAY_MS  # taken, but no receipt: validity is three days at most carriers
NO_ANSWER = "no_answer"
NO_RECEIPT = "no_receipt"

# A message is looked at when it is this old, and again later for those that were held or deferred for days.
AGES_MS = (NO_RECEIPT_MS, 7 * DAY_MS, 14 * DAY_MS, 28 * DAY_MS)


def born_bound(ms: int) -> str:
    """The lowest message id of this moment: ids begin with their second of birth."""
    return f"{max(0, ms // 1000) & 0xFFFFFFFF:08x}-0000-0000-0000-000000000000"
