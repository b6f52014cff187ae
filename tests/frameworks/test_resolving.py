"""Beside this package a framework is installed as beside Prefect: nothing is pulled back.

Asks the package index, so it has its own command: `./run pytest -m resolving tests/frameworks`.
"""

import sys

import pytest
from packaging.version import Version

from tests import ROOT
from tests.frameworks.environments import uv
from tests.frameworks.framework import frameworks

pytestmark = pytest.mark.resolving

PACKAGES = sorted({program.packages for each in frameworks().values() for program in each.programs})
# Prefect 3.8.8 schedules nothing with 2.1 (see pyproject.toml).
OUR_OWN = {"sqlalchemy"}


def resolved(*requirements: str) -> dict[str, Version]:
    """What uv would install for them, by package."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    text = uv(
        "pip", "compile", "--no-header", "--no-annotate", "--python-version", python, "-",
        text="\n".join(requirements),
    )  # fmt: skip
    lines = [line.partition(" ")[0] for line in text.splitlines() if "==" in line]
    return {name: Version(version) for name, _, version in (line.partition("==") for line in lines)}


@pytest.mark.parametrize("packages", PACKAGES, ids=" ".join)
def test_nothing_that_prefect_leaves_alone_is_older_beside_this_package(
    packages: tuple[str, ...],
) -> None:
    alone = resolved(*packages, "prefect")
    beside = resolved(*packages, f"prefect-governor @ {ROOT.as_uri()}")
    older = {
        name: f"{beside[name]} in place of {version}"
        for name, version in alone.items()
        if beside[name] < version and name not in OUR_OWN
    }
    assert not older
