"""What comes back of a sandbox, and what is said of a program by it."""

import io
from dataclasses import replace
from pathlib import Path

from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.folder import bring_back, with_files
from prefect_governor.blocks.sandboxes.results import SandboxResult
from tests.unit.blocks.workspaces.hostile import archive, member

BOUNDS = SandboxBounds(workspace_mib=1, workspace_files=16)
ENDED = SandboxResult(exit=0, stdout="", stderr="")


def test_an_archive_that_was_cut_is_no_workspace_that_was_full(tmp_path: Path) -> None:
    """As of an engine that stops, or a packing that takes too long."""
    whole = b"".join(archive(member("a", b"1"), member("b", bytes(2048))))
    brought = bring_back(tmp_path, io.BytesIO(whole[:2000]), BOUNDS)
    told = with_files(ENDED, brought, BOUNDS)
    assert (told.bound, told.reason, told.files) == (None, None, ("a",))
    assert told.refused == ("the archive: it ends before its end",)


def test_more_than_the_folder_may_hold_is_a_workspace_that_was_full(tmp_path: Path) -> None:
    holes = [*archive(*(member(f"{at}", bytes(1024 * 1024)) for at in range(8)))]
    told = with_files(ENDED, bring_back(tmp_path, holes, BOUNDS), BOUNDS)
    assert (told.bound, told.reason) == ("workspace", "workspace full at 1 MiB")
    # What ended the program is said rather than what came of that.
    before = replace(ENDED, bound="time", reason="still running after 1 s")
    assert with_files(before, bring_back(tmp_path, holes, BOUNDS), BOUNDS).bound == "time"
