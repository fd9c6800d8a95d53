"""`python -m shared.db bootstrap`"""

import sys

from shared.db import bootstrap
from shared.errors import SettingError

if __name__ == "__main__":
    if sys.argv[1:] != ["bootstrap"]:
        raise SystemExit("usage: python -m shared.db bootstrap")
    try:
        bootstrap.main()
    except SettingError as error:
        raise SystemExit(str(error)) from None
