"""How long to wait before the next try. `chance` is a random number from 0 to 1."""

from shared.smpp import constants as c

RECONNECT_FIRST_S, RECONNECT_MOST_S = 0.2, 30.0
REFUSED_FIRST_S, REFUSED_MOST_S = 5.0, 60.0
TEMPORARY_S = (1.0, 5.0, 15.0)  # pauses between tries after a temporary error; then the router looks for another way

# A wrong account stays wrong until a person has acted, and carriers lock accounts that try again and again.
_HOPELESS = frozenset({c.ESME_RINVPASWD, c.ESME_RINVSYSID, c.ESME_RINVSYSTYP})
_PASSING = frozenset({c.ESME_RSYSERR, c.ESME_RTHROTTLED, c.ESME_RMSGQFUL})


def reconnect_pause_s(failures: int, chance: float) -> float:
    """After `failures` (from 1) connections in a row that did not come to a bind. Half of it is jitter."""
    pause: float = min(RECONNECT_FIRST_S * 2.0 ** min(failures - 1, 10), RECONNECT_MOST_S)
    return pause * (0.5 + chance / 2)


def refused_pause_s(command_status: int, refusals: int, chance: float) -> float:
    """After the SMSC refused `refusals` (from 1) binds in a row."""
    if command_status in _PASSING:
        return reconnect_pause_s(refusals + 2, chance)
    if command_status in _HOPELESS:
        return REFUSED_MOST_S * (1 + chance / 10)
    pause: float = min(REFUSED_FIRST_S * 2.0 ** min(refusals - 1, 5), REFUSED_MOST_S)
    return pause * (1 + chance / 10)


def bind_alarm(command_status: int) -> str | None:
    """The sentence for a person, when the refusal needs one."""
    if command_status in _PASSING:
        return None
    return f"the carrier refuses our bind: {c.status_name(command_status)}"
