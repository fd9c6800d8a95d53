"""jSMPP's server simulator, and carriers built on it.

submit_sm_resp has the id in hexadecimal, the receipt's text the same number in decimal, padded to 10 digits
(github.com/opentelecoms-org/jsmpp/issues/56: response 33e95179, receipt 0870928761).
"""

from shared.carriers.plain import PROFILE as PLAIN
from shared.carriers.profile import Dialect, IdRule

PROFILE = PLAIN.deviating(
    "jsmpp",
    response_id=IdRule(Dialect.HEX_TO_DECIMAL, strip_zeros=True),
    receipt_id=IdRule(strip_zeros=True),
    receipt_id_from_text=True,
)
