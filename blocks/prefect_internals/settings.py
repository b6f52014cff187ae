"""The settings that Prefect reads once, when it is imported. Imports nothing of Prefect itself."""

import sys
from typing import Any

from prefect_governor.blocks.prefect_internals.names import find


def read_again() -> None:
    """Have Prefect read the environment anew, for every thread of this process."""
    if "prefect.context" not in sys.modules:
        return
    refresh: Any = find(
        "prefect.context",
        "refresh_global_settings_context",
        instead="what this process runs goes by the settings that Prefect was imported with: set"
        " PREFECT_API_URL before that",
    )
    if refresh is not None:
        refresh()
