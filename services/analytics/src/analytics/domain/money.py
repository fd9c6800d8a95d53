"""Amounts as text."""

from shared.contracts.fields import MICROS


def decimal(micros: int) -> str:
    """12340000 is `"12.340000"`."""
    return f"{'-' if micros < 0 else ''}{abs(micros) // MICROS}.{abs(micros) % MICROS:06d}"
