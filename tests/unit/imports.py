"""What a program imports, in an interpreter of its own."""

import subprocess
import sys


def imported(program: str, *names: str) -> list[str]:
    """Those of the named modules that are imported when the program has run; it must not fail."""
    code = f"{program}\nimport sys\nprint(*(name for name in {names!r} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True, timeout=60
    )
    return done.stdout.split()
