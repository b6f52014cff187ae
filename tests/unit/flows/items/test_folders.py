"""Nothing that a folder or glob holds is left out without a word: an item, or named with why."""

import os
import socket
from pathlib import Path

import pytest

from prefect_governor.flows.items import folders
from prefect_governor.flows.items.reading import Reading
from prefect_governor.flows.items.skipped import Skipped
from prefect_governor.flows.items.sources import resolve_sources


def walked(
    source: str, cwd: Path, reading: Reading | None = None
) -> tuple[list[str], dict[str, str]]:
    skipped: list[Skipped] = []
    items = resolve_sources([source], cwd=cwd, skipped=skipped, reading=reading or Reading())
    return [item.key for item in items], {each.key: each.reason for each in skipped}


def made(folder: Path, *names: str, text: str = "text\n") -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


HIDDEN, IN_HIDDEN = "hidden: its name begins with a dot", "in a hidden folder"


def test_every_file_is_an_item_or_named_with_its_reason(tmp_path: Path) -> None:
    made(
        tmp_path, "a.md", "sub/b.txt", ".env", ".cache/x/y.txt", "node_modules/p/i.js", ".git/HEAD"
    )
    (tmp_path / "empty.txt").touch()
    (tmp_path / "pic.dat").write_bytes(b"\x89PNG\0\0")
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("text")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        before = os.getcwd()
        os.chdir(tmp_path)
        try:
            listener.bind("sock")
        finally:
            os.chdir(before)
        keys, skipped = walked(".", tmp_path)
    assert keys == ["a.md", "sub/b.txt"]
    assert skipped == {
        ".env": HIDDEN,
        ".cache/x/y.txt": IN_HIDDEN,
        ".git/HEAD": IN_HIDDEN,
        "node_modules/p/i.js": "in node_modules, which holds nothing that people wrote",
        "empty.txt": "empty",
        "pic.dat": "binary, and nothing here reads it",
        "caf\\xe9.txt": "its name is not UTF-8: rename it",
        "pipe": "not a regular file (a FIFO)",
        "sock": "not a regular file (a socket)",
        "self": "a link that leads nowhere (Too many levels of symbolic links)",
        "gone": "a link that leads nowhere (No such file or directory)",
        "loop": "a link to a folder",
    }
    held = [name for _, _, names in os.walk(tmp_path) for name in names]
    # The link to a folder is no file.
    assert len(keys) + len(skipped) == len(held) + 1


def test_a_folder_that_is_left_out_and_is_large_is_named_with_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "MOST_NAMED", 2)
    made(tmp_path, "a.md", *(f"node_modules/{at}.js" for at in range(5)))
    _, skipped = walked(".", tmp_path)
    why = "in node_modules, which holds nothing that people wrote"
    assert skipped == {
        "node_modules/0.js": why,
        "node_modules/1.js": why,
        "node_modules": f"3 more files in it: {why}",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_an_item_and_a_folder_is_named(tmp_path: Path) -> None:
    made(tmp_path, "a.md", "shut.md", "closed/x.md")
    (tmp_path / "shut.md").chmod(0)
    (tmp_path / "closed").chmod(0)
    keys, skipped = walked(".", tmp_path)
    assert keys == ["a.md", "shut.md"]
    assert skipped == {"closed": "a folder that cannot be listed: Permission denied"}


def test_what_gitignore_names_is_left_out_by_name_at_any_depth(tmp_path: Path) -> None:
    made(
        tmp_path, "a.md", "x.log", "build/o.txt", "src/keep.log", "src/y.log", "src/gen/z.md",
        "src/deep/gen/w.md", "docs/build/p.md",
    )  # fmt: skip
    (tmp_path / ".gitignore").write_text("*.log\n/build/\n# a comment\n[\n")
    (tmp_path / "src/.gitignore").write_text("!keep.log\n/gen\n")
    keys, skipped = walked(".", tmp_path)
    assert keys == ["a.md", "docs/build/p.md", "src/deep/gen/w.md", "src/keep.log"]
    by, below = (f"named by {name} (--no-gitignore reads it)" for name in
                 (".gitignore", "src/.gitignore"))  # fmt: skip
    assert skipped == {
        ".gitignore": HIDDEN,
        "src/.gitignore": HIDDEN,
        "x.log": by,
        "build/o.txt": by,
        "src/y.log": by,
        "src/gen/z.md": below,
    }
    keys, skipped = walked(".", tmp_path, Reading(gitignore=False))
    assert len(keys) == 8
    assert set(skipped) == {".gitignore", "src/.gitignore"}


def test_the_gitignore_above_a_folder_holds_within_its_repository_alone(tmp_path: Path) -> None:
    made(tmp_path, "repo/src/a.md", "repo/src/b.log", "repo/build/c.md", "repo/.git/HEAD")
    (tmp_path / ".gitignore").write_text("*.md\n")
    (tmp_path / "repo/.gitignore").write_text("*.log\nbuild\n")
    keys, skipped = walked("repo/src", tmp_path)
    assert keys == ["repo/src/a.md"]
    assert skipped == {"repo/src/b.log": "named by repo/.gitignore (--no-gitignore reads it)"}
    # Whoever names it means it.
    assert walked("repo/build", tmp_path)[0] == ["repo/build/c.md"]


def test_what_a_glob_matches_is_named_where_it_is_left_out(tmp_path: Path) -> None:
    made(tmp_path, "a.txt", "sub/b.txt", "node_modules/c.txt", ".hidden/d.txt", "e.md")
    (tmp_path / "sub/empty.txt").touch()
    keys, skipped = walked("**/*.txt", tmp_path)
    assert keys == ["a.txt", "sub/b.txt"]
    assert skipped == {
        "node_modules/c.txt": "in node_modules, which holds nothing that people wrote",
        "sub/empty.txt": "empty",
    }


def test_wide_text_is_no_binary_where_its_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("あ".encode("utf-16-le") * 20 + b"\0\x01")
    (tmp_path / "b.txt").write_text("b")
    assert walked(".", tmp_path)[1] == {"a.txt": "binary, and nothing here reads it"}
    assert walked(".", tmp_path, Reading(encoding="utf-16-le"))[1] == {}


def test_the_rules_of_the_folder_that_one_stands_in_are_not_for_another(tmp_path: Path) -> None:
    made(tmp_path, "repo/.git/HEAD", "repo/other/a.log", "repo/here/b.md")
    (tmp_path / "repo/here/.gitignore").write_text("*.log\n")
    assert walked("../other", tmp_path / "repo/here")[0] == [str(tmp_path / "repo/other/a.log")]


def test_a_fifo_that_is_called_gitignore_holds_nobody_up(tmp_path: Path) -> None:
    made(tmp_path, "a.txt")
    os.mkfifo(tmp_path / ".gitignore")
    assert walked(".", tmp_path)[0] == ["a.txt"]
