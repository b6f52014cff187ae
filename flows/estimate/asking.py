"""Whether a run is worth its cost, and whether a person must say so first."""

import sys
from decimal import Decimal
from pathlib import Path

import click

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.money.usd import show_usd, to_nano
from prefect_governor.blocks.prices.prices import bound_cost
from prefect_governor.flows.estimate.covering import at_stake_usd
from prefect_governor.flows.estimate.estimate import Forecast
from prefect_governor.flows.estimate.planned import PlannedCall
from prefect_governor.flows.estimate.standing import Standing
from prefect_governor.flows.estimate.work import (
    first_call,
    loops,
    most_of_a_loop,
    most_searches_usd,
)
from prefect_governor.flows.items.parts import room_for_text
from prefect_governor.flows.run.job import Request

# A run on the command line that may well cost more is asked about first. Above the ceiling that a
# run has where nobody gave one, so that a first run asks nothing.
ASK_ABOVE_USD = Decimal(5)
# Their text is longer than their bytes tell.
_PACKED = frozenset({".pdf", ".docx"})
# A text in another encoding is at most so many times its bytes in UTF-8.
_GROWS = 2
_ROOM_BYTES = 512


def check_multiple(
    expected: Forecast, most: float | None, *, name: str = "max_cost_multiple"
) -> None:
    """Raises ConfigurationError where a run would cost more than `most` times one agent."""
    if most is not None and expected.cost_multiple > most:
        raise ConfigurationError(
            f"it would cost {expected.cost_multiple:.1f} times what one agent reading all of it"
            f" costs, over {name} {most:g}: ask about fewer, larger items, or raise it"
        )


def surely_at_most(request: Request, standing: Standing, usd: Decimal) -> bool:
    """Whether a run cannot cost more than `usd`, told from its ceilings and the sizes of its items
    alone: nothing is read. False where only an estimate can tell."""
    if at_stake_usd(Decimal("Infinity"), standing.left) <= usd:
        return True
    price = request.model.price_of(request.model.name)
    assert price is not None, "a request's model is priced"
    messages = first_call(request)
    prompt = 2 * sum(len(str(each["content"]).encode()) for each in messages) + _ROOM_BYTES
    room, most, total = room_for_text(request.model), to_nano(usd), 0
    for item in request.every_item():
        size = _bytes_of(item.text, item.source)
        if size is None or (room is not None and size > room):
            return False
        first = PlannedCall(prompt + size, prompt + size)
        for call in most_of_a_loop(request, first) if loops(request) else [first]:
            total += bound_cost(price, call.bound_tokens, request.model.max_output_tokens)
        total += to_nano(most_searches_usd(request))
        if total > most:
            return False
    return True


def ask_person(expected: Forecast, above: Decimal, *, stdin_is_read: bool) -> bool:
    """Whether a person at this terminal says yes to a run that may cost more than `above`.

    Raises ConfigurationError where there is nobody to ask.
    """
    return confirm(question(expected, above), stdin_is_read=stdin_is_read)


def confirm(what: str, *, stdin_is_read: bool) -> bool:
    """Whether a person at this terminal says yes to `what`.

    Raises ConfigurationError where there is nobody to ask.
    """
    if stdin_is_read or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigurationError(
            f"{what} Nobody can be asked here: give --yes to start it all the same, a lower"
            " --max-usd, or a higher --ask-above-usd"
        )
    return click.confirm(f"{what} Start it?", err=True)


def question(expected: Forecast, above: Decimal) -> str:
    """The estimate in a sentence, as a person is asked about it."""
    guess = " (a wide guess)" if expected.wide else ""
    return (
        f"{expected.calls:,} calls of {expected.model} will cost about"
        f" {_usd(expected.p50_usd)}, up to {_usd(expected.at_stake_usd)}{guess}, more than"
        f" {_usd(above)}."
    )


def _usd(amount: Decimal) -> str:
    return show_usd(int(amount.scaleb(9).to_integral_value()))


def _bytes_of(text: str | None, source: str | None) -> int | None:
    """How many bytes of text an item has at the most; None where its size does not tell."""
    if text is not None:
        return len(text.encode(errors="surrogatepass"))
    if source is None or Path(source).suffix.lower() in _PACKED:
        return None
    try:
        return Path(source).stat().st_size * _GROWS
    except OSError:
        # It fails when it is read, and costs nothing.
        return 0
