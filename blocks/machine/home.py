"""Where the state of this machine's governors lives: under `PREFECT_HOME`."""

import os
from pathlib import Path


def state_folder() -> Path:
    """`$PREFECT_HOME/governor`, `~/.prefect/governor` where it is not set. Not created here."""
    home = os.environ.get("PREFECT_HOME")
    return (Path(home).expanduser() if home else Path.home() / ".prefect") / "governor"
