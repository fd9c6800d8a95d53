"""How the Java parts are started: which `java`, and an archive of loaded classes that halves their start."""

import os
import shutil
from pathlib import Path

from relais_local.errors import LocalStackError


def java_binary() -> str:
    """The `java` of JAVA_HOME or of the path; its version was checked by prepare.sh."""
    home = os.environ.get("JAVA_HOME")
    if home and (Path(home) / "bin" / "java").exists():
        return str(Path(home) / "bin" / "java")
    found = shutil.which("java")
    if not found:
        raise LocalStackError("Java 17 or later is missing: run `make setup` as root, or install default-jre-headless.")
    return found
