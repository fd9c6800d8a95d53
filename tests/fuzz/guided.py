"""One target under a coverage-guided fuzzer: python tests/fuzz/guided.py <target> <the fuzzer's own arguments>

It needs `atheris`, which is no dependency of the project: `make fuzz` puts it under build/fuzz.
"""

import sys

import atheris

with atheris.instrument_imports(include=["shared.smpp", "shared.text"], enable_loader_override=False):
    from fuzz_targets import TARGETS


def main() -> None:
    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
    atheris.Fuzz()


main()
