"""Sources that are too many to be held: checked whole, and read again when their turn comes."""

from pathlib import Path

import pytest

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.reading import AS_IT_IS
from prefect_governor.flows.items.skipped import Skipped
from prefect_governor.flows.items.stream import SourceStream, checked_sources


def checked(
    folder: Path, most_held: int, skipped: list[Skipped], said: list[str]
) -> list[Item] | SourceStream:
    return checked_sources(
        ["r.csv", "a.md"],
        cwd=folder,
        skipped=skipped,
        said=said,
        whole_folders=False,
        reading=AS_IT_IS,
        most_held=most_held,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "r.csv").write_text("a,b\n1,2\n,\n3,4\n")
    (tmp_path / "a.md").write_text("a text")
    return tmp_path


def test_items_beyond_what_is_held_are_the_same_each_time_they_are_gone_through(
    folder: Path,
) -> None:
    said: list[str] = []
    held = checked(folder, 1_000, [], [])
    stream = checked(folder, 5, [], said)
    assert isinstance(held, list)
    assert isinstance(stream, SourceStream)
    assert list(stream) == list(stream) == held
    assert stream.files == (str(folder / "a.md"),)
    assert any("1 blank row" in each for each in said)


def test_a_bad_row_behind_what_is_held_is_refused_before_anything_is_read(folder: Path) -> None:
    (folder / "r.csv").write_text("a,b\n" + "1,2\n" * 50 + "3\n")
    with pytest.raises(ConfigurationError, match=r"r\.csv:52: 1 fields"):
        checked(folder, 5, [], [])
