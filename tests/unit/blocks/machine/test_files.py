"""A file is there whole or not at all, whatever text a model wrote."""

import os
from pathlib import Path

import pytest

from prefect_governor.blocks.machine.files import whole_file, write_whole

HOSTILE = "half \ud800 a character, \x00, \u202e turned around, \u2028 and a line"


def test_text_of_models_is_written_whatever_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "answer.md"
    write_whole(path, HOSTILE)
    assert path.read_text(encoding="utf-8") == HOSTILE.replace("\ud800", "\\ud800")


def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "answer.md"
    write_whole(path, "old")
    with pytest.raises(ZeroDivisionError), whole_file(path) as file:
        file.write("new")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["answer.md"]


def test_a_link_goes_on_leading_to_the_file(tmp_path: Path) -> None:
    target, link = tmp_path / "target.md", tmp_path / "link.md"
    target.write_text("old")
    link.symlink_to(target)
    write_whole(link, "new")
    assert link.is_symlink() and target.read_text() == "new"
