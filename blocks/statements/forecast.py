"""When a ceiling is reached at this pace. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """So many nano-dollars in so many seconds."""

    nano: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What becomes of a budget in its window, should the pace stay as it is.

    Attributes:
        reached: when nothing is left, on the wall's clock in seconds; None where that is not before
            the window's end, or never.
        by_end_nano: what it comes to at the window's end; None for a window without an end.
    """

    reached: float | None = None
    by_end_nano: int | None = None


def forecast(
    *, gone_nano: int, ceiling_nano: int | None, pace: Pace, now: float, ends: float | None
) -> Forecast:
    """The pace goes on in a straight line: what is left lasts for what is left divided by the pace,
    as an error budget's time to exhaustion is reckoned from its burn rate.
    (https://sre.google/workbook/alerting-on-slos)

    Args:
        gone_nano: spent and unconfirmed in this window.
        ends: when the window ends; None where it does not.
    """
    each_second = pace.nano / pace.seconds if pace.seconds > 0 else 0.0
    by_end = None
    if ends is not None:
        by_end = gone_nano + round(each_second * max(0.0, ends - now))
    if ceiling_nano is None:
        return Forecast(None, by_end)
    left = ceiling_nano - gone_nano
    if left <= 0:
        return Forecast(now, by_end)
    # Slower than a nano-dollar in a year is no pace.
    if each_second <= 1 / (365 * 86_400):
        return Forecast(None, by_end)
    reached = now + left / each_second
    return Forecast(reached if ends is None or reached < ends else None, by_end)
