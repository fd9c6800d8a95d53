"""SMPP 3.4 as the specification has it (5.1.3), where carriers agree. What no row names is ambiguous.

TON and NPI errors (0x48-0x51) have no row on purpose: they are a mistake in our configuration as often as in one
number, and calling them invalid_number would let hygiene strike off everyone in a campaign.
"""

from shared.carriers.profile import CarrierProfile, Status, StatusClass
from shared.carriers.reasons import Reason

_THROTTLED = Status(StatusClass.THROTTLE, Reason.THROTTLED)
_TEMPORARY = Status(StatusClass.TEMPORARY, Reason.CARRIER_ERROR)
_SESSION = Status(StatusClass.SESSION, Reason.SESSION_ERROR)


def _permanent(reason: Reason) -> Status:
    return Status(StatusClass.PERMANENT, reason)


def _ambiguous(reason: Reason) -> Status:
    return Status(StatusClass.AMBIGUOUS, reason)


PROFILE = CarrierProfile(
    name="plain",
    statuses={
        0x00: Status(StatusClass.OK, Reason.CARRIER_ERROR),  # the reason of ESME_ROK is never asked for
        0x14: _THROTTLED,  # ESME_RMSGQFUL
        0x58: _THROTTLED,  # ESME_RTHROTTLED
        0x08: _TEMPORARY,  # ESME_RSYSERR
        0x64: _TEMPORARY,  # ESME_RX_T_APPN
        0xFE: _TEMPORARY,  # ESME_RDELIVERYFAILURE
        0xFF: _TEMPORARY,  # ESME_RUNKNOWNERR
        0x102: _TEMPORARY,  # ESME_RSERTYPUNAVAIL
        0x01: _permanent(Reason.INVALID_MESSAGE),  # ESME_RINVMSGLEN
        0x0A: _permanent(Reason.INVALID_SENDER),  # ESME_RINVSRCADR
        0x0B: _permanent(Reason.INVALID_NUMBER),  # ESME_RINVDSTADR
        0x43: _permanent(Reason.INVALID_MESSAGE),  # ESME_RINVESMCLASS
        0x61: _permanent(Reason.INVALID_VALIDITY),  # ESME_RINVSCHED
        0x62: _permanent(Reason.INVALID_VALIDITY),  # ESME_RINVEXPIRY
        0x65: _permanent(Reason.REJECTED_BY_CARRIER),  # ESME_RX_P_APPN
        0x66: _permanent(Reason.REJECTED_BY_CARRIER),  # ESME_RX_R_APPN
        0xC0: _permanent(Reason.OPTION_REFUSED),  # ESME_RINVOPTPARSTREAM
        0xC1: _permanent(Reason.OPTION_REFUSED),  # ESME_ROPTPARNOTALLWD
        0xC2: _permanent(Reason.OPTION_REFUSED),  # ESME_RINVPARLEN
        0xC3: _permanent(Reason.OPTION_REFUSED),  # ESME_RMISSINGOPTPARAM
        0xC4: _permanent(Reason.OPTION_REFUSED),  # ESME_RINVOPTPARAMVAL
        0x101: _permanent(Reason.BLOCKED_BY_CARRIER),  # ESME_RPROHIBITED
        0x103: _permanent(Reason.NOT_AUTHORISED),  # ESME_RSERTYPDENIED
        0x104: _permanent(Reason.INVALID_ENCODING),  # ESME_RINVDCS
        0x04: _SESSION,  # ESME_RINVBNDSTS
        0x05: _SESSION,  # ESME_RALYBND
        0x0D: _SESSION,  # ESME_RBINDFAIL
        0x0E: _SESSION,  # ESME_RINVPASWD
        0x0F: _SESSION,  # ESME_RINVSYSID
        0x15: _ambiguous(Reason.CARRIER_ERROR),  # ESME_RINVSERTYP
        0x45: _ambiguous(Reason.CARRIER_ERROR),  # ESME_RSUBMITFAIL
        0x100: _ambiguous(Reason.NOT_AUTHORISED),  # ESME_RSERTYPUNAUTH
    },
)
