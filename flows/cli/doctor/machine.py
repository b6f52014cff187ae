"""What the doctor finds on this machine: versions, the switch that turns governing off, the folder
of our state."""

import os
import platform
import shlex
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryFile

from prefect_governor.blocks.context.enforcement import BREAK_GLASS, break_glass
from prefect_governor.blocks.machine.filesystem import NETWORK, kind_of
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.machine.private import open_to_others, owned
from prefect_governor.blocks.workspaces.places import sweep
from prefect_governor.flows.cli.doctor.finding import Finding

# So many files that are open to others are looked for.
_MOST_OPEN = 1_000
# What is written to see whether anything can be.
_PROBE_BYTES = 4096
# Below so many bytes a run may fill the disk: 2,000 replies of 32 KiB.
_LEAST_FREE = 64 * 2**20
_PYTHON = ((3, 10), (3, 13))
# What no release of ours can work with, and why.
_BROKEN = {
    ("litellm", "1.82.7"): "it was compromised",
    ("litellm", "1.82.8"): "it was compromised",
    ("litellm", "1.107.0"): "it is broken",
}


def versions() -> Iterator[Finding]:
    here = sys.version_info[:2]
    lowest, highest = _PYTHON
    text = f"{platform.python_version()} ({sys.executable})"
    if lowest <= here <= highest:
        yield Finding("ok", "python", text)
    else:
        span = f"{lowest[0]}.{lowest[1]} to {highest[0]}.{highest[1]}"
        yield Finding("warn", "python", text, f"tested with {span}: use one of those")
    for name in ("prefect-governor", "prefect", "litellm"):
        try:
            found = version(name)
        except PackageNotFoundError:
            if name == "prefect-governor":
                yield Finding("ok", name, "from a checkout")
            else:
                yield Finding("fail", name, "it is missing", None, f"pip install {name}")
            continue
        why = _BROKEN.get((name, found))
        if why is None:
            yield Finding("ok", name, found)
        else:
            yield Finding(
                "fail", name, f"{found}: {why}", None, f"pip install -U '{name}!={found}'"
            )


def schedules_run() -> Iterator[Finding]:
    """Whether a server of this environment makes runs of cron schedules."""
    try:
        prefect, whenever = version("prefect"), version("whenever")
    except PackageNotFoundError:
        return
    if (why := no_cron(prefect, whenever, python=sys.version_info[:2])) is not None:
        yield Finding(
            "warn",
            "whenever",
            why,
            "where the server runs, then start it again",
            f"{shlex.quote(sys.executable)} -m pip install -U 'whenever>=0.11'",
        )


def no_cron(prefect: str, whenever: str, *, python: tuple[int, ...]) -> str | None:
    """Why cron schedules make no runs with these versions; None where they do. Pure."""
    if python != (3, 11) or _numbers(prefect) < (3, 9) or _numbers(whenever) >= (0, 11):
        return None
    return (
        f"{whenever}: a server of Prefect {prefect} on Python 3.11 makes no runs of cron schedules"
        " with it"
    )


def _numbers(text: str) -> tuple[int, ...]:
    """A version's major and minor."""
    return tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())


def enforcement() -> Iterator[Finding]:
    reason = break_glass()
    if reason is not None:
        text = f"off: {BREAK_GLASS} is set ({reason}); no ceiling and no limit holds"
        yield Finding("warn", "enforcement", text, "when it is over", f"unset {BREAK_GLASS}")


def home() -> Iterator[Finding]:
    folder = state_folder()
    source = "PREFECT_HOME" if os.environ.get("PREFECT_HOME") else "the usual place"
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    another = "export PREFECT_HOME=…"
    if (why := _unwritable(existing)) is not None:
        todo = f"make {existing} writable for this user, or use a folder that is"
        text = f"{folder} ({source}) is not writable: {why}"
        yield Finding("fail", "state", text, todo, another)
        return
    kind = kind_of(existing)
    if kind in NETWORK:
        todo = "use a folder on a local disk: the ledger's locks do not hold over a network"
        yield Finding("fail", "state", f"{folder} ({source}) is on {kind}", todo, another)
        return
    yield Finding("ok", "state", f"{folder} ({source}, {kind or 'a filesystem of unknown kind'})")
    yield from _room(existing)
    yield from _open_to_others(folder)
    if swept := sweep():
        yield Finding("ok", "state", f"workspaces of processes that died were removed: {swept:,}")


def _unwritable(folder: Path) -> str | None:
    """Why nothing can be written in a folder; None where it can be. It is tried: what its mode says
    is not all, and nothing to root."""
    try:
        with TemporaryFile(dir=folder) as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return None


def _room(folder: Path) -> Iterator[Finding]:
    """Answers, replies and the ledger's log are written there."""
    free = shutil.disk_usage(folder).free
    if free < _LEAST_FREE:
        text = f"{free / 2**20:,.0f} MiB are left on the disk of {folder}: a ledger that cannot be"
        text += " written admits no call"
        yield Finding("warn", "state", text, "make room", f"du -xh {shlex.quote(str(folder))}")


def _open_to_others(folder: Path) -> Iterator[Finding]:
    """Prompts, answers and replies are in our files."""
    found = open_to_others(folder, most=_MOST_OPEN)
    if not found:
        return
    count = f"{len(found):,}" if len(found) < _MOST_OPEN else f"at least {_MOST_OPEN:,}"
    others = " (some are another user's)" if any(not owned(each) for each in found) else ""
    yield Finding(
        "warn",
        "state",
        f"other users of this machine can get at {count} of its files and folders, such as"
        f" {found[-1]}{others}",
        None,
        f"{'sudo ' if others else ''}chmod -R go= {shlex.quote(str(folder))}",
    )
