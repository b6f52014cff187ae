"""The scales of a picture: where its lines stand and what they are called. Pure."""

import math
from collections.abc import Sequence

# Above this many seconds a picture counts in minutes, above that many in hours.
_MINUTES_FROM = 180
_HOURS_FROM = 3 * 3600


def ticks(top: float, *, most: int, whole: bool = False) -> list[float]:
    """Round numbers from 0 to the first at or above `top`, `most` of them at the most; `whole` ones
    for what is counted, of which there is no half."""
    if top <= 0 or not math.isfinite(top):
        return [0.0, 1.0]
    rough = max(top / (most - 1), 1.0 if whole else 0.0)
    size = 10.0 ** math.floor(math.log10(rough))
    round_ones = (1, 2, 5, 10) if whole else (1, 2, 2.5, 5, 10)
    step = next(each * size for each in round_ones if each * size >= rough * (1 - 1e-12))
    return [at * step for at in range(math.ceil(top / step - 1e-9) + 1)]


def labels(values: Sequence[float], *, money: bool = False) -> list[str]:
    """As many decimals for all as their step needs."""
    step = values[1] - values[0] if len(values) > 1 else 1.0
    places = 0
    while places < 9 and abs(round(step, places) - step) > step * 1e-6:
        places += 1
    if money and 0 < places < 2:
        places = 2
    return [f"{'$' if money else ''}{value:,.{places}f}" for value in values]


def time_unit(seconds: float) -> tuple[float, str]:
    """How many seconds the unit of a time axis has that ends there, and its name."""
    if seconds <= _MINUTES_FROM:
        return 1.0, "seconds"
    return (60.0, "minutes") if seconds <= _HOURS_FROM else (3600.0, "hours")


def lasted(seconds: float) -> str:
    """A time in words: "9.4 s", "2 min 31 s", "3 h 5 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
