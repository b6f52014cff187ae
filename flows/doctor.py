"""`prefect-governor doctor`: what is installed, reachable and configured, and what to do next.

Starts nothing and changes nothing. LiteLLM is not imported: it would cost seconds.
"""

import os
import platform
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from prefect_governor.blocks.budget.money import show_usd
from prefect_governor.blocks.enforcement import BREAK_GLASS, break_glass
from prefect_governor.blocks.errors import ConfigurationError, GovernorError
from prefect_governor.blocks.home import state_folder
from prefect_governor.blocks.ledger.migration import migrations
from prefect_governor.flows.doctor_sum import sum_in_words
from prefect_governor.flows.server import ensure_server, status, use_server

Mark = Literal["ok", "warn", "problem"]

_PYTHON = ((3, 10), (3, 13))
# What no release of ours can work with, and why.
_BROKEN = {
    ("litellm", "1.82.7"): "it was compromised",
    ("litellm", "1.82.8"): "it was compromised",
    ("litellm", "1.107.0"): "it is broken",
}
_NETWORK_FILESYSTEMS = frozenset(
    [
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.sshfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
    ]
)


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `todo` says what to do about it, None for nothing."""

    mark: Mark
    text: str
    todo: str | None = None

    def __str__(self) -> str:
        line = f"{self.mark:<8} {self.text}"
        return line if self.todo is None else f"{line}\n{'':<8} -> {self.todo}"


def examine() -> Iterator[Finding]:
    """Everything that a run would need, looked at in turn. Raises nothing."""
    yield from _versions()
    yield from _enforcement()
    found = list(_home())
    if all(each.mark != "problem" for each in found):
        found += _ledger()
    yield from found
    try:
        yield from _server(ledger=all(each.mark != "problem" for each in found))
    except OSError as error:
        yield Finding("problem", f"server: its state cannot be read: {error}")
    yield from _model()


def _versions() -> Iterator[Finding]:
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


def _enforcement() -> Iterator[Finding]:
    reason = break_glass()
    if reason is not None:
        text = f"enforcement is off: {BREAK_GLASS} is set ({reason}); no ceiling and no limit holds"
        yield Finding("warn", text, f"unset {BREAK_GLASS} when it is over")


def _home() -> Iterator[Finding]:
    folder = state_folder()
    source = "PREFECT_HOME" if os.environ.get("PREFECT_HOME") else "the usual place"
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        todo = f"make {existing} writable for this user, or set PREFECT_HOME to a folder that is"
        yield Finding("problem", f"state: {folder} ({source}) is not writable", todo)
        return
    kind = filesystem(existing, _mounts())
    if kind in _NETWORK_FILESYSTEMS:
        todo = (
            "set PREFECT_HOME to a folder on a local disk: the ledger's locks do not hold over a"
            " network"
        )
        yield Finding("problem", f"state: {folder} ({source}) is on {kind}", todo)
        return
    yield Finding("ok", f"state: {folder} ({source}, {kind or 'a filesystem of unknown kind'})")


def _mounts() -> str:
    try:
        return Path("/proc/self/mounts").read_text()
    except OSError:
        return ""


def filesystem(path: Path, mounts: str) -> str | None:
    """The kind of filesystem that `path` is on, by the lines of /proc/mounts."""
    place = path.resolve()
    best: tuple[int, str | None] = (-1, None)
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = Path(fields[1].replace("\\040", " "))
        # The last of several on one place is on top.
        if (place == point or point in place.parents) and len(point.parts) >= best[0]:
            best = (len(point.parts), fields[2])
    return best[1]


def _ledger() -> Iterator[Finding]:
    path = state_folder() / "ledger.sqlite"
    if not path.exists():
        yield Finding("ok", f"ledger: none yet; the first call makes {path}")
        return
    newest = migrations("sqlite")[-1][0]
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
        try:
            (schema,) = connection.execute("PRAGMA user_version").fetchone()
            (name,) = connection.execute(
                "SELECT value FROM meta WHERE key = 'ledger_id'"
            ).fetchone() or ("unnamed",)
        finally:
            connection.close()
    except sqlite3.Error as error:
        todo = (
            "check that it is a file of ours, whole and readable; move it away to begin a new one,"
            " which has spent nothing"
        )
        yield Finding("problem", f"ledger: {path} cannot be read: {error}", todo)
        return
    text = f"ledger: {path}, id {name[:8]}, schema {schema}"
    if schema > newest:
        todo = f"this release knows schema {newest}: pip install -U prefect-governor"
        yield Finding("problem", text, todo)
    else:
        yield Finding("ok", text)


def _server(*, ledger: bool) -> Iterator[Finding]:
    try:
        found = status()
        if found.configured_url is None and found.server is None:
            yield Finding("ok", "server: none; the next command starts one in the background")
            return
        if found.configured_url is None and not found.responding:
            todo = "prefect-governor server stop, then try again; its log is " + str(found.log)
            yield Finding("problem", f"server: {found.server} does not answer", todo)
            return
        # What is there is found; nothing is started.
        info = ensure_server()
        use_server(info)
    except ConfigurationError as error:
        yield Finding("problem", f"server: {error}")
        return
    kind = "PREFECT_API_URL" if found.configured_url else "ours, in the background"
    yield Finding("ok", f"server: {info.ui_url} ({kind})")
    yield from _governors(ledger=ledger)


def _governors(*, ledger: bool) -> Iterator[Finding]:
    from prefect_governor.blocks.registry import saved_governors

    try:
        names = saved_governors()
    except Exception as error:
        yield Finding("problem", f"governors: the server does not list blocks: {error}")
        return
    if not names:
        yield Finding("ok", "governors: none saved; a run without one has a ceiling of its own")
    for name in names:
        try:
            yield from _governor(name, ledger=ledger)
        except GovernorError as error:
            yield Finding("problem", f"governor {name!r}: {error}")


def _governor(name: str, *, ledger: bool) -> Iterator[Finding]:
    from prefect_governor.blocks.governor import Governor
    from prefect_governor.blocks.limits.prefect_limits import PrefectLimits
    from prefect_governor.blocks.registry import accounts_of, load_block, server_limit_name

    governor = load_block(Governor, name)
    _, accounts = accounts_of(name)
    if governor.mode == "observe":
        text = f"governor {name!r}: it only observes (mode observe); no ceiling and no limit holds"
        yield Finding("warn", text, "set its mode to enforce in Prefect's UI")
    store = _open_ledger() if ledger else None
    left: list[int] = []
    try:
        for at, account in enumerate(accounts):
            whose = f"governor {name!r}" if at == 0 else f"  under budget {account.name!r}"
            known = store.read_purse(account.key) if store is not None else None
            purse = known[1] if known is not None else None
            charged = 0 if purse is None else purse.spent_nano + purse.unconfirmed_nano
            tokens = 0 if purse is None else purse.spent_tokens + purse.unconfirmed_tokens
            yield _money(whose, account, charged, tokens)
            if account.ceiling_nano is not None:
                left.append(account.ceiling_nano - charged)
        server = PrefectLimits()
        for limit in governor.limits:
            gate = (
                store.read_gate(f"{governor._block_document_id}/{limit.name}")
                if store is not None
                else None
            )
            names = server_limit_name(name, limit)
            theirs = server.read(names) if limit.max_concurrent is not None else None
            yield _limit(limit, gate, names, theirs)
        text = sum_in_words(
            governor.limits,
            store=store,
            account=accounts[0].key,
            money_left_nano=min(left, default=None),
        )
        yield Finding("ok", f"  {text}")
    finally:
        if store is not None:
            store.close()


def _open_ledger() -> Any:
    path = state_folder() / "ledger.sqlite"
    if not path.exists():
        return None
    from prefect_governor.blocks.ledger.sqlite import SQLiteStore

    return SQLiteStore(path)


def _money(whose: str, account: Any, charged: int, tokens: int) -> Finding:
    parts, empty = [], False
    if account.ceiling_nano is not None:
        left = max(0, account.ceiling_nano - charged)
        parts.append(f"{show_usd(left)} of {show_usd(account.ceiling_nano)} left")
        empty |= left == 0
    if account.ceiling_tokens is not None:
        left = max(0, account.ceiling_tokens - tokens)
        parts.append(f"{left:,} of {account.ceiling_tokens:,} tokens left")
        empty |= left == 0
    per = "" if account.window == "total" else f" per {account.window}"
    text = f"{whose}: {', '.join(parts)}{per}"
    if empty:
        return Finding("warn", text, "raise the ceiling by editing the block in Prefect's UI")
    return Finding("ok", text)


def _limit(limit: Any, gate: Any, name: str, theirs: Any) -> Finding:
    text = f"  limit {limit.name!r}"
    parts = [
        f"{meter.replace('_', ' ')} {amount:,} a {unit}" for meter, unit, amount in _rates(limit)
    ]
    if limit.max_concurrent is not None:
        parts.insert(0, f"max concurrent {limit.max_concurrent:,}")
    if gate is not None:
        parts.append(f"{gate.in_flight} in flight now")
    if limit.max_concurrent is None:
        return Finding("ok", f"{text}: {', '.join(parts) or 'holds nothing'}")
    if theirs is None:
        if limit.share_with is not None:
            todo = f"prefect gcl create {name} --limit {limit.max_concurrent}"
            return Finding(
                "problem",
                f"{text}: {', '.join(parts)}; Prefect has no limit {name!r} to share",
                todo,
            )
        parts.append(f"Prefect's {name!r} is made by the first call")
        return Finding("ok", f"{text}: {', '.join(parts)}")
    parts.append(f"Prefect's {name!r} says {theirs.limit:,}")
    if theirs.active is False:
        todo = f"prefect gcl enable {name}"
        return Finding("warn", f"{text}: {', '.join(parts)}, and is switched off", todo)
    if limit.reserve_for_others:
        parts.append(f"{limit.reserve_for_others} of them kept for others")
    if theirs.limit < limit.max_concurrent:
        todo = (
            f"the smaller of the two counts: prefect gcl update {name} --limit"
            f" {limit.max_concurrent}"
        )
        return Finding("warn", f"{text}: {', '.join(parts)}", todo)
    return Finding("ok", f"{text}: {', '.join(parts)}")


def _rates(limit: Any) -> Iterator[tuple[str, str, int]]:
    """What is metered, the unit of time, and how much of it."""
    for field in type(limit).model_fields:
        meter, _, unit = field.rpartition("_per_")
        amount = getattr(limit, field)
        if meter and amount is not None:
            yield meter, unit, amount


def _model() -> Iterator[Finding]:
    from prefect_governor.blocks.model.choice import AUTO_MODELS, OFFLINE, choose

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
