"""`prefect-governor budget show`: a budget's figures up its chain, and who spent them."""

import csv
import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from prefect_governor.blocks.budget.money import show_usd, to_usd
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.ledger.records import Account, AccountState
from prefect_governor.blocks.ledger.store import Spend
from prefect_governor.flows.server import ensure_server, use_server
from prefect_governor.flows.terminal import say

LOCAL = "local/"
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_MONEY = ("spent", "unconfirmed", "reserved")
_UNNAMED = "(none)"


@dataclass(frozen=True)
class View:
    """A budget now. `chain` is it and its parents, leaf first; `spends` its spend by `by`, in its
    current window, or since an instant."""

    kind: str
    name: str
    chain: tuple[AccountState, ...]
    windows: tuple[str, ...]
    by: str | None = None
    since: datetime | None = None
    spends: tuple[tuple[str, Spend], ...] = ()


def show_budget(
    name: str,
    *,
    by: str | None = None,
    since: str | None = None,
    as_json: bool = False,
    as_csv: bool = False,
) -> str:
    """What is spent and left of a saved Governor's or Budget's ceiling, or of "local/NAME".

    Args:
        by: "flow", "deployment", "task", "tag", "model" or "user": who spent it.
        since: an age such as "24h" or "7d", or an ISO 8601 date or time (local without a zone):
            the breakdown counts from then, instead of from the window's start.

    Raises ConfigurationError, LedgerUnavailable.
    """
    if as_json and as_csv:
        raise ConfigurationError("--json and --csv are two forms of the same: choose one")
    start = None if since is None else _instant(since, datetime.now(timezone.utc))
    view = _view(name, by or ("model" if start else None), start)
    if as_json:
        return json.dumps(_json(view), ensure_ascii=False)
    return _csv(view) if as_csv else _text(view)


def _view(name: str, by: str | None, since: datetime | None) -> View:
    from prefect_governor.blocks.office import desk

    if name.startswith(LOCAL):
        kind, accounts = "Local governor", _local(name, desk())
    else:
        info = ensure_server(on_progress=say)
        use_server(info)
        from prefect_governor.blocks.registry import accounts_of

        kind, accounts = accounts_of(name)
        # What the documents say counts, whether or not a flow has run under them since.
        desk().write(lambda batch: [batch.register(each) for each in accounts]).result()
    from prefect_governor.blocks.office import account_state

    chain = tuple(account_state(each) for each in accounts)
    spends: tuple[tuple[str, Spend], ...] = ()
    if by is not None:
        found = desk().store.read_spend(
            by,
            {},
            account=accounts[0].key,
            label=chain[0].window if since is None else None,
            since_wall=None if since is None else int(since.timestamp() * 1e9),
        )
        # Whoever costs most comes first.
        spends = tuple(
            sorted(
                ((key or _UNNAMED, spend) for key, spend in found.items()),
                key=lambda each: (-each[1].spent_nano - each[1].unconfirmed_nano, each[0]),
            )
        )
    return View(kind, name, chain, tuple(each.window for each in accounts), by, since, spends)


def _local(name: str, desk: LedgerDesk) -> tuple[Account, ...]:
    known = desk.store.read_purse(name)
    if known is None:
        plain = name.removeprefix(LOCAL)
        raise ConfigurationError(
            f"no local governor {plain!r} has been at work on this machine: it is known once a"
            f" script ran under Governor.local({plain!r}, max_usd=…), with this PREFECT_HOME"
        )
    return (known[0],)


def _instant(text: str, now: datetime) -> datetime:
    """A point in time, from an age or an ISO 8601 date or time."""
    if age := re.fullmatch(r"(\d{1,6})\s*([mhdw])", text.strip()):
        return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
    try:
        # Python 3.10 does not read the Z of UTC.
        return datetime.fromisoformat(text.strip().replace("Z", "+00:00")).astimezone()
    except (ValueError, OverflowError, OSError):
        raise ConfigurationError(
            f"--since {text!r} is neither an age (30m, 24h, 7d, 2w) nor a date or time such as"
            " 2026-01-31 or 2026-01-31T09:00"
        ) from None


def _left(ceiling: int | None, *taken: int) -> int | None:
    return None if ceiling is None else max(0, ceiling - sum(taken))


def _left_nano(state: AccountState) -> int | None:
    return _left(state.ceiling_nano, state.spent_nano, state.unconfirmed_nano, state.reserved_nano)


def _left_tokens(state: AccountState) -> int | None:
    return _left(
        state.ceiling_tokens, state.spent_tokens, state.unconfirmed_tokens, state.reserved_tokens
    )


def _text(view: View) -> str:
    lines: list[str] = []
    for at, (state, window) in enumerate(zip(view.chain, view.windows, strict=True)):
        head = f"{view.kind} {view.name!r}" if at == 0 else f"under Budget {state.name!r}"
        if at == 0 and view.kind == "Governor" and state.name != view.name:
            head += f", on Budget {state.name!r}"
        lines.append(f"{head}, {_window(window, state.window)}")
        lines += [f"  {name:<12} {value}" for name, value in _figures(state)]
    if view.by is not None:
        since = "in this window" if view.since is None else f"since {view.since:%Y-%m-%d %H:%M %Z}"
        lines += ["", f"spent {since}, by {view.by}:"]
        lines += _breakdown(view)
    return "\n".join(lines)


def _window(window: str, label: str) -> str:
    if window == "total":
        return "counted for ever"
    # Nothing was spent yet, so there is no window either.
    return f"per {window}" + (f", now {label}" if label else "")


def _figures(state: AccountState) -> Iterable[tuple[str, str]]:
    ceilings = []
    if state.ceiling_nano is not None:
        ceilings.append(show_usd(state.ceiling_nano))
    if state.ceiling_tokens is not None:
        ceilings.append(f"{state.ceiling_tokens:,} tokens")
    yield "ceiling", " and ".join(ceilings) or "none"
    for name in _MONEY:
        nano, tokens = getattr(state, f"{name}_nano"), getattr(state, f"{name}_tokens")
        yield name, f"{show_usd(nano)} ({tokens:,} tokens)"
    nano_left, tokens_left = _left_nano(state), _left_tokens(state)
    left = [] if nano_left is None else [show_usd(nano_left)]
    left += [] if tokens_left is None else [f"{tokens_left:,} tokens"]
    yield "left", " and ".join(left) or "no ceiling"


def _breakdown(view: View) -> Iterable[str]:
    if not view.spends:
        yield "  nothing"
        return
    head = (str(view.by), "calls", "spent", "unconfirmed", "reserved", "tokens in", "tokens out")
    rows = [head] + [
        (
            name,
            f"{spend.calls:,}",
            show_usd(spend.spent_nano),
            show_usd(spend.unconfirmed_nano),
            show_usd(spend.reserved_nano),
            f"{spend.input_tokens:,}",
            f"{spend.output_tokens:,}",
        )
        for name, spend in view.spends
    ]
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
    for row in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join([f"  {row[0]:<{widths[0]}}", *cells])
    if view.by == "tag":
        yield "  (a call counts under each of its tags)"


def _state_json(state: AccountState) -> dict[str, Any]:
    left = _left_nano(state)
    money = {f"{name}_usd": float(to_usd(getattr(state, f"{name}_nano"))) for name in _MONEY}
    return {
        "ceiling_usd": None if state.ceiling_nano is None else float(to_usd(state.ceiling_nano)),
        **money,
        "left_usd": None if left is None else float(to_usd(left)),
        "tokens": {
            "ceiling": state.ceiling_tokens,
            **{name: getattr(state, f"{name}_tokens") for name in _MONEY},
            "left": _left_tokens(state),
        },
    }


def _spend_json(spend: Spend) -> dict[str, Any]:
    return {
        "calls": spend.calls,
        "spent_usd": float(to_usd(spend.spent_nano)),
        "unconfirmed_usd": float(to_usd(spend.unconfirmed_nano)),
        "reserved_usd": float(to_usd(spend.reserved_nano)),
        "tokens": {"input": spend.input_tokens, "output": spend.output_tokens},
    }


def _json(view: View) -> dict[str, Any]:
    budgets = [
        {"name": state.name, "window": window, "window_label": state.window or None}
        | _state_json(state)
        for state, window in zip(view.chain, view.windows, strict=True)
    ]
    found: dict[str, Any] = {**budgets[0], "name": view.name, "parents": budgets[1:]}
    if view.by is not None:
        found["since"] = None if view.since is None else view.since.isoformat()
        found["by"] = view.by
        found["spent_by"] = [{"name": name} | _spend_json(spend) for name, spend in view.spends]
    return found


def _csv(view: View) -> str:
    """The breakdown a row each, or without one the budgets up the chain."""
    if view.by is not None:
        head = [view.by, "calls", *(f"{name}_usd" for name in _MONEY), "input_tokens"]
        rows: list[list[Any]] = [[*head, "output_tokens"]]
        for name, spend in view.spends:
            money = [f"{to_usd(getattr(spend, f'{kind}_nano')):f}" for kind in _MONEY]
            rows.append([name, spend.calls, *money, spend.input_tokens, spend.output_tokens])
    else:
        rows = [["budget", "window", "ceiling_usd", *(f"{name}_usd" for name in _MONEY)]]
        for state in view.chain:
            ceiling = "" if state.ceiling_nano is None else f"{to_usd(state.ceiling_nano):f}"
            money = [f"{to_usd(getattr(state, f'{kind}_nano')):f}" for kind in _MONEY]
            rows.append([state.name, state.window, ceiling, *money])
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue().rstrip("\n")
