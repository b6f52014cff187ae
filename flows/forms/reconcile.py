"""The form of `reconcile`."""

from collections.abc import Mapping

from prefect_governor.flows.forms import shared
from prefect_governor.flows.forms.shape import Shown

RECONCILE: Mapping[str, Shown] = {
    "exports": Shown(
        "Usage exports",
        "Files and globs of the provider's usage, CSV or JSON lines with a row a call. Empty:"
        " nothing is settled, what is unconfirmed is reported.",
        {**shared.NAMES, "examples": [["exports/*.csv"]]},
    ),
    "folder": Shown(
        "Folder",
        "What the exports are relative to. Empty: the working directory of the run.",
        {"type": "string", "examples": ["/srv/exports"]},
    ),
}
