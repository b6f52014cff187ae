"""An environment for each set of packages: the newest release of them, and this package as it is
built from the checkout. Kept under the cache folder, brought up to date at each use."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests import ROOT


class NotInstalled(Exception):
    """The packages cannot be had here."""


def cache() -> Path:
    """The folder of all that is kept between two uses, outside of the checkout."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "prefect-governor" / "frameworks"


def python_of(packages: tuple[str, ...]) -> Path:
    """The interpreter of the environment of `packages`. Raises NotInstalled."""
    key = hashlib.sha256(json.dumps([sys.version, str(ROOT), *packages]).encode()).hexdigest()[:12]
    first = packages[0].partition("[")[0].partition("<")[0].partition("=")[0]
    folder = cache() / "environments" / f"{first}-{key}"
    python = folder / "bin" / "python"
    if not python.exists():
        shutil.rmtree(folder, ignore_errors=True)
        uv("venv", "--python", sys.executable, str(folder))
    uv("pip", "install", "--python", str(python), "--upgrade", *packages, str(ROOT))
    return python


def version_of(python: Path, package: str) -> str:
    """The installed version of a package."""
    line = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([str(python), "-c", line], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def uv(*arguments: str, text: str | None = None) -> str:
    """What uv prints. Raises NotInstalled with its last words."""
    program = os.environ.get("UV") or shutil.which("uv")
    if program is None:
        raise NotInstalled("there is no uv on PATH; `./run` brings its own")
    command = [program, *arguments, "--quiet"]
    environment = dict(os.environ)
    # Under pytest one authority stands for all, see tests/conftest.py: the index has another.
    if (authorities := environment.pop("PREFECT_GOVERNOR_TESTS_AUTHORITIES", None)) is not None:
        environment["SSL_CERT_FILE"] = authorities
    if not environment.get("SSL_CERT_FILE"):
        environment.pop("SSL_CERT_FILE", None)
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        raise NotInstalled(done.stderr.strip()[-400:] or "nothing said")
    return done.stdout
