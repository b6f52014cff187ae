"""The picture of a run says what its samples say, in any of the shapes that a run can have."""

import base64
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.flows.report.axes import labels, lasted, ticks, time_unit
from prefect_governor.flows.report.picture import WIDTH, as_svg
from prefect_governor.flows.report.samples import Sample
from prefect_governor.flows.report.shown.pictures import as_uri, picture_fields

SVG = "{http://www.w3.org/2000/svg}"


def sample(begin: float, end: float, **changes: object) -> Sample:
    fields: dict[str, object] = {
        "in_flight": 15.0, "peak": 20, "cap": 20, "queued": 80, "calls": 40, "rate": (600, 60),
        "spent_usd": Decimal("0.25"), "ceiling_usd": Decimal(1), **changes,
    }  # fmt: skip
    return Sample(begin, end, **fields)  # type: ignore[arg-type]


def texts(svg: str) -> list[str]:
    return [str(each.text) for each in ET.fromstring(svg).iter(f"{SVG}text")]


def lines(svg: str, name: str) -> list[list[tuple[float, float]]]:
    """The points of the lines of a class, in pixels."""
    return [
        [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.-]+) ([\d.-]+)", each.attrib["d"])]
        for each in ET.fromstring(svg).iter(f"{SVG}path")
        if each.attrib.get("class") == name
    ]


def test_every_axis_has_its_unit_and_every_limit_its_name() -> None:
    svg = as_svg([sample(0, 2), sample(2, 4, calls=60)], title="fan-out: 100 items", budget="x")
    found = texts(svg)
    assert found[0] == "fan-out: 100 items, 4.0 s"
    for text in (
        "In flight (calls)", "most 20, mean 15.0, cap 20", "cap 20",
        "Queue (items)", "most 80, at the end 80",
        "Rate (requests in the last 60 s)", "60 requests, limit 600",
        "Spent by x (USD)", "$0.25 of $1.00", "ceiling $1.00",
        "time since the start (seconds)",
    ):  # fmt: skip
        assert text in found
    # A reader who does not see it is told the same.
    assert "$0.25 of $1.00" in str(ET.fromstring(svg).find(f"{SVG}desc").text)  # type: ignore[union-attr]


def test_lines_stand_where_the_scale_says() -> None:
    svg = as_svg([sample(0, 5, in_flight=10.0), sample(5, 10, in_flight=20.0)], title="t")
    in_flight, cap = lines(svg, "s")[0], lines(svg, "m")[0]
    assert in_flight[-1][0] == cap[-1][0]
    assert in_flight[-1][1] == cap[0][1], "at the cap, the line is on the cap's"
    ground = max(y for _, y in lines(svg, "s")[1]) + 0
    assert in_flight[0][1] > in_flight[-1][1]
    assert in_flight[0][0] == cap[0][0] < in_flight[1][0] == in_flight[2][0] < in_flight[3][0]
    assert ground > in_flight[0][1]


def test_a_cap_that_changed_is_a_step() -> None:
    svg = as_svg([sample(0, 5, cap=20), sample(5, 10, cap=10, in_flight=9.0)], title="t")
    cap = lines(svg, "m")[0]
    assert len({y for _, y in cap}) == 2
    assert "cap 10" in texts(svg)


def test_a_ceiling_far_above_the_spend_does_not_flatten_it() -> None:
    svg = as_svg([sample(0, 5, ceiling_usd=Decimal(1000))], title="t")
    assert "$0.25 of $1,000.00" in texts(svg)
    assert "ceiling $1,000.00" not in texts(svg)
    assert "$0.30" in texts(svg)


def test_a_run_without_limits_has_none_drawn_and_its_rate_a_second() -> None:
    one = sample(0, 60, cap=None, rate=None, ceiling_usd=None)
    svg = as_svg([one], title="t")
    assert lines(svg, "m") == []
    assert "Rate (requests a second)" in texts(svg)
    assert "most 20, mean 15.0" in texts(svg)


@given(
    st.lists(
        st.tuples(
            st.floats(0, 1e6), st.floats(0, 1e4), st.none() | st.integers(0, 10**6),
            st.integers(0, 10**7), st.none() | st.decimals(0, 10**7, places=9),
        ),
        max_size=8,
    )
)  # fmt: skip
def test_whatever_a_run_was_like_its_picture_is_whole_and_inside_its_frame(
    steps: Sequence[tuple[float, float, int | None, int, Decimal | None]],
) -> None:
    samples, now, sent = [], 0.0, 0
    for passed, in_flight, cap, calls, ceiling in steps:
        samples.append(
            sample(
                now, now + passed, in_flight=in_flight, peak=int(in_flight) + 1, cap=cap,
                calls=sent + calls, queued=calls, ceiling_usd=ceiling,
                rate=(cap, 1) if cap else None,
            )
        )  # fmt: skip
        now, sent = now + passed, sent + calls
    svg = as_svg(samples, title="t")
    root = ET.fromstring(svg)
    height = float(root.attrib["height"])
    assert not re.search(r"\b(nan|inf)\b", svg)
    for each in [*lines(svg, "s"), *lines(svg, "m")]:
        assert all(0 <= x <= WIDTH and 0 <= y <= height for x, y in each)


def test_names_of_budgets_and_runs_are_never_markup() -> None:
    svg = as_svg([sample(0, 1)], title="<script>alert(1)</script>", budget='"><b>&')
    assert "<script>" not in svg
    assert 'Spent by "><b>& (USD)' in texts(svg)


def test_light_and_dark_readers_both_have_ink_on_paper() -> None:
    style = str(ET.fromstring(as_svg([], title="t")).find(f"{SVG}style").text)  # type: ignore[union-attr]
    themes = [dict(re.findall(r"--(\w+):(#\w+)", part)) for part in style.split("@media")]
    assert len(themes) == 2 and themes[0].keys() == themes[1].keys()
    for theme in themes:
        paper = _light(theme.pop("paper"))
        theme.pop("grid")
        for name, colour in theme.items():
            high, low = sorted((_light(colour), paper), reverse=True)
            # WCAG's figure for text.
            assert (high + 0.05) / (low + 0.05) >= 4.5, name


def _light(colour: str) -> float:
    """Relative luminance as WCAG has it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_uri_holds_the_picture() -> None:
    svg = as_svg([], title="t")
    kind, data = as_uri(svg).split(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(data).decode() == svg


@pytest.mark.parametrize(
    ("version", "kind"),
    [("3.8.0", "image"), ("3.8.6", "image"), ("3.8.7", "markdown"), ("3.9.0rc1", "markdown"),
     ("4.0.0.dev2", "markdown")],
)  # fmt: skip
def test_the_text_of_the_uri_is_on_no_page_of_a_ui_that_can_do_without(
    version: str, kind: str
) -> None:
    svg = as_svg([], title="t")
    made = picture_fields(svg, title="t", version=version)
    assert made["type"] == kind
    if kind == "markdown":
        assert made["data"] == f"![t]({as_uri(svg)})\n"


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        (0, [0, 1]), (1, [0, 0.5, 1]), (20, [0, 10, 20]), (7, [0, 2.5, 5, 7.5]),
        (600, [0, 200, 400, 600]),
    ],
)  # fmt: skip
def test_ticks_are_round_and_reach_the_top(top: float, expected: list[float]) -> None:
    assert ticks(top, most=4) == expected


@given(st.floats(1e-9, 1e9), st.integers(2, 9))
def test_ticks_are_few_and_reach_the_top(top: float, most: int) -> None:
    found = ticks(top, most=most)
    assert 2 <= len(found) <= most
    assert found[-1] >= top * (1 - 1e-6)


def test_there_is_no_half_of_a_call() -> None:
    assert ticks(1, most=4, whole=True) == [0, 1]
    assert ticks(7, most=4, whole=True) == [0, 5, 10]
    assert labels([0, 2.5, 5]) == ["0.0", "2.5", "5.0"]
    assert labels([0, 0.5, 1], money=True) == ["$0.00", "$0.50", "$1.00"]
    assert labels([0, 1000, 2000]) == ["0", "1,000", "2,000"]


def test_times_are_in_the_unit_of_the_run() -> None:
    assert [time_unit(seconds)[1] for seconds in (60, 600, 20_000)] == [
        "seconds",
        "minutes",
        "hours",
    ]
    assert [lasted(seconds) for seconds in (9.44, 151, 11_100)] == [
        "9.4 s",
        "2 min 31 s",
        "3 h 5 min",
    ]
