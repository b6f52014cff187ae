"""What is shipped: the wheel holds every module and file, and works where there is no checkout."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from prefect_governor.flows.server.background import ServerInfo
from tests import ROOT

FOLDERS = {"api": "", "blocks": "blocks/", "flows": "flows/"}
BUILD = """
import sys
from setuptools import build_meta
print(getattr(build_meta, sys.argv[1])(sys.argv[2]))
"""
CONTRACT = (
    *("Governor", "Budget", "Model", "Limit", "GovernedTaskRunner", "governed"),
    *("fan_out", "afan_out", "publish_report", "completion", "acompletion", "Item", "Report"),
)


def shipped() -> set[str]:
    """Every file of the rooms, by its place in the package."""
    return {
        f"prefect_governor/{prefix}{path.relative_to(ROOT / folder).as_posix()}"
        for folder, prefix in FOLDERS.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def build(source: Path, kind: str, into: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "-c", BUILD, kind, str(into)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return into / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked; built from the source distribution, so that both are tried."""
    folder = tmp_path_factory.mktemp("package")
    source = folder / "checkout"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", *FOLDERS):
        # Linked, not copied: setuptools writes its own folders beside them.
        (source / name).symlink_to(ROOT / name)
    with tarfile.open(build(source, "build_sdist", folder)) as archive:
        # Older patch releases of 3.10 and 3.11 know no filter, and need none for our own archive.
        safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(folder, **safely)
    (unpacked,) = (path for path in folder.iterdir() if (path / "PKG-INFO").exists())
    installed = folder / "installed"
    with zipfile.ZipFile(build(unpacked, "build_wheel", folder)) as archive:
        archive.extractall(installed)
    return installed


def python(wheel: Path, *arguments: str, home: Path, **environment: str) -> str:
    """A Python that finds the wheel, far from the checkout."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, *arguments],
        env=clean | {"PYTHONPATH": str(wheel), "PREFECT_HOME": str(home)} | environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_no_file_is_forgotten_and_none_is_added(wheel: Path) -> None:
    packed = {
        path.relative_to(wheel).as_posix()
        for path in (wheel / "prefect_governor").rglob("*")
        if path.is_file()
    }
    assert packed == shipped()
    assert {path.name for path in wheel.iterdir()} == {
        "prefect_governor",
        "prefect_governor-0.1.0.dist-info",
    }


def test_every_name_of_the_contract_imports_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    program = f"from prefect_governor import {', '.join(CONTRACT)}; import prefect_governor as p"
    shown = python(wheel, "-c", f"{program}; print(p.__file__)", home=tmp_path)
    assert shown.strip() == str(wheel / "prefect_governor" / "__init__.py")


def test_the_command_is_there(wheel: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from importlib.metadata import distribution;"
        "(script,) = distribution('prefect-governor').entry_points.select(group='console_scripts');"
        "sys.argv = [script.name, '--help']; sys.exit(script.load()())"
    )
    assert "prefect-governor" in python(wheel, "-c", program, home=tmp_path)


def test_a_saved_block_is_dispatched_where_nobody_imported_its_class(
    wheel: Path, tmp_path: Path
) -> None:
    program = (
        "import json; from prefect.blocks.core import Block;"
        "from prefect.plugins import load_prefect_collections; load_prefect_collections();"
        "from prefect.utilities.dispatch import get_registry_for_type;"
        "print(json.dumps([each.__module__ for each in get_registry_for_type(Block).values()]))"
    )
    modules = set(json.loads(python(wheel, "-c", program, home=tmp_path)))
    assert {
        "prefect_governor.blocks.budget",
        "prefect_governor.blocks.governor",
        "prefect_governor.blocks.model",
    } <= modules


def test_prefect_block_register_lists_the_blocks(
    wheel: Path, tmp_path: Path, server: ServerInfo
) -> None:
    shown = python(
        wheel,
        *("-m", "prefect", "block", "register", "-m", "prefect_governor.blocks"),
        home=tmp_path,
        PREFECT_API_URL=server.url,
        DO_NOT_TRACK="1",
    )
    assert "Successfully registered 4 blocks" in shown
    assert all(name in shown for name in ("Governor", "Budget", "Model", "Sandbox"))


def test_broken_releases_of_what_it_stands_on_are_never_installed(wheel: Path) -> None:
    (metadata,) = wheel.glob("*.dist-info/METADATA")
    asked = message_from_string(metadata.read_text()).get_all("Requires-Dist", [])
    bounds = {needed.name: needed.specifier for needed in map(Requirement, asked)}
    for version in ("1.82.7", "1.82.8", "1.107.0"):
        assert version not in bounds["litellm"]
    assert "1.106.2" in bounds["litellm"]
    # The server of Prefect 3.8.8 dies at import with it.
    assert "0.165.0" not in bounds["fastapi"]
