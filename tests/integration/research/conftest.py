"""The world that the provider's model can read up on, as files."""

from pathlib import Path

import pytest

from tests.provider.answers.riddles import World, make_world


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture
def notes(world: World, tmp_path: Path) -> Path:
    """The world's files in a folder."""
    folder = tmp_path / "notes"
    folder.mkdir()
    for name, text in world.files.items():
        (folder / name).write_text(text)
    return folder
