"""How a thread is interrupted at a task's timeout, as Prefect's own timeouts in threads do it."""

from typing import Any

from typing_extensions import Self

from prefect_governor.blocks.prefect_internals.names import find

_CANCELLATION = "prefect._internal.concurrency.cancellation"
_LATE = "the timeout of a task in a thread takes effect when its function returns"


class _Interrupted(BaseException):
    """Raised where Prefect's own is gone."""


class _Late:
    """Stands for Prefect's scope: interrupts nothing, and raises once the code inside is over."""

    _over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self._over and error is None:
            raise _Interrupted

    def cancel(self) -> None:
        self._over = True


_scope: Any = find(_CANCELLATION, "WatcherThreadCancelScope", instead=_LATE)
_cancelled: Any = find(_CANCELLATION, "CancelledError", instead=_LATE)

_KNOWN = _scope is not None and _cancelled is not None

# What arrives in the thread between two of its steps in Python.
Interrupted: type[BaseException] = _cancelled if _KNOWN else _Interrupted
# The kind of timeout that the engine calls a timeout of the task, and not an error of its code's.
TaskRunTimeoutError: type[TimeoutError] = (
    find(
        "prefect.task_engine",
        "TaskRunTimeoutError",
        instead="a task's timeout reads like an error of its code",
    )
    or TimeoutError
)


def interruptible() -> Any:
    """A context manager with a `cancel()`, for any thread, that raises `Interrupted` in the code
    inside."""
    return _scope() if _KNOWN else _Late()
