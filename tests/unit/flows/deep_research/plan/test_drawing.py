"""A plan's picture holds what the plan says, whatever its texts are."""

import xml.etree.ElementTree as ET

from prefect_governor.flows.deep_research.plan.drawing import (
    MOST_DRAWN,
    as_mermaid,
    as_svg,
)
from prefect_governor.flows.deep_research.plan.plan import PlanTask

SVG = "{http://www.w3.org/2000/svg}"


def task(task_id: str, *depends_on: str, objective: str = "x") -> PlanTask:
    return PlanTask(id=task_id, objective=objective, depends_on=depends_on)


def test_each_column_is_right_of_what_it_depends_on() -> None:
    drawn = ET.fromstring(as_svg([task("c", "a", "b"), task("a"), task("b", "a")]))
    x = {
        text.text: float(text.attrib["x"]) for text in drawn.iter(f"{SVG}text")
    }  # fmt: skip
    assert x["a"] < x["b"] < x["c"]
    assert sum(path.attrib.get("fill") == "none" for path in drawn.iter(f"{SVG}path")) == 3


def test_texts_of_a_plan_are_never_markup() -> None:
    evil = task("a", objective='</title><script>alert("x")</script>')
    svg = as_svg([evil], {"a": "failed"})
    assert "<script>" not in svg
    assert ET.fromstring(svg) is not None


def test_mermaid_names_tasks_by_number() -> None:
    text = as_mermaid([task("end"), task("b", "end")])
    assert text.splitlines() == ["flowchart LR", '    t0["end"]', '    t1["b"]', "    t0 --> t1"]


def test_a_plan_of_thousands_is_drawn_in_part() -> None:
    tasks = [task(f"t{at}") for at in range(MOST_DRAWN + 50)]
    assert as_svg(tasks).count("<text") == MOST_DRAWN
