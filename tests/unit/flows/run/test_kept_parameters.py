"""What a run keeps as its parameters is read again as what was given."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from prefect_governor import fan_out
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.answers.shape import shape_of
from prefect_governor.flows.items.skipped import Skipped
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


def test_what_was_left_out_and_said_of_files_is_there_again(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("text")
    (tmp_path / "docs" / "b.bin").write_bytes(bytes(range(256)))
    (tmp_path / "t.csv").write_text("id;text\n1;one\n2;two\n;\n")
    given = [Path("docs"), Path("t.csv"), "a text"]
    before: tuple[list[Skipped], list[str]] = ([], [])
    after: tuple[list[Skipped], list[str]] = ([], [])
    items = items_from(given, skipped=before[0], said=before[1])
    found = resolve_sources(kept(items=given)["sources"], skipped=after[0], said=after[1])
    assert [each.key for each in before[0]] == ["docs/b.bin"] and before[1]
    assert after == before
    assert [(each.key, each.text, each.source, each.notes) for each in found] == [
        (each.key, each.text, each.source, each.notes) for each in items
    ]


def test_a_file_that_is_one_text_does_not_become_rows(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("- a: 1\n- a: 2\n")
    sources = kept(items=[Path("settings.yaml")])["sources"]
    assert [item.key for item in resolve_sources(sources)] == ["settings.yaml"]


def test_items_that_are_gone_are_told_of_by_name(tmp_path: Path) -> None:
    (kept_in,) = kept(items=["text", Path(__file__)])["sources"]
    Path(kept_in).unlink()
    with pytest.raises(ConfigurationError, match="start it anew from its sources"):
        resolve_sources([kept_in])
