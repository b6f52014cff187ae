"""Whose a results file is, and what becomes of it."""

from pathlib import Path

import pytest

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.cli.terminal.outputs import claim, run_to_go_on_with
from prefect_governor.flows.run.resuming import PastRun

RUN_ID = "5f9d6b9e-3f0e-4a5e-9f0a-000000000001"
ASKED = {"ask": "What?", "sources": ["a.txt"], "max_usd": None}


@pytest.fixture
def out(home: Path, tmp_path: Path) -> Path:
    path = tmp_path / "out.jsonl"
    path.write_text("{}\n")
    return path


def past(*, ended: bool = False, run_id: str = RUN_ID, kept_as: str = RUN_ID) -> PastRun:
    return PastRun(run_id, kept_as, "fan-out", ASKED, ended)


def test_a_file_that_is_not_there_or_empty_is_free(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    assert run_to_go_on_with(path, "fan-out", ASKED, past=None, force=False) is None
    path.touch()
    assert run_to_go_on_with(path, "fan-out", ASKED, past=None, force=False) is None


def test_a_file_of_nobody_knows_whom_is_not_replaced(out: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"is there already: .*--force"):
        run_to_go_on_with(out, "fan-out", ASKED, past=None, force=False)
    assert run_to_go_on_with(out, "fan-out", ASKED, past=None, force=True) is None


def test_finished_results_are_not_replaced(out: Path) -> None:
    past(ended=True).save()
    claim(out, past())
    with pytest.raises(ConfigurationError, match=f"results of run {RUN_ID}"):
        run_to_go_on_with(out, "fan-out", ASKED, past=None, force=False)
    # But by the run that goes on with it.
    assert run_to_go_on_with(out, "fan-out", ASKED, past=past(), force=False) is None


def test_a_run_that_did_not_end_is_gone_on_with_where_it_was_asked_the_same(out: Path) -> None:
    past().save()
    claim(out, past())
    assert run_to_go_on_with(out, "fan-out", ASKED, past=None, force=False) == past()
    with pytest.raises(ConfigurationError, match=f"did not end: .*--resume {RUN_ID}"):
        run_to_go_on_with(out, "fan-out", {**ASKED, "ask": "Who?"}, past=None, force=False)
    other = past(run_id="other", kept_as="other")
    with pytest.raises(ConfigurationError, match="did not end"):
        run_to_go_on_with(out, "fan-out", ASKED, past=other, force=False)


def test_a_run_of_an_earlier_release_counts_as_ended(out: Path, home: Path) -> None:
    past().save()
    record = home / "governor" / "runs" / RUN_ID / "run.json"
    record.write_text(record.read_text().replace(', "ended": false', ""))
    claim(out, past())
    with pytest.raises(ConfigurationError, match="results of run"):
        run_to_go_on_with(out, "fan-out", ASKED, past=None, force=False)


@pytest.mark.parametrize(("of", "there"), [(RUN_ID, "{}\n"), ("other", "")])
def test_a_run_that_goes_on_keeps_its_own_lines_and_nobody_elses(
    out: Path, of: str, there: str
) -> None:
    past(run_id=of, kept_as=of).save()
    claim(out, past(run_id=of, kept_as=of))
    claim(out, past(run_id="second", kept_as=RUN_ID))
    assert out.read_text() == there
