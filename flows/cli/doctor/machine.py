"""What the doctor finds on this machine: versions, the switch that turns governing off, the folder
of our state, the model that `auto` means."""

import os
import platform
import shlex
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from prefect_governor.blocks.context.enforcement import BREAK_GLASS, break_glass
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.machine.filesystem import NETWORK, kind_of
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.machine.private import open_to_others, owned
from prefect_governor.blocks.workspaces.places import sweep
from prefect_governor.flows.cli.doctor.finding import Finding

# So many files that are open to others are looked for.
_MOST_OPEN = 1_000
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
    text = f"python {platform.python_version()} ({sys.executable})"
    if lowest <= here <= highest:
        yield Finding("ok", text)
    else:
        span = f"{lowest[0]}.{lowest[1]} to {highest[0]}.{highest[1]}"
        yield Finding("warn", text, f"tested with {span}: use one of those")
    for name in ("prefect-governor", "prefect", "litellm"):
        try:
            found = version(name)
        except PackageNotFoundError:
            if name == "prefect-governor":
                yield Finding("ok", f"{name}, from a checkout")
            else:
                yield Finding("problem", f"{name} is missing", f"pip install {name}")
            continue
        why = _BROKEN.get((name, found))
        if why is None:
            yield Finding("ok", f"{name} {found}")
        else:
            yield Finding("problem", f"{name} {found}: {why}", f"pip install -U '{name}!={found}'")


def enforcement() -> Iterator[Finding]:
    reason = break_glass()
    if reason is not None:
        text = f"enforcement is off: {BREAK_GLASS} is set ({reason}); no ceiling and no limit holds"
        yield Finding("warn", text, f"unset {BREAK_GLASS} when it is over")


def home() -> Iterator[Finding]:
    folder = state_folder()
    source = "PREFECT_HOME" if os.environ.get("PREFECT_HOME") else "the usual place"
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        todo = f"make {existing} writable for this user, or set PREFECT_HOME to a folder that is"
        yield Finding("problem", f"state: {folder} ({source}) is not writable", todo)
        return
    kind = kind_of(existing)
    if kind in NETWORK:
        todo = (
            "set PREFECT_HOME to a folder on a local disk: the ledger's locks do not hold over a"
            " network"
        )
        yield Finding("problem", f"state: {folder} ({source}) is on {kind}", todo)
        return
    yield Finding("ok", f"state: {folder} ({source}, {kind or 'a filesystem of unknown kind'})")
    yield from _open_to_others(folder)
    if swept := sweep():
        yield Finding("ok", f"state: workspaces of processes that died were removed: {swept:,}")


def _open_to_others(folder: Path) -> Iterator[Finding]:
    """Prompts, answers and replies are in our files."""
    found = open_to_others(folder, most=_MOST_OPEN)
    if not found:
        return
    count = f"{len(found):,}" if len(found) < _MOST_OPEN else f"at least {_MOST_OPEN:,}"
    others = " (some are another user's)" if any(not owned(each) for each in found) else ""
    yield Finding(
        "warn",
        f"state: other users of this machine can get at {count} of its files and folders, such as"
        f" {found[-1]}{others}",
        f"{'sudo ' if others else ''}chmod -R go= {shlex.quote(str(folder))}",
    )


def model() -> Iterator[Finding]:
    from prefect_governor.blocks.model import choose
    from prefect_governor.blocks.models.choice import AUTO_MODELS
    from prefect_governor.blocks.prices.prices import OFFLINE

    try:
        chosen = choose("auto")
    except ConfigurationError as error:
        yield Finding("problem", f"model auto: {error}")
        return
    text = f"model auto: {chosen.name} ({chosen.why})"
    if chosen.name == OFFLINE:
        todo = f"for answers of a language model set {AUTO_MODELS[0][0]}, or give --model"
        yield Finding("ok", text, todo)
    else:
        yield Finding("ok", text)
