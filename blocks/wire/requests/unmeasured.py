"""What passes without a bound where calls are only observed: sent as it came, its usage read where
the reply has one. Pure."""

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import Price
from prefect_governor.blocks.wire.requests.bodies import read_reply
from prefect_governor.blocks.wire.requests.plans import (
    Billed,
    CallPlan,
    CallRequest,
    Dialect,
    StreamReader,
)


def as_it_came(body: bytes) -> CallPlan:
    """A plan that sends these bytes and bounds nothing. What comes may be a stream."""
    return CallPlan(body, 0, 0, streamed=True, service_tier=None)


def named_in(body: bytes) -> CallRequest:
    """The model that a body names, "" where it names none."""
    model = (read_reply(body) or {}).get("model")
    return CallRequest(model if isinstance(model, str) else "", {})


class Unknown(Dialect):
    """A path that no dialect knows. `why` says so."""

    name = operation = "unknown"

    def __init__(self, why: str) -> None:
        self._why = why

    def matches(self, method: str, path: str) -> bool:
        return False

    def open(self, body: bytes, *, path: str = "") -> CallRequest:
        """Raises NotBounded."""
        raise NotBounded(self._why)

    def plan(self, request: CallRequest, *, price: Price, encoding: str | None) -> CallPlan:
        """Raises NotBounded."""
        raise NotBounded(self._why)

    def read(self, body: bytes) -> Billed | None:
        return None

    def stream(self, plan: CallPlan) -> StreamReader:
        return _Unread()


class _Unread(StreamReader):
    def feed(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""

    def finished(self) -> Billed | None:
        return None


def reader_of(dialect: Dialect, plan: CallPlan) -> StreamReader:
    """What reads a stream; of a reply of none, which may come in another form than JSON where it
    is only observed, nothing."""
    try:
        return dialect.stream(plan)
    except NotBounded:
        return _Unread()


def what(method: str, raw_path: bytes, why: str) -> str:
    """What the ledger says of such a call: its method and path, then why."""
    path = raw_path.split(b"?", 1)[0].decode("ascii", "replace")
    return f"{method} {path}: {why}"
