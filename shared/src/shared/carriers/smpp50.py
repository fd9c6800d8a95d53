"""SMSCs of SMPP 5.0. What we speak of it is 3.4's; they may tell their congestion with each answer (4.8.4.18)."""

from shared.carriers.plain import PROFILE as PLAIN
from shared.smpp.constants import INTERFACE_VERSION_50

PROFILE = PLAIN.deviating("smpp50", interface_version=INTERFACE_VERSION_50)
