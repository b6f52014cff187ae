"""The doctor removes what the dead left, and leaves the living theirs."""

from pathlib import Path

from prefect_governor.blocks.workspaces.held import HeldWorkspace
from prefect_governor.blocks.workspaces.places import workspaces_folder
from prefect_governor.flows.cli.doctor.machine import home as examine_home


def test_doctor_removes_the_workspaces_of_the_dead_alone(home: Path) -> None:
    with HeldWorkspace("item", whose=lambda: ("run", None)) as folder:
        # Nobody holds a lock on it.
        (workspaces_folder() / "other" / "left" / "files").mkdir(parents=True)
        found = [each.text for each in examine_home() if "processes that died" in each.text]
        assert found == ["workspaces of processes that died were removed: 1"]
        assert folder.is_dir() and not (workspaces_folder() / "other").exists()
        assert not [each for each in examine_home() if "processes that died" in each.text]
