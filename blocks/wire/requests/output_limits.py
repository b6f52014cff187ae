"""The limit of output that a governor's or a client's settings give a request. Pure.

A request that names none is given theirs; a ceiling lowers what a request names. A dialect says
where in its requests a limit stands, and where a budget of thoughts.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import Price
from prefect_governor.blocks.records.output import OutputTerms
from prefect_governor.blocks.wire.requests.plans import CallRequest, Dialect

Path = tuple[str, ...]


def limited(
    dialect: Dialect, request: CallRequest, price: Price, output: OutputTerms
) -> tuple[CallRequest, Price, bool]:
    """The request, with what the limits that it names are lowered to; the price to plan it at,
    whose own limit of the model is no more than the default; and whether that default is its limit.

    A limit that a client library wrote, not its caller, is none that was named. The default is for
    the answer: what the request sets aside for thoughts comes on top, but not above a ceiling.
    Raises NotBounded where more is set aside for thoughts than the ceiling lets an answer hold.
    """
    default, ceiling = output.default, output.ceiling
    if (default is None and ceiling is None) or not dialect.output_fields:
        return request, price, False
    fields = request.fields
    thought = max((_whole(fields, path) for path in dialect.thought_fields), default=0)
    if ceiling is not None and thought >= ceiling:
        raise NotBounded(
            f"the request sets {thought:,} tokens aside for thoughts, and max_output_tokens of the "
            f"governor or its client lets an answer and its thoughts hold {ceiling:,} "
            "(output_ceiling). Set less aside, or raise max_output_tokens"
        )
    named = [path for path in dialect.output_fields if _whole(fields, path)]
    if request.accepted.no_limit or not named:
        most = min(
            each
            for each in (
                None if default is None else default + thought, ceiling, price.max_output_tokens
            )
            if each is not None
        )  # fmt: skip
        for path in named:
            fields = _with(fields, path, None)
        return replace(request, fields=fields), replace(price, max_output_tokens=most), True
    if ceiling is not None:
        for path in named:
            fields = _with(fields, path, min(_whole(fields, path), ceiling))
    return replace(request, fields=fields), price, False


def _whole(fields: Any, path: Path) -> int:
    """A number of at least 1; 0 where there is none."""
    for name in path:
        fields = fields.get(name) if isinstance(fields, Mapping) else None
    whole = isinstance(fields, int) and not isinstance(fields, bool)
    return max(0, fields) if whole else 0


def _with(fields: Mapping[str, Any], path: Path, value: int | None) -> Mapping[str, Any]:
    """The fields with another value at a path that stands in them; None takes it away."""
    name, *inner = path
    if inner:
        return {**fields, name: _with(fields[name], tuple(inner), value)}
    rest = {other: each for other, each in fields.items() if other != name}
    return rest if value is None else {**rest, name: value}
