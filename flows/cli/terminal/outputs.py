"""Where a run's results go: `--out`, what stands there already, and whose it is."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.machine.files import write_whole
from prefect_governor.blocks.secrets.exits import scrubbed_value
from prefect_governor.flows.run.resuming import PastRun, find_run

STDOUT = Path("-")


def check_writable(out: Path) -> None:
    """Raises ConfigurationError where a results file cannot be written."""
    was_there = out.exists()
    if was_there and not out.is_dir() and not out.is_file():
        # It is written beside and then put in its place, which would replace a device.
        raise ConfigurationError(f"{out} is no plain file: choose another one with --out")
    try:
        with out.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"cannot write {out}: {error.strerror}; choose another file with --out"
        ) from None
    if not was_there:
        out.unlink()


def claim(out: Path, run: PastRun) -> None:
    """Say beside a results file whose it is. A run that goes on with another one keeps what is in
    it, so that what is of a third one is taken out here."""
    if run.command == "fan-out" and run.kept_as != run.run_id and out.exists():
        owner = _owner(out, run.command)
        if owner is None or owner.kept_as != run.kept_as:
            os.truncate(out, 0)
    write_whole(_beside(out), f"{run.run_id}\n")


def run_to_go_on_with(
    out: Path, command: str, parameters: Mapping[str, Any], *, past: PastRun | None, force: bool
) -> PastRun | None:
    """The run that `out` is of, where it did not end and was asked the very same: it is gone on
    with. None for a file that is free: there is none, it is empty, it is that of `past`, which is
    gone on with already, or `force` says to replace it.

    Raises ConfigurationError for a file that holds somebody's results.
    """
    if force or not out.exists() or not out.stat().st_size:
        return None
    owner = _owner(out, command)
    if owner is None:
        raise ConfigurationError(
            f"{out} is there already: choose another file with --out, or replace it with --force"
        )
    if past is not None and owner.kept_as == past.kept_as:
        return None
    if owner.ended:
        raise ConfigurationError(
            f"{out} holds the results of run {owner.run_id}: choose another file with --out, or"
            " replace it with --force"
        )
    same = json.loads(json.dumps(scrubbed_value(dict(parameters)), default=str))
    if past is None and owner.parameters == same:
        return owner
    raise ConfigurationError(
        f"{out} is of run {owner.run_id}, which did not end: go on with it with --resume"
        f" {owner.run_id}, choose another file with --out, or replace it with --force"
    )


def _owner(out: Path, command: str) -> PastRun | None:
    try:
        run_id = _beside(out).read_text(encoding="utf-8").strip()
        return find_run(run_id, command=command)
    except (OSError, UnicodeError, ConfigurationError):
        return None


def _beside(out: Path) -> Path:
    return out.with_name(f"{out.name}.run")
