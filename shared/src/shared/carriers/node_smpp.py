"""SMSCs written with node-smpp.

Its library calls the GSM alphabet "ASCII" and labels it data_coding 1 (lib/defs.js, encodings.ASCII), so what a
handset sends arrives as septets under the number of IA5. Ids are verbatim, leading zeros included.
"""

from shared.carriers.plain import PROFILE as PLAIN
from shared.text.encoding import Encoding

PROFILE = PLAIN.deviating("node_smpp", incoming={1: Encoding.GSM7})
