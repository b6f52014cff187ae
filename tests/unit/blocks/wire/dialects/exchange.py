"""Both ways through a dialect: a request that is planned, a stream that comes in pieces."""

import json
from typing import Any

from prefect_governor.blocks.wire.requests.plans import CallPlan, Dialect, StreamReader
from tests.unit.prices import priced


def planned(
    dialect: Dialect,
    body: dict[str, Any],
    *,
    model: str,
    path: str = "",
    encoding: str | None = None,
) -> CallPlan:
    """At LiteLLM's price of `model`; bounded by its bytes without an encoding."""
    asked = dialect.open(json.dumps(body).encode(), path=path)
    return dialect.plan(asked, price=priced(model), encoding=encoding)


def fed(reader: StreamReader, whole: bytes, size: int) -> bytes:
    """What is shown of a stream that comes `size` bytes at a time."""
    shown = b"".join(reader.feed(whole[at : at + size]) for at in range(0, len(whole), size))
    return shown + reader.flush()
