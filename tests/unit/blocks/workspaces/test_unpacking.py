"""An archive out of a sandbox: what would harm is refused and named, what is right is kept."""

import io
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefect_governor.blocks.workspaces.bounds import MIB, WorkspaceBounds
from prefect_governor.blocks.workspaces.packing import pack
from prefect_governor.blocks.workspaces.unpacking import Unpacked, unpack_into
from tests.unit.blocks.workspaces.hostile import BLOCK, END, archive, folder, member

SMALL = WorkspaceBounds(max_mib=1, max_files=20, max_depth=4)


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("a secret")
    (tmp_path / "workspace").mkdir()
    return tmp_path / "workspace"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def outside(inside: Path) -> dict[str, bytes]:
    """What stands beside the workspace; all of it, so that a file that came out shows."""
    return {
        name: each
        for name, each in contents(inside.parent).items()
        if not name.startswith("workspace/")
    }


HOSTILE: dict[str, tuple[bytes, str]] = {
    "a parent": (member("../out", b"x"), "leads out"),
    "a parent on the way": (member("a/../../out", b"x"), "leads out"),
    "a parent in a pax name": (member("a", b"x", pax={"path": "../out"}), "leads out"),
    "a parent in a long name": (member("a/" * 60 + "../" * 61 + "out", b"x"), "leads out"),
    "an absolute name": (member("/tmp/governor-out", b"x"), "absolute"),
    "a symbolic link": (member("l", kind=tarfile.SYMTYPE, leads_to="/etc"), "symbolic link"),
    "a link to a parent": (member("l", kind=tarfile.SYMTYPE, leads_to=".."), "symbolic link"),
    "a hard link": (member("l", kind=tarfile.LNKTYPE, leads_to="../secret"), "hard link"),
    "a hard link inside": (member("l", kind=tarfile.LNKTYPE, leads_to="right"), "hard link"),
    "a character device": (member("d", kind=tarfile.CHRTYPE), "device"),
    "a block device": (member("d", kind=tarfile.BLKTYPE), "device"),
    "a pipe": (member("p", kind=tarfile.FIFOTYPE), "pipe"),
    "an unknown kind": (member("q", b"data", kind=b"Q"), "neither"),
    "a contiguous file": (member("c", b"data", kind=tarfile.CONTTYPE), "neither"),
    "a sparse file": (member("s", b"x", pax={"GNU.sparse.realsize": "1" + "0" * 12}), "sparse"),
    "a file that is too large": (member("big", bytes(2 * MIB)), "of at most 1 MiB"),
    "a second one of a name": (member("right", b"again"), "a second one"),
    "another case": (member("RIGHT", b"x"), "nothing but case"),
    "another composition": (member("e\u0301", b"x"), "nothing but case"),
    "a file as a folder": (member("right/in", b"x"), "a file has this name"),
    "a folder as a file": (member("sub", b"x"), "a folder has this name"),
    "a name that is too long": (member("n" * 300, b"x"), "longer"),
    "a long name of megabytes": (member("n" * 100_000, b"x"), "more than 64 KiB"),
    "a name that is too deep": (member("a/b/c/d/e", b"x"), "deeper than 4"),
    "a control character": (member("a\x1b[2Jb", b"x"), "control"),
    "bytes that are no text": (member("a\udcff", b"x"), "control"),
    "a name without anything": (member("", b"x"), "without a name"),
}


@pytest.mark.parametrize("case", sorted(HOSTILE))
def test_what_would_harm_is_refused_and_named_and_all_else_is_kept(inside: Path, case: str) -> None:
    hostile, why = HOSTILE[case]
    before = outside(inside)
    found = unpack_into(
        inside,
        archive(
            member("right", b"1"), member("é", b"2"), member("sub/in", b"3"),
            hostile, member("after", b"4"),
        ),
        SMALL,
    )  # fmt: skip
    assert found.whole
    assert found.written == ("right", "é", "sub/in", "after")
    (refused,) = found.refused
    assert why in refused.reason and refused.name.isprintable()
    assert contents(inside) == {"right": b"1", "é": b"2", "sub/in": b"3", "after": b"4"}
    assert outside(inside) == before
    assert not os.path.lexists("/tmp/governor-out")


def test_a_link_and_then_a_file_through_it_stays_inside(inside: Path) -> None:
    found = unpack_into(
        inside,
        archive(
            member("l", kind=tarfile.SYMTYPE, leads_to=".."),
            member("l/secret", b"overwritten"),
            member("m", kind=tarfile.LNKTYPE, leads_to="../secret"),
            member("m", b"overwritten"),
        ),
        SMALL,
    )
    assert found.written == ("l/secret", "m")
    assert (inside.parent / "secret").read_text() == "a secret"


def test_a_link_that_stands_in_the_folder_is_neither_followed_nor_kept(inside: Path) -> None:
    (inside / "l").symlink_to("..")
    (inside / "f").symlink_to("../secret")
    found = unpack_into(inside, archive(member("l/secret", b"no"), member("f", b"new")), SMALL)
    assert found.written == ("f",)
    assert [(each.name, each.reason) for each in found.refused] == [("l", "a link, or no folder")]
    assert (inside.parent / "secret").read_text() == "a secret"
    assert (inside / "f").read_bytes() == b"new" and not (inside / "f").is_symlink()


def test_of_a_mode_only_whether_it_is_a_program_is_kept(inside: Path) -> None:
    modes = {"setuid": 0o4755, "setgid": 0o2755, "sticky": 0o1666, "all": 0o777, "none": 0}
    unpack_into(
        inside,
        archive(folder("sub"), *(member(name, b"x", mode=mode) for name, mode in modes.items())),
        SMALL,
    )
    found = {each.name: stat.S_IMODE(each.stat().st_mode) for each in inside.iterdir()}
    assert found == {
        "sub": 0o700, "setuid": 0o700, "setgid": 0o700, "sticky": 0o600, "all": 0o700, "none": 0o600
    }  # fmt: skip


def flood(header: bytes, chunk: bytes) -> Iterator[bytes]:
    yield header
    while True:
        yield chunk


@pytest.mark.parametrize(
    "stream",
    [
        flood(member("zeros", size=2**40), bytes(64 * 1024)),
        flood(b"", member("l", kind=tarfile.SYMTYPE, leads_to="a")),
        flood(END, bytes(64 * 1024)),
        flood(member("x", pax={"comment": "a" * 60_000}), member("x", pax={"b": "c" * 60_000})),
    ],
    ids=["a file without an end", "links without an end", "zeros after it", "headers"],
)
def test_an_archive_without_an_end_is_read_to_a_bound(
    inside: Path, stream: Iterator[bytes]
) -> None:
    found = unpack_into(inside, stream, SMALL)
    assert not found.whole
    assert any("longer than what the workspace may hold" in each.reason for each in found.refused)
    assert len(found.refused) <= 102
    assert sum(map(len, contents(inside).values())) <= SMALL.max_bytes


@pytest.mark.parametrize(
    "broken",
    [
        member("half", size=1000) + b"x" * 100,
        member("right2", b"x")[:-300],
        b"PK\x03\x04 no tar at all" * 100,
        b"",
        member("negative", size=-512) + END,
        member("a", b"x", pax={"size": "1e9"}) + END,
        tarfile.TarInfo("x").tobuf()[:-1] + b"\x01" + END,
        bytes(10),
    ],
    ids=[
        "a file cut short", "a block cut short", "a zip", "no end", "a negative size",
        "a size that is no number", "a wrong checksum", "less than a block",
    ],
)  # fmt: skip
def test_a_broken_archive_is_named_and_what_came_before_is_kept(
    inside: Path, broken: bytes
) -> None:
    (inside / "there").write_text("before")
    found = unpack_into(inside, io.BytesIO(member("right", b"1") + broken), SMALL, exact=True)
    assert (found.written, found.whole) == (("right",), False)
    assert [each.name for each in found.refused] == ["the archive"]
    # Whoever has not read all of it cannot tell what it does not have.
    assert contents(inside) == {"right": b"1", "there": b"before"}


def test_a_size_that_lies_ends_with_the_archive(inside: Path) -> None:
    """It is smaller than what follows, or larger: data are no headers, headers no data."""
    hidden = member("../out", b"x")
    found = unpack_into(inside, archive(member("a", hidden, size=1)), SMALL)
    assert found.written == ("a",)
    assert (inside / "a").read_bytes() == hidden[:1]
    assert set(contents(inside)) == {"a"}
    assert not (inside.parent / "out").exists()


def test_the_bounds_hold_for_many_small_files_and_for_what_was_there(inside: Path) -> None:
    (inside / "there").write_bytes(bytes(900 * 1024))
    found = unpack_into(
        inside,
        archive(member("large", bytes(200 * 1024)), *(member(f"{at}", b"x") for at in range(40))),
        SMALL,
    )
    assert len(found.written) == 19
    assert "1.1 MiB of at most 1 MiB" in found.refused[0].reason
    assert "more than 20 files" in found.refused[1].reason
    again = unpack_into(inside, archive(member("there", bytes(100 * 1024))), SMALL)
    assert again.written == ("there",)
    assert unpack_into(inside, archive(member("0", bytes(800 * 1024))), SMALL).written == ("0",)


def test_an_exact_archive_removes_what_it_does_not_have(inside: Path) -> None:
    """A program has renamed, removed, and made a folder of a file."""
    for name in ("same", "README", "gone", "was-a-file"):
        (inside / name).write_text(name)
    for name in ("was-a-folder", "gone-too", "DIR", "kept"):
        (inside / name / "deep").mkdir(parents=True)
        (inside / name / "deep" / "in").write_text("x")
    (inside / "link").symlink_to("../secret")
    members = (
        folder("./"), member("./same", b"new"), member("readme", b"renamed"),
        member("was-a-file/now", b"1"), member("was-a-folder", b"2"), member("dir/x", b"3"),
        folder("kept"), folder("kept/deep"), member("kept/deep/in", b"x"), member("../out", b"4"),
    )  # fmt: skip
    found = unpack_into(inside, archive(*members), SMALL, exact=True)
    assert [each.name for each in found.refused] == ["../out"]
    assert contents(inside) == {
        "same": b"new", "readme": b"renamed", "was-a-file/now": b"1", "was-a-folder": b"2",
        "dir/x": b"3", "kept/deep/in": b"x",
    }  # fmt: skip
    assert sorted(os.listdir(inside)) == [
        "dir", "kept", "link", "readme", "same", "was-a-file", "was-a-folder"
    ]  # fmt: skip
    assert (inside.parent / "secret").exists()


def test_what_no_archive_of_a_persons_folder_has_is_not_taken_from_them(inside: Path) -> None:
    """Links, files with several names, refused names, two names that differ in case alone: a
    program that did nothing to the folder leaves all of it."""
    for name in ("README", "readme", "file", "back\\slash"):
        (inside / name).write_text(name)
    (inside / "twin").hardlink_to(inside / "file")
    for name in ("linked", "linked-too", "gone"):
        (inside / name).mkdir()
    for link in ("link", "linked/link", "linked-too/link"):
        (inside / link).symlink_to("../secret")
    (inside / "linked-too" / "own").write_text("removed by the program")
    before = {each.relative_to(inside).as_posix() for each in inside.rglob("*")}
    archived = b"".join(pack(inside, SMALL))
    assert not unpack_into(inside, io.BytesIO(archived), SMALL, exact=True).refused
    assert {each.relative_to(inside).as_posix() for each in inside.rglob("*")} == before
    kept = archive(member("README", b"1"), member("readme", b"2"))
    assert unpack_into(inside, kept, SMALL, exact=True).written == ("README", "readme")
    assert contents(inside) == {
        "README": b"1", "readme": b"2", "file": b"file", "twin": b"file",
        "back\\slash": b"back\\slash",
    }  # fmt: skip
    assert (inside / "linked" / "link").is_symlink() and (
        inside / "linked-too" / "link"
    ).is_symlink()
    assert not (inside / "gone").exists()


def test_what_pack_makes_is_unpacked_as_it_was(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    (one / "deep" / ("d" * 100) / ("e" * 100)).mkdir(parents=True)
    (one / "empty").mkdir()
    (one / "deep" / ("d" * 100) / ("e" * 100) / "文件").write_bytes(bytes(700_000))
    (one / "run.sh").write_text("#!/bin/sh\n")
    (one / "run.sh").chmod(0o6777)
    (one / "nothing").touch()
    (one / "link").symlink_to("/etc/passwd")
    os.mkfifo(one / "pipe")
    other.mkdir()
    found = unpack_into(other, pack(one))
    assert found == Unpacked((f"deep/{'d' * 100}/{'e' * 100}/文件", "nothing", "run.sh"), (), True)
    assert contents(one) == contents(other)
    assert (other / "empty").is_dir() and os.access(other / "run.sh", os.X_OK)
    assert stat.S_IMODE((other / "run.sh").stat().st_mode) == 0o700
    with tarfile.open(fileobj=io.BytesIO(b"".join(pack(other)))) as read:
        assert [each.name for each in read if each.isfile()] == list(found.written)


def test_what_gnu_tar_makes_is_unpacked(tmp_path: Path) -> None:
    """With names of its own headers, in both of its formats."""
    import subprocess

    one = tmp_path / "one"
    (one / ("d" * 150)).mkdir(parents=True)
    (one / ("d" * 150) / ("f" * 150)).write_text("long")
    (one / "a").write_text("short")
    os.link(one / "a", one / "b")
    for format in ("gnu", "pax", "ustar"):
        other = tmp_path / format
        other.mkdir()
        with subprocess.Popen(
            ["tar", f"--format={format}", "-C", str(one), "-cf", "-", "--sort=name", "."],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        ) as program:  # fmt: skip
            assert program.stdout is not None
            found = unpack_into(other, program.stdout)
        long = (f"{'d' * 150}/{'f' * 150}",) if format != "ustar" else ()
        assert found.written == ("a", *long)
        assert [(each.name, each.reason) for each in found.refused] == [("./b", "a hard link")]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_change_of_a_byte_leads_out_or_beyond_the_bounds(
    inside: Path, data: st.DataObject
) -> None:
    whole = bytearray(
        b"".join(
            [
                member("a/b", b"1" * 600), folder("c"), member("n" * 120, b"2"),
                member("d", b"3", pax={"path": "long/" + "e" * 110, "size": "1"}), END,
            ]
        )
    )  # fmt: skip
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
        if data.draw(st.booleans()):
            _mend_checksum(whole, at - at % BLOCK)
    unpack_into(inside, io.BytesIO(bytes(whole)), SMALL, exact=True)
    assert set(outside(inside)) == {"secret"}
    assert sum(map(len, contents(inside).values())) <= SMALL.max_bytes
    assert not [each for each in inside.rglob("*") if each.is_symlink()]


def _mend_checksum(whole: bytearray, block: int) -> None:
    header = whole[block : block + BLOCK]
    header[148:156] = b" " * 8
    whole[block + 148 : block + 156] = b"%06o\0 " % sum(header)
