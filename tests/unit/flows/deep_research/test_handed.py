"""Tasks that are handed out are read whole, once, in whichever order they became ready."""

from pathlib import Path

import pytest

from prefect_governor.flows.deep_research.shared.handed import Handed, Handing, Reading


def handed(number: int) -> Handed:
    task = {"id": f"t{number}", "objective": "what is\u2028there? \u00e4"}
    return Handed(number, task, {"before": "asked/of"}, f"name-{number}", "alloc/run/t")


def test_a_shard_reads_each_task_as_it_was_handed_out(tmp_path: Path) -> None:
    handing, reading = Handing(tmp_path), Reading(tmp_path)
    handing.add(handed(2))
    reading.look()
    handing.add(handed(0))
    # The rest of a line is being written.
    path = tmp_path / "tasks.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    reading.look()
    assert reading.tasks == {2: handed(2)}
    path.write_bytes(whole)
    reading.look()
    reading.look()
    assert reading.tasks == {2: handed(2), 0: handed(0)}
    handing.close()


def test_of_a_run_that_has_ended_there_is_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        Reading(tmp_path / "gone").look()
