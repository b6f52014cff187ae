"""What waits for the server: one process at a time has it, it outlives that, and it is bounded."""

import os
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.secrets.exits import learn
from prefect_governor.flows.publications import keeping
from prefect_governor.flows.publications.keeping import any_waiting, begin, hold, supersede, waiting
from prefect_governor.flows.publications.publication import Begun, End, Publication

pytestmark = pytest.mark.usefixtures("home")

ONE = Publication(
    "0190f2a4-0000-7000-8000-000000000001",
    1,
    "http://127.0.0.1:4200/api",
    artifacts=({"key": "fan-out-items", "data": "[]"},),
    end=End("COMPLETED", "Partial", "1 of 2"),
    begun=Begun("fan-out", "kept", "/results.jsonl", items=("a", "b"), more=True),
    files=("/results.jsonl",),
)


def other(number: int, **changes: object) -> Publication:
    return replace(ONE, run_id=f"{ONE.run_id[:-3]}{number:03d}", **changes)  # type: ignore[arg-type]


def test_what_is_kept_comes_back_as_it_was_and_its_owner_alone_may_read_it() -> None:
    held = begin(ONE)
    assert held is not None
    assert waiting() == [ONE]
    assert stat.S_IMODE(held.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(held.path.parent.stat().st_mode) == 0o700


def test_one_has_it_at_a_time_and_nobody_once_it_is_done() -> None:
    held = begin(ONE)
    assert held is not None
    assert begin(ONE) is None
    assert hold(ONE.name) is None
    held.let_go()
    second = hold(ONE.name)
    assert second is not None and second.publication == ONE
    assert hold(ONE.name) is None
    second.drop()
    assert hold(ONE.name) is None
    assert waiting() == [] and not any_waiting()
    assert list((state_folder() / "publications").iterdir()) == []


def test_what_a_killed_process_held_is_free() -> None:
    pid = os.fork()
    if pid == 0:
        begin(ONE)
        os._exit(9)
    os.waitpid(pid, 0)
    held = hold(ONE.name)
    assert held is not None and held.publication == ONE


def test_an_attempt_supersedes_those_of_its_run_that_died_and_no_other() -> None:
    died = replace(ONE, artifacts=())
    for each in (died, other(2, artifacts=()), replace(other(3), run_id=ONE.run_id, attempt=2)):
        held = begin(each)
        assert held is not None
        held.let_go()
    supersede(ONE.run_id, 3)
    # One is another run's, one has its report.
    assert [each.name for each in waiting()] == [other(2).name, f"{ONE.run_id}-2"]


def test_the_folder_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MOST", 3)
    now = time.time()
    for number in range(5):
        held = begin(other(number))
        assert held is not None
        os.utime(held.path, (now + number, now + number))
        held.let_go()
    assert held is not None
    assert [each.run_id[-1] for each in waiting()] == ["2", "3", "4"]
    os.utime(held.path, (0, 0))
    assert [each.run_id[-1] for each in waiting()] == ["2", "3"]


def test_what_cannot_be_read_is_passed_over(home: Path) -> None:
    held = begin(ONE)
    assert held is not None
    for number, text in enumerate(("", "{}", "[]", '{"run_id": 1', '"x"')):
        held.path.with_name(f"{number}.json").write_text(text)
    assert waiting() == [ONE]


def test_no_secret_is_kept() -> None:
    learn("a-secret-of-somebody-s-own")
    held = begin(replace(ONE, end=End("FAILED", "Failed", "because a-secret-of-somebody-s-own")))
    assert held is not None
    assert "somebody-s-own" not in held.path.read_text()


def test_a_disk_that_takes_nothing_costs_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(keeping, "write_whole", full)
    assert begin(ONE) is not None
    assert "No space left" in caplog.text


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_that_outlives_its_parent_keeps_no_report_back() -> None:
    held = begin(ONE)
    assert held is not None
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    try:
        # As it goes where the parent dies: what the child has of it is all there is.
        held.let_go()
        deadline = time.monotonic() + 10
        while (second := hold(ONE.name)) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert second is not None
    finally:
        os.close(write)
        os.close(read)
        os.waitpid(child, 0)
