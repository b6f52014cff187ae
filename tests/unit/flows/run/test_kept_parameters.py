"""What a run keeps as its parameters is read again as what was given."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from prefect_governor import fan_out
from prefect_governor.flows.answers.shape import shape_of
from prefect_governor.flows.items.sources import items_from, resolve_sources


class Finding(BaseModel):
    title: str


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def kept(**given: Any) -> dict[str, Any]:
    parameters: dict[str, Any] = fan_out.serialize_parameters({"ask": "What?", **given})
    return parameters


def test_files_are_files_again_and_no_texts(tmp_path: Path) -> None:
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text(f"the text of {name}")
    given = [Path("a.md"), "a text", Path("b.md")]
    parameters = kept(items=given)
    assert parameters["items"] is None
    found = {item.key: (item.text, item.source) for item in resolve_sources(parameters["sources"])}
    assert found == {item.key: (item.text, item.source) for item in items_from(given)}


def test_files_alone_are_sources_alone(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("text")
    assert kept(items=[Path("a.md")], sources=["more"])["sources"] == [f"{tmp_path}/a.md", "more"]


def test_texts_stay_where_they_are() -> None:
    assert kept(items=["one", {"key": "b", "text": "two"}])["items"] == [
        "one",
        {"key": "b", "text": "two"},
    ]


def test_a_pydantic_model_is_its_schema() -> None:
    shape = shape_of(Finding)
    assert shape is not None and kept(schema=Finding)["schema"] == shape.schema
