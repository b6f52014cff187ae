"""The dashboard asks for metrics that are emitted, under the names that Prometheus gives them."""

import json
import re
from itertools import combinations
from typing import Any

import pytest

from prefect_governor.blocks.telemetry import names
from tests import ROOT

BOARD: dict[str, Any] = json.loads((ROOT / "deployments/grafana/dashboard.json").read_text())
PANELS: list[dict[str, Any]] = BOARD["panels"]
ATTRIBUTES = {
    value.replace(".", "_")
    for name, value in vars(names).items()
    if name.isupper() and isinstance(value, str)
} | {"le"}
# https://github.com/prometheus/OpenTelemetry: units become suffixes, those in braces none.
SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("_total",), "gauge": ("",)}


def in_prometheus(metric: names.Metric) -> set[str]:
    unit = "_seconds" if metric.unit == "s" else ""
    return {f"{metric.name.replace('.', '_')}{unit}{end}" for end in SUFFIXES[metric.kind]}


def asked(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:prefect_governor|gen_ai)_\w+", expression)) - ATTRIBUTES


def expressions() -> list[str]:
    queries = [each["query"]["query"] for each in BOARD["templating"]["list"][1:]]
    return queries + [target["expr"] for panel in PANELS for target in panel["targets"]]


def test_every_query_names_what_is_emitted_and_nothing_is_emitted_that_is_not_shown() -> None:
    emitted = {metric.name: in_prometheus(metric) for metric in names.METRICS}
    shown = set[str]().union(*map(asked, expressions()))
    assert shown <= set[str]().union(*emitted.values())
    assert [name for name, found in emitted.items() if not found & shown] == []


@pytest.mark.parametrize("planted", ["prefect_governor_budget_gone", "gen_ai_client_tokens_sum"])
def test_a_planted_name_that_nobody_emits_is_found(planted: str) -> None:
    (found,) = asked(f"sum by (gen_ai_request_model) (rate({planted}[5m]))")
    assert found not in set[str]().union(*map(in_prometheus, names.METRICS))


def test_labels_that_queries_group_by_and_legends_show_are_attributes() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            by = re.findall(r"by \(([^)]*)\)", target["expr"])
            shown = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            used = {name.strip() for each in by for name in each.split(",")} | {*shown}
            assert used <= ATTRIBUTES, target
            assert {*shown} <= {name.strip() for each in by for name in each.split(",")}, target


def test_panels_stand_beside_each_other_on_the_grid_and_ask_the_chosen_source() -> None:
    assert BOARD["schemaVersion"] == 39 and BOARD["uid"] and BOARD["title"]
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["x"] + place["w"] <= 24
        assert panel["type"] in {"bargauge", "timeseries"}
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len({each["refId"] for each in panel["targets"]}) == len(panel["targets"])
    for one, other in combinations([panel["gridPos"] for panel in PANELS], 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y
