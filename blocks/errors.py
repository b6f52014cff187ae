"""The one tree of errors::

    GovernorError
    ├── ConfigurationError     something given to us is wrong; nothing was started or spent
    ├── CallRefused            a call was refused before its bytes left; nothing was spent
    │   ├── OverBudget         the ceiling cannot cover it, whatever is still in flight
    │   ├── NotPriced          no price is known for the model
    │   ├── NotBounded         its output, a part of it or its kind has no upper bound
    │   ├── NotGoverned        made outside any governor, or on a path that no dialect knows
    │   ├── QueueTimeout       waited longer than queue_timeout_seconds
    │   ├── RunStopped         the run was told to start nothing more
    │   └── LedgerUnavailable  the ledger cannot be read or written
    │       └── LedgerFull     there is no room for it on its disk
    ├── SandboxLost            a sandbox ended with its engine, or its engine failed; its item fails
    ├── ItemFailed             a sub-agent's own verdict on its item: its text is too long, …
    │   └── BadAnswer          on an answer that was paid for: cut, filtered, refused, invalid, …
    └── RunFailed              what a failed run raises; carries the report

Messages carry the numbers and the repair. No message holds a key, a header or a request's body.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any


class GovernorError(Exception):
    """Base of every error raised by this package."""


class ConfigurationError(GovernorError):
    """Something given to us is wrong. Nothing was started, nothing was spent."""


class CallRefused(GovernorError):
    """A call was refused before its bytes left. Nothing was spent."""


class OverBudget(CallRefused):
    """spent + unconfirmed + allocations of others + this call's bound exceed the ceiling.

    `left_nano` and `left_tokens` are what the budget that refused could still pay for, None where
    it has no such ceiling or nobody said. `drawable` says of a part that was to be set aside that
    the money is there, and not drawn by this machine yet.
    """

    left_nano: int | None = None
    left_tokens: int | None = None
    drawable: bool = False


class NotPriced(CallRefused):
    """No price is known for the model, so no bound can be taken from a budget in USD."""


class NotBounded(CallRefused):
    """The call's output, one of its parts or its kind has no upper bound."""


class NotGoverned(CallRefused):
    """The call was made outside any governor, or on a path that no dialect knows."""


class QueueTimeout(CallRefused):
    """The call waited longer than `queue_timeout_seconds` to be admitted."""


class RunStopped(CallRefused):
    """The run was stopped before this was admitted: by Ctrl-C, SIGTERM, a cancellation, its time,
    or itself. The message says by what."""


class LedgerUnavailable(CallRefused):
    """The ledger could not be read or written, so the call cannot be counted.

    Where it is a call's end that could not be written, its bytes have left: the reservation stays
    charged at its bound until it can.
    """


class LedgerFull(LedgerUnavailable):
    """There is no room for the ledger on its disk: nothing can be counted before there is."""


class SandboxLost(GovernorError):
    """A sandbox was lost in the midst of a program, or its engine failed: the item that had it
    fails, all others go on. Run again, it may succeed."""


class ItemFailed(GovernorError):
    """A sub-agent's own verdict on its item: the answer does not validate, the text is too long."""


class BadAnswer(ItemFailed):
    """An answer that was paid for and is of no use. `kind` says why in a word, with which the
    message begins: `cut`, `filtered`, `refused`, `empty`, `broken`, or `schema` where it was not in
    the shape that was asked for. It is kept, so that nothing is paid for it again unasked."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(f"{kind}: {words}")
        self.kind = kind
        self.words = words

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.kind, self.words))


BAD_KINDS = ("cut", "filtered", "refused", "empty", "broken", "schema")


def bad_kind(reason: str | None) -> str | None:
    """The kind of the bad answer that a reason tells of, None where it tells of none."""
    kind, colon, _ = (reason or "").partition(": ")
    return kind if colon and kind in BAD_KINDS else None


class RunFailed(GovernorError):
    """A run in which nothing succeeded, or less than `min_success`. `report` holds all of it."""

    def __init__(self, message: str, report: Any = None) -> None:
        super().__init__(message)
        self.report = report

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (str(self), self.report))


# What no repetition of the same code can change.
FINAL = (ConfigurationError, NotBounded, NotGoverned, NotPriced, OverBudget, RunStopped)


def chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it was raised from, outermost first, each once."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


# So many are looked at of one error.
_MOST_ERRORS = 10_000


def all_errors(error: BaseException) -> Iterator[BaseException]:
    """`error`, what it and those it came of were raised from, the members of their groups, and the
    errors that they hold as attributes: each once, in no order."""
    left: list[BaseException | None] = [error]
    seen: set[int] = set()
    while left and len(seen) < _MOST_ERRORS:
        current = left.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        left += [current.__cause__, current.__context__]
        left += getattr(current, "exceptions", ())
        left += [each for each in vars(current).values() if isinstance(each, BaseException)]
        yield current


# What a client is answered in place of a refusal: the header that marks such a reply, which is the
# extension that holds the error as well; what its text begins with; and its statuses.
REFUSAL = "x-prefect-governor-refusal"
REFUSED = "prefect-governor refused this call: "
REFUSAL_STATUSES = (
    (OverBudget, 402),
    (QueueTimeout, 429),
    (LedgerUnavailable, 503),
    (GovernorError, 400),
)


def governor_error(error: BaseException) -> GovernorError | None:
    """The error of ours in an exception of any client library, None where there is none.

    `except Exception as error: if isinstance(governor_error(error), OverBudget): …` tells a refused
    call whether the library raised ours as it is, wrapped it in its own, or was answered with it.
    """
    for each in chain(error):
        found = each if isinstance(each, GovernorError) else _answered(each)
        if found is not None:
            return found
    return None


def _answered(error: BaseException) -> GovernorError | None:
    """The refusal that a library's own error of a status tells of."""
    # No property is asked: some raise.
    held = getattr(error, "__dict__", {})
    replies = [held.get(name) for name in ("response", "raw_response")]
    # Of requests, what it has read from.
    for reply in (*replies, *(getattr(each, "raw", None) for each in replies)):
        extensions = getattr(reply, "extensions", None)
        found = extensions.get(REFUSAL) if isinstance(extensions, Mapping) else None
        if isinstance(found, GovernorError):
            return found
    # Where it keeps no response, there is its text.
    status = held.get("status_code", held.get("code", held.get("status")))
    if status is None and isinstance(held.get("response"), Mapping):
        # botocore's.
        status = held["response"].get("ResponseMetadata", {}).get("HTTPStatusCode")
    if status not in [status for _, status in REFUSAL_STATUSES]:
        return None
    told = re.search(rf"{REFUSED}(\w+): (.*)", str(error), re.DOTALL)
    kind = _KINDS.get(told[1]) if told else None
    return None if told is None or kind is None else kind(told[2])


_KINDS: dict[str, type[GovernorError]] = {
    "CallRefused": CallRefused,
    "ConfigurationError": ConfigurationError,
    **{each.__name__: each for each in CallRefused.__subclasses__()},
}
