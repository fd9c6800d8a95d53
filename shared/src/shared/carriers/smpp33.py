"""SMSCs of SMPP 3.3: bind transmitter and receiver apart, no optional parameters, receipts in the text only."""

from shared.carriers.plain import PROFILE as PLAIN
from shared.smpp.constants import INTERFACE_VERSION_33

PROFILE = PLAIN.deviating("smpp33", interface_version=INTERFACE_VERSION_33, receipt_id_from_text=True)
