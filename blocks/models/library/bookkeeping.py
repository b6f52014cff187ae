"""LiteLLM's own books of a call: a record for whoever listens to its logging, and its estimate of
what the call cost. A quarter of what a call through LiteLLM costs in CPU, and nothing of ours.

Where nobody listens the record is not made, and the estimate when it is read. A call is handed the
object that LiteLLM logs it by, made as its own proxy makes it (`function_setup`, then
`litellm_logging_obj`); on that one object two methods are others. A version of LiteLLM that has
them not, or does not ask them, does all as it would.
"""

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from types import ModuleType
from typing import Any

# What people have LiteLLM call, or what it counts money for, in all calls
# (docs.litellm.ai/docs/observability/callbacks, docs.litellm.ai/docs/budget_manager).
LISTENERS = (
    "callbacks",
    "input_callback",
    "success_callback",
    "failure_callback",
    "service_callback",
    "_async_input_callback",
    "_async_success_callback",
    "_async_failure_callback",
    "max_budget",
)
# The same, of one call.
OF_A_CALL = (
    "callbacks",
    "success_callback",
    "failure_callback",
    "logger_fn",
    "litellm_logging_obj",
)
COST = "response_cost"
_CALCULATORS = ("response_cost_calculator", "_response_cost_calculator")
_HIDDEN = "_hidden_params"


class Books:
    """The books of one call of a function of LiteLLM's: give it `arguments`, and `close` what it
    returned.

    Args:
        library: LiteLLM.
        function: the function's name, such as "acompletion".
        arguments: what it is to be given.
    """

    def __init__(self, library: ModuleType, function: str, arguments: dict[str, Any]) -> None:
        self.arguments = arguments
        self._logging: Any = None
        self._estimate: Callable[[], Any] | None = None
        utils = getattr(library, "utils", None)
        set_up = getattr(utils, "function_setup", None)
        rules = getattr(utils, "Rules", None)
        if set_up is None or rules is None or arguments.get("stream") or heard(library, arguments):
            return
        arguments = {"litellm_call_id": str(uuid.uuid4()), **arguments}
        self._logging, arguments = set_up(function, rules(), datetime.now(), **arguments)
        self.arguments = {**arguments, "litellm_logging_obj": self._logging}
        for name in self._calculators():
            setattr(self._logging, name, self._later)
        if hasattr(self._logging, "claim_async_success_log"):
            self._logging.claim_async_success_log = _nobody

    def _later(self, result: Any = None, *args: Any, **kwargs: Any) -> None:
        """In place of what reckons the cost of a reply: how it would be reckoned."""
        logging, (name, *_) = self._logging, self._calculators()
        # Off the instance: the class's own.
        self._estimate = lambda: getattr(logging, name)(result, *args, **kwargs)

    def _calculators(self) -> list[str]:
        """What this version of LiteLLM reckons the cost with, the first for all."""
        return [name for name in _CALCULATORS if hasattr(type(self._logging), name)]

    def close(self, reply: Any) -> Any:
        """The reply, with an estimate that is made when it is read."""
        if self._logging is None:
            return reply
        for name in (*_CALCULATORS, "claim_async_success_log"):
            vars(self._logging).pop(name, None)
        hidden = getattr(reply, _HIDDEN, None)
        if self._estimate is not None and type(hidden) is dict:
            setattr(reply, _HIDDEN, Estimated(hidden, self._estimate))
        return reply


def heard(library: ModuleType, arguments: dict[str, Any]) -> bool:
    """Whether anybody listens to LiteLLM's own logging, of all calls or of this one."""
    return any(getattr(library, name, None) for name in LISTENERS) or any(
        arguments.get(name) for name in OF_A_CALL
    )


def _nobody() -> bool:
    return False


class Estimated(dict[str, Any]):
    """`_hidden_params` of a reply, whose `response_cost` is reckoned when it is read first; copied
    or pickled it is a plain dict."""

    __slots__ = ("_estimate",)

    def __init__(self, params: dict[str, Any], estimate: Callable[[], Any]) -> None:
        super().__init__(params)
        self._estimate: Callable[[], Any] | None = estimate

    def _made(self) -> "Estimated":
        estimate, self._estimate = self._estimate, None
        if estimate is not None and dict.get(self, COST) is None:
            # `super` would be the copy's, where one is made meanwhile.
            dict.__setitem__(self, COST, estimate())
        return self

    def __getitem__(self, name: str) -> Any:
        return dict.__getitem__(self._made() if name == COST else self, name)

    def get(self, name: str, default: Any = None) -> Any:
        return dict.get(self._made() if name == COST else self, name, default)

    def pop(self, name: str, *default: Any) -> Any:
        return dict.pop(self._made() if name == COST else self, name, *default)

    def setdefault(self, name: str, default: Any = None) -> Any:
        return dict.setdefault(self._made() if name == COST else self, name, default)

    # Whatever looks at all of it, `dict(…)` and `{**…}` among them, which ask a subclass for its
    # keys where it has an `__iter__` of its own.

    def __iter__(self) -> Iterator[str]:
        return dict.__iter__(self._made())

    def items(self) -> Any:
        return dict.items(self._made())

    def values(self) -> Any:
        return dict.values(self._made())

    def copy(self) -> dict[str, Any]:
        return dict(dict.items(self._made()))

    def __or__(self, other: Any) -> Any:
        return self.copy() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.copy()

    def __eq__(self, other: object) -> bool:
        return dict.__eq__(self._made(), other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __repr__(self) -> str:
        return dict.__repr__(self._made())

    def __reduce_ex__(self, protocol: object) -> Any:
        return dict, (self.copy(),)
