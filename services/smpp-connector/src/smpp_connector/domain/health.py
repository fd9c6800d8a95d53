"""How a carrier stands."""


def carrier_state(binds_up: int, binds_wanted: int) -> str:
    """up, degraded (some binds are missing) or down."""
    if binds_up == 0:
        return "down"
    return "up" if binds_up >= binds_wanted else "degraded"
