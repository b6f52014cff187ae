"""Log lines without secrets: whoever writes them, and whatever handler writes them on.

Filters are passed by: those of a logger by its children's records, those of a handler by other
handlers, and Prefect makes its handlers anew. What is in every record's way is where it is made.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

from prefect_governor.blocks.secrets.known import scrubber

_lock = threading.Lock()
_guarded = False
_formatter = logging.Formatter()


def guard_logs() -> None:
    """From now on no log record of this process holds a known secret: its message, its exception,
    its stack."""
    global _guarded
    if _guarded:
        return
    with _lock:
        if not _guarded:
            logging.setLogRecordFactory(_scrubbing(logging.getLogRecordFactory()))
            _guarded = True


def _scrubbing(make: Callable[..., logging.LogRecord]) -> Callable[..., logging.LogRecord]:
    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = make(*args, **kwargs)
        _scrub(made)
        return made

    return record


def _scrub(record: logging.LogRecord) -> None:
    known = scrubber()
    if not known:
        return
    try:
        said = record.getMessage()
    except Exception:
        # Its arguments do not fit: whoever formats it says so.
        said, record.args = str(record.msg), ()
    if (clean := known.out_of(said)) is not said:
        record.msg, record.args = clean, ()
    if record.exc_info and record.exc_info[0] is not None:
        told = _formatter.formatException(record.exc_info)
        if (clean := known.out_of(told)) is not told:
            # Whoever formats it takes the text; the error itself is not ours to change here.
            record.exc_text, record.exc_info = clean, None
    if record.stack_info:
        record.stack_info = known.out_of(record.stack_info)
