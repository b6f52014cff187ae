"""A folder that is one item: all that people wrote in it, and nothing that it only points at."""

import os
from pathlib import Path

import pytest

from prefect_governor.blocks.errors import ConfigurationError, ItemFailed
from prefect_governor.blocks.workspaces.bounds import WorkspaceBounds
from prefect_governor.blocks.workspaces.workspace import Workspace
from prefect_governor.flows.items.sources import items_from, read_text, resolve_sources
from prefect_governor.flows.items.trees import is_left_out, tree_digest, tree_text


@pytest.fixture
def repos(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("of the host")
    for name in ("one", "two"):
        folder = tmp_path / "repos" / name
        for inner in ("src", ".git", "node_modules", "src/__pycache__"):
            (folder / inner).mkdir(parents=True)
        for file in ("a.py", "src/b.py", ".env", ".git/x", "node_modules/y", "src/__pycache__/z"):
            (folder / file).write_text(f"{name} {file}")
        (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
        (folder / "up").symlink_to(tmp_path)
    (tmp_path / "repos" / "notes.md").write_text("notes")
    return tmp_path


def test_a_folder_that_a_glob_matches_is_one_item_in_place_of_what_is_in_it(repos: Path) -> None:
    for sources in (["repos/*"], ["repos/notes.md", "repos/one", "repos/two"], ["repos/**"]):
        items = resolve_sources(sources, cwd=repos, whole_folders=True)
        assert sorted(item.key for item in items) == ["repos/notes.md", "repos/one", "repos/two"]
    by_key = {item.key: item for item in items}
    assert by_key["repos/one"].folder == str(repos / "repos" / "one")
    assert by_key["repos/notes.md"].folder is None and by_key["repos/notes.md"].source
    # Without tools it is what it was: files.
    assert len(resolve_sources(["repos/one"], cwd=repos)) == 3
    [item] = items_from([repos / "repos" / "one"], whole_folders=True)
    assert item.folder == str(repos / "repos" / "one")
    with pytest.raises(ConfigurationError, match="no file or folder matches"):
        resolve_sources(["nothing/*"], cwd=repos, whole_folders=True)


def test_what_counts_is_what_is_copied(repos: Path, tmp_path: Path) -> None:
    folder = repos / "repos" / "one"
    assert tree_text(folder) == "a.py (8 bytes)\nsrc/b.py (12 bytes)"
    [item] = resolve_sources(["repos/one"], cwd=repos, whole_folders=True)
    assert read_text(item).text == tree_text(folder)
    root = tmp_path / "workspace"
    root.mkdir()
    with Workspace(root, "one") as workspace:
        workspace.put_tree(folder, skip=is_left_out)
        assert workspace.names() == ["a.py", "src/b.py"]


def test_a_link_to_a_folder_that_was_named_is_that_folder(repos: Path) -> None:
    folder, link = repos / "repos" / "one", repos / "link"
    link.symlink_to(folder)
    [item] = resolve_sources(["link"], cwd=repos, whole_folders=True)
    assert item.key == "link" and read_text(item).text == tree_text(folder)
    assert tree_digest(link) == tree_digest(folder)


def test_its_name_is_that_of_all_that_is_in_it(repos: Path) -> None:
    folder = repos / "repos" / "one"
    names = {tree_digest(folder), tree_digest(repos / "repos" / "two")}
    (folder / "src" / "b.py").write_text("another text")
    names.add(tree_digest(folder))
    os.chmod(folder / "a.py", 0o755)
    names.add(tree_digest(folder))
    (folder / "a.py").rename(folder / "c.py")
    names.add(tree_digest(folder))
    assert len(names) == 5
    before = tree_digest(folder)
    (folder / ".env").write_text("of nobody's business")
    (repos / "secret.txt").write_text("only pointed at")
    assert tree_digest(folder) == before


def test_what_fits_no_workspace_is_said_with_the_figure(repos: Path) -> None:
    folder = repos / "repos" / "one"
    for bounds, why in (
        (WorkspaceBounds(max_files=2), "more than 2 files"),
        (WorkspaceBounds(max_mib=1), "of at most 1 MiB"),
    ):
        (folder / "large").write_bytes(bytes(2**21))
        with pytest.raises(ItemFailed, match=f"too large for a workspace: .*{why}"):
            tree_text(folder, bounds)
    with pytest.raises(ItemFailed, match="cannot be read"):
        tree_text(repos / "gone")
    empty = repos / "empty"
    (empty / ".git").mkdir(parents=True)
    with pytest.raises(ItemFailed, match="no files"):
        tree_text(empty)
