"""The look-up of private names: what is there is given, what is gone is said once."""

import logging
import re
from collections.abc import Callable
from importlib.metadata import version
from types import SimpleNamespace

import pytest

from prefect_governor.blocks.prefect_internals import names
from tests import ROOT


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_told", set())


def test_what_is_there_is_given_and_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    from prefect.flows import Flow

    assert names.find("prefect.flows", "Flow.serialize_parameters", instead="a") is (
        Flow.serialize_parameters
    )
    assert names.finds("prefect.flows", "Flow", "Flow.serialize_parameters", instead="a")
    assert names.takes("prefect.flows", "Flow.serialize_parameters", "parameters", instead="a")
    assert names.read(SimpleNamespace(_it=None), "_it", instead="a") == (None,)
    assert names.has_module("prefect.server.api.server", instead="a")
    assert not caplog.records


@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("prefect._gone.it", lambda: names.find("prefect._gone", "it", instead="else")),
        ("prefect.flows.it", lambda: names.find("prefect.flows", "it", instead="else")),
        ("prefect.flows.Flow.it", lambda: names.find("prefect.flows", "Flow.it", instead="else")),
        ("Flow.gone", lambda: names.finds("prefect.flows", "Flow", "Flow.gone", instead="else")),
        (
            "Flow.visualize(gone=)",
            lambda: names.takes("prefect.flows", "Flow.visualize", "gone", instead="else"),
        ),
        ("SimpleNamespace._it", lambda: names.read(SimpleNamespace(), "_it", instead="else")),
        ("prefect.server.gone", lambda: names.has_module("prefect.server.gone", instead="else")),
    ],
)
def test_what_is_gone_is_said_once(
    name: str, look: Callable[[], object], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "prefect_governor.prefect"):
        assert not look()
        assert not look()
    (record,) = caplog.records
    text = record.getMessage()
    assert name in text
    assert f"Prefect {version('prefect')} has no" in text
    assert "else" in text
    assert "3.8.0" in text


def test_names_that_have_the_same_way_beside_them_are_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    names.find("prefect.flows", "one", instead="the same")
    names.find("prefect.flows", "another", instead="the same")
    assert len(caplog.records) == 1


def test_the_versions_that_were_checked_begin_with_the_lowest_that_is_allowed() -> None:
    bound = re.search(r'"prefect>=([\d.]+),<4"', (ROOT / "pyproject.toml").read_text())
    assert bound
    assert names.CHECKED[0].startswith(bound[1])
    locked = re.search(r'name = "prefect"\nversion = "([\d.]+)"', (ROOT / "uv.lock").read_text())
    assert locked
    assert locked[1] in names.CHECKED, "run .ci/versions, then add it to CHECKED"
