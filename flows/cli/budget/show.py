"""`prefect-governor budget show`: once, or again and again."""

import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.cli.budget.formats import as_csv as csv_of
from prefect_governor.flows.cli.budget.formats import as_object, exact_json
from prefect_governor.flows.cli.budget.text import show_view
from prefect_governor.flows.cli.budget.view import View, open_source, parse_instant, read_view

# How often it is shown, and how often the blocks' documents are read anew, in seconds.
EVERY_SECONDS = 2.0
DOCUMENTS_SECONDS = 10.0


def show_budget(
    name: str,
    *,
    by: str | None = None,
    since: str | None = None,
    audit: bool = False,
    unconfirmed: bool = False,
    as_json: bool = False,
    as_csv: bool = False,
) -> str:
    """What is spent and left of a saved Governor's or Budget's ceiling, or of "local/NAME".

    Args:
        by: "flow", "deployment", "task", "tag", "model" or "user": who spent it.
        since: an age such as "24h" or "7d", or an ISO 8601 date or time (local without a zone):
            the breakdown counts from then, instead of from the window's start.
        audit: also what people changed of it by hand or by evidence.
        unconfirmed: also each call whose outcome nobody knows, in text; JSON always has them.

    Raises ConfigurationError, LedgerUnavailable.
    """
    show = _form(as_json=as_json, as_csv=as_csv, unconfirmed=unconfirmed)
    start = _start(since)
    return show(read_view(open_source(name), by=_column(by, start), since=start, audit=audit))


def watch_budget(
    name: str,
    *,
    by: str | None = None,
    since: str | None = None,
    audit: bool = False,
    unconfirmed: bool = False,
    as_json: bool = False,
    as_csv: bool = False,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Show a budget every 2 s until Ctrl-C: redrawn on a terminal, else one after another; as JSON
    an object a line. `since` stays where it was when it began.

    Raises ConfigurationError, LedgerUnavailable.
    """
    if as_csv:
        raise ConfigurationError("--watch shows text or JSON lines, no CSV: leave one out")
    show = _form(as_json=as_json, as_csv=False, unconfirmed=unconfirmed)
    start = _start(since)

    def views() -> Iterator[View]:
        passed = DOCUMENTS_SECONDS
        source = None
        while True:
            if source is None or passed >= DOCUMENTS_SECONDS:
                source, passed = open_source(name), 0.0
            yield read_view(source, by=_column(by, start), since=start, audit=audit)
            wait(EVERY_SECONDS)
            passed += EVERY_SECONDS

    try:
        if sys.stdout.isatty() and not as_json:
            _redraw(views(), show)
        else:
            for at, view in enumerate(views()):
                stamp = "" if as_json else f"{'' if at == 0 else chr(10)}{_time(view)}\n"
                print(f"{stamp}{show(view)}", flush=True)
    except KeyboardInterrupt:
        return


def _redraw(views: Iterator[View], show: Callable[[View], str]) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), auto_refresh=False, vertical_overflow="crop") as live:
        for view in views:
            live.update(Text(f"{_time(view)}, Ctrl-C ends it\n{show(view)}"), refresh=True)


def _time(view: View) -> str:
    return f"{view.at.astimezone():%Y-%m-%d %H:%M:%S}"


def _form(*, as_json: bool, as_csv: bool, unconfirmed: bool) -> Callable[[View], str]:
    if as_json and as_csv:
        raise ConfigurationError("--json and --csv are two forms of the same: choose one")
    if as_json:
        return lambda view: exact_json(as_object(view))
    return csv_of if as_csv else lambda view: show_view(view, unconfirmed=unconfirmed)


def _start(since: str | None) -> datetime | None:
    if since is None:
        return None
    return parse_instant(since, datetime.now(timezone.utc), option="--since")


def _column(by: str | None, since: datetime | None) -> str | None:
    """A breakdown since an instant is by model, where nothing else is asked for."""
    return by or ("model" if since else None)
