"""`python -m shared.contracts apply | write`"""

import sys

from shared.errors import SettingError


def run() -> None:
    match sys.argv[1:]:
        case ["apply"]:
            from shared.contracts.apply import main

            main()
        case ["write"]:
            from shared.contracts.write import main

            main()
        case _:
            raise SettingError("usage: python -m shared.contracts apply | write")


if __name__ == "__main__":
    try:
        run()
    except SettingError as error:
        raise SystemExit(str(error)) from None
