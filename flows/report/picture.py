"""A run over time as a picture: in flight against the cap, queue, rate, spend. Pure.

A small SVG of our own: it needs no library where the flow runs, weighs some 20 KB, and is sharp at
any size. It brings its own background, so that it can be read on any page, and follows the reader's
light or dark.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape

from prefect_governor.flows.report.axes import labels, lasted, ticks, time_unit
from prefect_governor.flows.report.samples import Sample, requests_within
from prefect_governor.flows.report.shown.amounts import usd

# Sizes in pixels.
WIDTH = 720
_LEFT, _RIGHT, _TOP, _BOTTOM = 88, 24, 46, 64
_PANEL, _HEADING = 92, 50
_LIMIT_ROOM = 24
# A limit further above all values than this would flatten them: it stands in the heading alone.
_FAR = 4.0
# The least that a time axis shows, in seconds.
_SHORTEST = 0.1
# Without a limit on the rate it is shown a second, over this many seconds and this share of the
# run at the least: shorter ones show the pace of our looking, not of the run.
_RATE_SECONDS = 2.0
_RATE_SHARE = 1 / 30

_STYLE = (
    ":root{--paper:#fff;--ink:#1f2937;--soft:#5b6472;--grid:#e2e5ea;--limit:#c81e1e;"
    "--a:#1d4ed8;--b:#b45309;--c:#0f766e;--d:#6d28d9}"
    "@media(prefers-color-scheme:dark){:root{--paper:#17181c;--ink:#f3f4f6;--soft:#a9b1bd;"
    "--grid:#363a43;--limit:#ff8080;--a:#7fb0ff;--b:#fbbf5c;--c:#4fd6c3;--d:#bda2ff}}"
    "text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;"
    "font-size:17px;fill:var(--soft)}"
    ".h{font-size:19px;font-weight:600;fill:var(--ink)}.n{fill:var(--ink)}.l{fill:var(--limit);stroke:var(--paper);stroke-width:4;paint-order:stroke}"
    ".g{stroke:var(--grid);stroke-width:1}"
    ".s{fill:none;stroke-width:2.2;stroke-linejoin:round;vector-effect:non-scaling-stroke}"
    ".m{fill:none;stroke:var(--limit);stroke-width:1.8;stroke-dasharray:6 4}"
)

Point = tuple[float, float]


@dataclass(frozen=True)
class _Panel:
    """One of the pictures under each other. `points` are by seconds, `limit` is a line of its
    own, with its name, and `band` what stands behind the line in a lighter shade."""

    heading: str
    note: str
    colour: str
    points: Sequence[Point]
    limit: Sequence[Point] = ()
    limit_name: str = ""
    band: Sequence[Point] = ()
    money: bool = False

    @property
    def top(self) -> float:
        """The highest value to be shown."""
        most = max((value for _, value in [*self.points, *self.band]), default=0.0)
        line = max((value for _, value in self.limit), default=0.0)
        return line if self.limit_fits and line > most else most

    @property
    def limit_fits(self) -> bool:
        most = max((value for _, value in [*self.points, *self.band]), default=0.0)
        return bool(self.limit) and max(value for _, value in self.limit) <= _FAR * most

    def scale(self) -> list[float]:
        return ticks(self.top, most=4, whole=not self.money)


def as_svg(samples: Sequence[Sample], *, title: str, budget: str = "") -> str:
    """The samples of a run, in order. `budget` names whose money the spend is."""
    end = samples[-1].end if samples else 0.0
    panels = [_in_flight(samples), _queue(samples), _rate(samples, end), _spend(samples, budget)]
    height = _TOP + len(panels) * (_HEADING + _PANEL) + _BOTTOM
    span = max(end, _SHORTEST)
    unit, unit_name = time_unit(span)
    steps = ticks(span / unit, most=7)
    # The axis ends with the run, not with the next round number.
    steps = [step for step in steps if step * unit <= span * (1 + 1e-9)]

    def across(seconds: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * seconds / span

    name = f"{title}, {lasted(end)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
        f' viewBox="0 0 {WIDTH} {height}" role="img"><title>{escape(name)}</title>'
        f"<desc>{escape('; '.join(f'{each.heading}: {each.note}' for each in panels))}</desc>"
        f"<style>{_STYLE}</style>"
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="var(--paper)"/>'
        f'<text x="24" y="32" class="h">{escape(name)}</text>'
    ]
    for at, panel in enumerate(panels):
        parts += _drawn(panel, _TOP + at * (_HEADING + _PANEL) + _HEADING, across, steps, unit)
    floor = height - _BOTTOM
    for step, label in zip(steps, labels(steps), strict=False):
        parts.append(
            f'<text x="{across(step * unit):.1f}" y="{floor + 23}" text-anchor="middle">'
            f"{label}</text>"
        )
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(
        f'<text x="{middle:.0f}" y="{floor + 48}" text-anchor="middle" class="n">'
        f"time since the start ({unit_name})</text></svg>"
    )
    return "".join(parts)


def _drawn(
    panel: _Panel,
    top: float,
    across: Callable[[float], float],
    steps: Sequence[float],
    unit: float,
) -> list[str]:
    scale = panel.scale()
    high = max(scale[-1], panel.top)

    def up(value: float) -> float:
        return top + _PANEL * (1 - value / high)

    def path(points: Sequence[Point]) -> str:
        return "".join(
            f"{'L' if at else 'M'}{across(x):.1f} {up(y):.1f}" for at, (x, y) in enumerate(points)
        )

    def area(points: Sequence[Point]) -> str:
        first, last = across(points[0][0]), across(points[-1][0])
        return f"{path(points)}L{last:.1f} {up(0):.1f}L{first:.1f} {up(0):.1f}Z"

    colour = f"var(--{panel.colour})"
    right = WIDTH - _RIGHT
    parts = [
        f'<text x="24" y="{top - 14}" class="h">{escape(panel.heading)}</text>'
        f'<text x="{right}" y="{top - 14}" text-anchor="end" class="n">{escape(panel.note)}</text>'
    ]
    for value, label in zip(scale, labels(scale, money=panel.money), strict=True):
        y = up(value)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{right}" class="g"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 6:.1f}" text-anchor="end">{label}</text>')
    for step in steps:
        parts.append(f'<path d="M{across(step * unit):.1f} {top}V{top + _PANEL}" class="g"/>')
    if panel.band:
        parts.append(f'<path d="{area(panel.band)}" fill="{colour}" opacity=".22"/>')
    if panel.points:
        parts.append(f'<path d="{area(panel.points)}" fill="{colour}" opacity=".16"/>')
        parts.append(f'<path d="{path(panel.points)}" class="s" stroke="{colour}"/>')
    if panel.limit_fits:
        parts.append(f'<path d="{path(panel.limit)}" class="m"/>')
        y = up(panel.limit[-1][1])
        # Above the line, or below it where the heading is.
        y += 19 if y - top < _LIMIT_ROOM else -6
        parts.append(
            f'<text x="{right - 6}" y="{y:.1f}" text-anchor="end" class="l">'
            f"{escape(panel.limit_name)}</text>"
        )
    return parts


def _stairs(samples: Sequence[Sample], value: Callable[[Sample], float]) -> list[Point]:
    """Each sample's value from its begin to its end."""
    return [
        point for each in samples for point in ((each.begin, value(each)), (each.end, value(each)))
    ]


def _in_flight(samples: Sequence[Sample]) -> _Panel:
    capped = [each for each in samples if each.cap is not None]
    most = max((each.peak for each in samples), default=0)
    seconds = sum(each.end - each.begin for each in samples)
    flown = sum(each.in_flight * (each.end - each.begin) for each in samples)
    mean = flown / seconds if seconds else 0.0
    cap = f", cap {capped[-1].cap:,}" if capped else ""
    return _Panel(
        "In flight (calls)",
        f"most {most:,}, mean {mean:,.1f}{cap}",
        "a",
        _stairs(samples, lambda each: each.in_flight),
        limit=_stairs(capped, lambda each: float(each.cap or 0)),
        limit_name=f"cap {capped[-1].cap:,}" if capped else "",
        band=_stairs(samples, lambda each: each.peak),
    )


def _queue(samples: Sequence[Sample]) -> _Panel:
    left = samples[-1].queued if samples else 0
    most = max((each.queued for each in samples), default=0)
    return _Panel(
        "Queue (items)",
        f"most {most:,}, at the end {left:,}",
        "b",
        _stairs(samples, lambda each: each.queued),
    )


def _rate(samples: Sequence[Sample], end: float) -> _Panel:
    sent = samples[-1].calls if samples else 0
    limited = [each for each in samples if each.rate is not None]
    rate = limited[-1].rate if limited else None
    if rate is None:
        window = max(_RATE_SECONDS, end * _RATE_SHARE)
        values = [count / window for count in requests_within(samples, window)]
        heading, note = "Rate (requests a second)", f"{sent:,} requests"
    else:
        amount, seconds = rate
        # A sample of a long run may stand for more than the limit's window.
        widest = max(each.end - each.begin for each in samples)
        window = max(float(seconds), widest)
        values = [count * seconds / window for count in requests_within(samples, window)]
        every = "the last second" if seconds == 1 else f"the last {seconds} s"
        heading, note = f"Rate (requests in {every})", f"{sent:,} requests, limit {amount:,}"
    points = [(each.end, value) for each, value in zip(samples, values, strict=True)]
    return _Panel(
        heading,
        note,
        "c",
        [(0.0, 0.0), *points] if points else [],
        limit=_stairs(limited, lambda each: float(each.rate[0]) if each.rate else 0.0),
        limit_name="" if rate is None else f"limit {rate[0]:,}",
    )


def _spend(samples: Sequence[Sample], budget: str) -> _Panel:
    capped = [each for each in samples if each.ceiling_usd is not None]
    spent = samples[-1].spent_usd if samples else Decimal(0)
    ceiling = capped[-1].ceiling_usd if capped else None
    of = "" if ceiling is None else f" of {usd(ceiling)}"
    points = [(each.end, float(each.spent_usd)) for each in samples]
    return _Panel(
        f"Spent by {budget} (USD)" if budget else "Spent (USD)",
        f"{usd(spent)}{of}",
        "d",
        [(0.0, points[0][1]), *points] if points else [],
        limit=_stairs(capped, lambda each: float(each.ceiling_usd or 0)),
        limit_name="" if ceiling is None else f"ceiling {usd(ceiling)}",
        money=True,
    )
