"""A workspace's names lead nowhere else, whatever stands there and whoever changes it meanwhile."""

import fcntl
import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.folder import workspace_bounds
from prefect_governor.blocks.workspaces.bounds import MIB, WorkspaceBounds, WorkspaceFull
from prefect_governor.blocks.workspaces.collecting import sweep_partial
from prefect_governor.blocks.workspaces.names import NameRefused
from prefect_governor.blocks.workspaces.removal import remove_tree
from prefect_governor.blocks.workspaces.tree import FOLDER
from prefect_governor.blocks.workspaces.workspace import Workspace

SMALL = WorkspaceBounds(max_mib=1, max_files=20, max_depth=4)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("a secret")
    (tmp_path / "root").mkdir()
    with Workspace(tmp_path / "root", "item", SMALL) as found:
        yield found


def test_what_is_put_is_read_and_named_in_order(workspace: Workspace) -> None:
    workspace.put_file("b/ü.txt", b"1")
    workspace.put_file("a", b"2")
    workspace.put_file("./b//ü.txt", b"3")
    assert workspace.names() == ["a", "b/ü.txt"]
    assert (workspace.read("b/ü.txt"), workspace.read("a")) == (b"3", b"2")
    assert (workspace.root / "a").stat().st_mode & 0o777 == 0o600


def _link(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "file")


def _folder_link(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def _hard_link(path: Path, outside: Path) -> None:
    os.link(outside / "file", path)


def _pipe(path: Path, outside: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path, outside: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (_link, "a symbolic link"),
        (_folder_link, "a symbolic link"),
        (_hard_link, "a hard link"),
        (_pipe, "a named pipe"),
        (_socket, "a socket"),
    ],
    ids=["link", "link to a folder", "hard link", "pipe", "socket"],
)
def test_what_is_no_file_is_neither_read_nor_packed_nor_collected_nor_written_through(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path, Path], None], why: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(workspace.root)  # A socket's name is short.
    make(Path("x"), tmp_path / "outside")
    with pytest.raises(NameRefused, match=why):
        workspace.read("x")
    assert workspace.names() == []
    assert [(each.name, each.reason) for each in workspace.refused()] == [("x", why)]
    assert b"a secret" not in b"".join(workspace.pack())
    assert workspace.collect(tmp_path / "files") == ()
    workspace.put_file("x", b"mine")
    assert (tmp_path / "outside" / "file").read_text() == "a secret"
    assert workspace.read("x") == b"mine"


def test_a_link_on_the_way_is_not_followed(workspace: Workspace, tmp_path: Path) -> None:
    (workspace.root / "l").symlink_to(tmp_path / "outside")
    for use in (lambda: workspace.read("l/file"), lambda: workspace.put_file("l/file", b"x")):
        with pytest.raises(NameRefused, match="l: a link, or no folder"):
            use()
    assert (tmp_path / "outside" / "file").read_text() == "a secret"


def test_names_that_differ_in_case_alone_are_not_both_taken(workspace: Workspace) -> None:
    workspace.put_file("Straße/A", b"1")
    for name in ("Straße/a", "STRASSE/b", "straße/A"):
        with pytest.raises(NameRefused, match="nothing but case"):
            workspace.put_file(name, b"2")
    assert workspace.names() == ["Straße/A"]


def test_what_does_not_fit_is_refused_with_the_numbers(workspace: Workspace) -> None:
    workspace.put_file("a", bytes(MIB - 10))
    with pytest.raises(WorkspaceFull, match=r"1\.0 MiB of at most 1 MiB.*max_mib"):
        workspace.put_file("b", bytes(11))
    workspace.put_file("a", b"replaced")
    workspace.put_file("b", bytes(11))
    for at in range(18):
        workspace.put_file(f"f{at}", b"")
    with pytest.raises(WorkspaceFull, match=r"more than 20 files.*max_files"):
        workspace.put_file("f18", b"")
    (workspace.root / "one-more").touch()
    with pytest.raises(WorkspaceFull, match="more than 20 files"):
        workspace.names()
    with pytest.raises(NameRefused, match="deeper than 4"):
        workspace.put_file("a/b/c/d/e", b"")


def test_a_file_that_grew_beyond_the_bounds_is_not_read_into_memory(workspace: Workspace) -> None:
    with (workspace.root / "sparse").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(WorkspaceFull):
        workspace.read("sparse")
    with pytest.raises(WorkspaceFull):
        list(workspace.pack())


def test_a_users_folder_is_copied_without_what_its_links_lead_to(
    workspace: Workspace, tmp_path: Path
) -> None:
    source = tmp_path / "repo"
    (source / "src").mkdir(parents=True)
    (source / "src" / "main.py").write_text("1")
    (source / "run").write_text("2")
    (source / "run").chmod(0o755)
    os.link(source / "run", source / "same")
    (source / "key").symlink_to(tmp_path / "outside" / "file")
    (source / "up").symlink_to("..")
    refused = workspace.put_tree(source, under="in")
    assert [str(each) for each in refused] == ["key: a symbolic link", "up: a symbolic link"]
    assert workspace.names() == ["in/run", "in/same", "in/src/main.py"]
    assert os.access(workspace.root / "in" / "run", os.X_OK)
    workspace.put_tree(tmp_path / "outside" / "file")
    assert workspace.read("file") == b"a secret"
    with pytest.raises(NameRefused, match="leads out"):
        workspace.put_tree(source, under="../x")
    (source / "big").write_bytes(bytes(MIB))
    with pytest.raises(WorkspaceFull):
        workspace.put_tree(source, under="again")


def test_outputs_are_what_is_new_or_changed(workspace: Workspace, tmp_path: Path) -> None:
    into = tmp_path / "files" / "item"
    workspace.put_file("input", b"1")
    workspace.put_file("changed", b"2")
    assert workspace.collect(into) == () and not into.exists()
    (workspace.root / "changed").write_bytes(b"22")
    (workspace.root / "sub").mkdir()
    (workspace.root / "sub" / "new.csv").write_bytes(b"a,b\n")
    # Written again as it was, as an archive out of a sandbox does.
    (workspace.root / "input").unlink()
    (workspace.root / "input").write_bytes(b"1")
    found = workspace.collect(into)
    assert [(each.name, each.bytes, each.sha256) for each in found] == [
        ("changed", 2, hashlib.sha256(b"22").hexdigest()),
        ("sub/new.csv", 4, hashlib.sha256(b"a,b\n").hexdigest()),
    ]
    assert (into / "sub" / "new.csv").read_bytes() == b"a,b\n"
    assert (into / "changed").stat().st_mode & 0o777 == 0o600
    (workspace.root / "sub" / "new.csv").unlink()
    assert [each.name for each in workspace.collect(into)] == ["changed"]
    assert sorted(os.listdir(into)) == ["changed"]
    assert os.listdir(into.parent) == ["item"]


def test_a_folder_that_was_removed_is_named_and_harms_nothing(workspace: Workspace) -> None:
    workspace.put_file("a", b"1")
    os.unlink(workspace.root / "a")
    os.rmdir(workspace.root)
    with pytest.raises(FileNotFoundError):
        workspace.put_file("b", b"2")
    with pytest.raises(FileNotFoundError):
        workspace.read("a")
    assert workspace.names() == []
    assert len(b"".join(workspace.pack())) == 1024


# Exchanges two names for ever, each time in one step: RENAME_EXCHANGE of Linux's renameat2.
SWAPPING = """
import ctypes, sys
swap = ctypes.CDLL(None, use_errno=True).renameat2
pairs = [(each, each + ".link") for each in sys.argv[1:]]
while True:
    for one, other in pairs:
        assert swap(-100, one.encode(), -100, other.encode(), 2) == 0, ctypes.get_errno()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges two names in one step")
def test_a_link_put_in_the_place_of_a_folder_or_a_file_is_never_followed(
    workspace: Workspace, tmp_path: Path
) -> None:
    """10,000 times, while another process swaps them; code that checks a path and then opens it is
    led out by the same swaps."""
    outside, root = tmp_path / "outside", workspace.root
    (root / "folder").mkdir()
    (root / "folder" / "file").write_text("inside")
    (root / "file").write_text("inside")
    (root / "folder.link").symlink_to(outside)
    (root / "file.link").symlink_to(outside / "file")

    def check_then_open(name: str) -> str:
        if not (root / name).resolve().is_relative_to(root.resolve()):
            return "refused"
        return (root / name).read_text()

    counts = dict.fromkeys(("read", "written", "refused", "control led out"), 0)
    program = [sys.executable, "-c", SWAPPING, str(root / "folder"), str(root / "file")]
    with subprocess.Popen(program) as swapping:
        try:
            for at in range(10_000):
                name = ("folder/file", "file")[at % 2]
                try:
                    if at % 8 == 0:
                        workspace.put_file(name, b"inside")
                        counts["written"] += 1
                    else:
                        assert workspace.read(name) == b"inside"
                        counts["read"] += 1
                except NameRefused:
                    counts["refused"] += 1
                with suppress(OSError):
                    counts["control led out"] += check_then_open(name) == "a secret"
            assert swapping.poll() is None
        finally:
            swapping.kill()
    print(counts)
    assert (outside / "file").read_text() == "a secret" and os.listdir(outside) == ["file"]
    assert all(counts.values()), counts


def test_a_tree_deeper_than_a_path_or_the_stack_is_removed(tmp_path: Path) -> None:
    """As are folders without permissions, and links, whose targets stay."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").touch()
    top = tmp_path / "top"
    top.mkdir()
    inner = os.open(top, FOLDER)
    for at in range(1_200):
        os.mkdir("deep", dir_fd=inner)
        if at % 100 == 0:
            os.symlink(tmp_path / "outside", "l", dir_fd=inner)
            os.mkdir("full", dir_fd=inner)
            os.close(os.open("full/x", os.O_CREAT | os.O_WRONLY, dir_fd=inner))
            os.chmod("full", 0, dir_fd=inner)
        deeper = os.open("deep", FOLDER, dir_fd=inner)
        os.close(inner)
        inner = deeper
    os.close(inner)
    (top / "closed" / "in").mkdir(parents=True)
    (top / "closed").chmod(0)
    parent = os.open(tmp_path, FOLDER)
    remove_tree(parent, "top")
    remove_tree(parent, "top")
    os.close(parent)
    assert os.listdir(tmp_path) == ["outside"] and os.listdir(tmp_path / "outside") == ["file"]


COLLECTING = """
import os, signal, sys
from pathlib import Path
from prefect_governor.blocks.workspaces import collecting
from prefect_governor.blocks.workspaces.workspace import Workspace
collecting._drained = lambda data: os.kill(os.getpid(), signal.SIGKILL)
root, into = map(Path, sys.argv[1:])
with Workspace(root, "item") as workspace:
    workspace.put_file("a", b"given")
    (root / "0").write_text("made")
    workspace.collect(into)
"""


def test_what_a_killed_process_had_half_copied_is_swept_and_what_another_copies_is_not(
    workspace: Workspace, tmp_path: Path
) -> None:
    into = tmp_path / "files" / "item"
    killed = [sys.executable, "-c", COLLECTING, str(workspace.root), str(into)]
    assert subprocess.run(killed, check=False).returncode == -signal.SIGKILL
    [left] = into.parent.iterdir()
    assert left.name.startswith(".partial-") and (left / "0").read_text() == "made"
    under_way = into.parent / ".partial-of-another"
    under_way.mkdir()
    held = os.open(under_way, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert sweep_partial(into.parent) == 1
        assert [*into.parent.iterdir()] == [under_way]
    finally:
        os.close(held)
    assert (sweep_partial(into.parent), sweep_partial(tmp_path / "none")) == (1, 0)
    assert [each.name for each in workspace.collect(into)] and [*into.parent.iterdir()] == [into]


def test_a_folder_that_does_not_fit_is_told_by_what_a_person_sets(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "a").write_bytes(b"x" * (MIB + 1))
    for bounds, said in (
        (WorkspaceBounds(max_mib=1), r"\(max_mib\)"),
        (workspace_bounds(SandboxBounds(workspace_mib=1)), r"\(Sandbox\.workspace_mib\)"),
    ):
        (root := tmp_path / said.strip("\\()")).mkdir()
        with Workspace(root, "item", bounds) as made, pytest.raises(WorkspaceFull, match=said):
            made.put_tree(tmp_path / "big")
