"""A run is gone on with by one process, under its own name, and what changed is said."""

import multiprocessing
from pathlib import Path
from uuid import UUID

import pytest

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.run.resuming import PastRun, find_run, held


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))


def past(run_id: str, command: str = "fan-out", **parameters: object) -> PastRun:
    run = PastRun(run_id, run_id, command, parameters)
    run.save()
    return run


def test_a_run_is_found_by_its_beginning_or_as_the_last() -> None:
    past("aa11", ask="one")
    past("ab22", ask="two")
    past("cc33", "research")
    assert find_run("ab", command="fan-out").parameters == {"ask": "two"}
    assert find_run("last", command="fan-out").run_id == "ab22"
    assert find_run("last", command="research").run_id == "cc33"


@pytest.mark.parametrize(
    ("run", "why"), [("a", "2 runs"), ("zz", "no run"), ("", "runs"), ("cc33", "`research`")]
)
def test_what_is_no_run_to_go_on_with_is_said(run: str, why: str) -> None:
    past("aa11")
    past("ab22")
    past("cc33", "research")
    with pytest.raises(ConfigurationError, match=why):
        find_run(run, command="fan-out")


def test_a_run_that_is_not_this_machine_s_is_asked_for_by_its_whole_id_alone() -> None:
    past("aa11")
    asked: list[UUID] = []

    def elsewhere(run_id: UUID) -> PastRun | None:
        asked.append(run_id)
        return PastRun(str(run_id), "kept", "fan-out", {}) if run_id.int else None

    with pytest.raises(ConfigurationError, match="no run"):
        find_run("zz", command="fan-out", elsewhere=elsewhere)
    assert asked == []
    known = str(UUID(int=7))
    assert find_run(known, command="fan-out", elsewhere=elsewhere).kept_as == "kept"
    with pytest.raises(ConfigurationError, match="whole id"):
        find_run(str(UUID(int=0)), command="fan-out", elsewhere=elsewhere)


def test_nothing_to_resume_is_said() -> None:
    with pytest.raises(ConfigurationError, match="no earlier run"):
        find_run("last", command="research")


def test_what_is_given_anew_replaces_what_was_and_what_changed_is_said() -> None:
    run = past("aa11", ask="one", sources=["a"], model="m", max_usd="1")
    said: list[str] = []
    new = {"ask": "two", "sources": ["b"], "model": "m", "max_usd": None}
    merged = run.gone_on_with(new, {"ask", "model"}, say=said.append)
    assert merged == {"ask": "two", "sources": ["a"], "model": "m", "max_usd": "1"}
    assert "aa11" in said[0] and "changed since: ask;" in said[1]


def test_nothing_is_said_to_have_changed_where_nothing_did() -> None:
    said: list[str] = []
    past("aa11", ask="one").gone_on_with({"ask": "one"}, {"ask"}, say=said.append)
    assert len(said) == 1


def _try(kept_as: str, answers: "multiprocessing.SimpleQueue[str]") -> None:
    try:
        with held(kept_as):
            answers.put("held")
    except ConfigurationError as error:
        answers.put(str(error))


def test_two_processes_do_not_both_go_on_with_a_run() -> None:
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()

    def another() -> str:
        process = context.Process(target=_try, args=("aa11", answers))
        process.start()
        process.join()
        said: str = answers.get()
        return said

    with held("aa11"):
        assert "another process (pid " in another()
    assert another() == "held"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"run_id": "bb"}', '{"run_id": 1, "parameters": []}', "[" * 100_000]
)
def test_a_record_that_cannot_be_read_is_named_and_passed_over(text: str, tmp_path: Path) -> None:
    past("aa11", ask="one")
    broken = tmp_path / "governor" / "runs" / "bb22" / "run.json"
    broken.parent.mkdir(parents=True)
    broken.write_text(text)
    said: list[str] = []
    assert find_run("last", command="fan-out", say=said.append).run_id == "aa11"
    (line,) = said
    assert str(broken) in line


def test_a_record_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    past("aa11", ask="one")
    kept = tmp_path / "governor" / "runs" / "aa11" / "run.json"
    before = kept.read_text()

    def fails(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", fails)
    with pytest.raises(OSError, match="no space"):
        past("aa11", ask="two")
    assert kept.read_text() == before
    assert [each.name for each in kept.parent.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    ("given", "retry_failed", "anew"),
    [
        ({"model": "n"}, False, True),
        ({"max_output_tokens": 48}, False, True),
        ({"model": "n", "max_output_tokens": 48}, True, False),
        ({"ask": "two", "model": "n"}, True, True),
        ({"max_usd": "2", "accept": ["cut"]}, False, False),
    ],
)
def test_it_is_said_to_be_paid_anew_where_it_is(
    given: dict[str, object], retry_failed: bool, anew: bool
) -> None:
    run = past("aa11", ask="one", model="m", max_output_tokens=24, max_usd="1")
    said: list[str] = []
    run.gone_on_with(given, set(given), say=said.append, retry_failed=retry_failed)
    assert f"changed since: {', '.join(sorted(given))}" in said[1]
    assert ("paid for anew" in said[1]) is anew
