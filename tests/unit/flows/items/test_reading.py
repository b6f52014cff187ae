"""What is said of how sources are read reaches whoever opens them; what is left out is named."""

from pathlib import Path

import click
import pytest

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.cli.terminal.options import FAN_OUT, RUN, Told, run_options
from prefect_governor.flows.items.reading import Reading, reading_of
from prefect_governor.flows.items.skipped import Skipped
from prefect_governor.flows.report.markdown import summary
from prefect_governor.flows.report.model import ItemReport, Report
from prefect_governor.flows.report.table import rows
from prefect_governor.flows.run.job import make_request
from prefect_governor.flows.run.resuming import PastRun


def test_a_reading_is_the_same_as_an_object_and_by_its_names_in_json() -> None:
    given = Reading(encoding="cp1252", as_="rows", gitignore=False)
    assert reading_of(given) is given
    assert reading_of({"encoding": "cp1252", "as": "rows", "gitignore": False}) == given
    assert reading_of({"encoding": "cp1252", "as_": "rows", "gitignore": False}) == given
    assert reading_of(None) == Reading()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("cp1252", "an object of fields (encoding, delimiter"),
        ({"encodign": "cp1252"}, "encodign: Extra inputs"),
        ({"as": "table"}, "'text' or 'rows'"),
    ],
)
def test_a_misspelled_reading_is_refused_with_what_there_is(given: object, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        reading_of(given)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def told(*arguments: str) -> Told:
    made: list[Told] = []

    @click.command()
    @run_options(FAN_OUT, RUN)
    def command(**options: object) -> None:
        made.append(Told.of(options))

    command.main(list(arguments), standalone_mode=False)
    return made[0]


def test_only_what_is_said_of_reading_is_a_parameter() -> None:
    assert told().parameters["reading"] == {}
    assert "reading" not in told().given
    said = told("--encoding", "cp1252", "--no-gitignore")
    assert said.parameters["reading"] == {"encoding": "cp1252", "gitignore": False}
    assert "reading" in said.given
    assert "encoding" not in said.parameters


def test_a_run_that_is_gone_on_with_reads_as_it_did_but_for_what_is_new() -> None:
    run = PastRun("r", "r", "fan-out", {"ask": "x", "reading": {"encoding": "cp1251"}})
    said: list[str] = []
    merged = run.gone_on_with({"reading": {"gitignore": False}}, {"reading"}, say=said.append)
    assert merged["reading"] == {"encoding": "cp1251", "gitignore": False}
    assert "paid for anew" in said[1]
    assert run.gone_on_with({"reading": {}}, set(), say=said.append) == run.parameters


def test_a_request_holds_how_to_read_and_what_its_sources_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("")
    request = make_request(
        ask="x", sources=["."], folder=str(tmp_path), model="offline/extract",
        reading={"encoding": "cp1252"},
    )  # fmt: skip
    assert request.reading.encoding == "cp1252"
    assert request.skipped == (Skipped(key="b.txt", reason="empty"),)


def report() -> Report:
    return Report(
        run_id="r",
        outcome="complete",
        items=[
            ItemReport(key="a.txt", state="succeeded", notes=("encoding guessed: cp1252",)),
            ItemReport(key="b.txt", state="succeeded"),
        ],
        skipped=[Skipped(key="c.bin", reason="binary")],
    )


def test_notes_and_skipped_files_stand_in_the_json_the_table_and_the_summary() -> None:
    data = report().to_json()
    assert data["skipped"] == [{"key": "c.bin", "reason": "binary"}]
    assert data["items"][0]["notes"] == ["encoding guessed: cp1252"]
    assert "notes" not in data["items"][1]
    _, *table = rows(report())
    assert [each["key"] for each in table] == ["a.txt", "b.txt", "c.bin"]
    assert table[0]["notes"] == "encoding guessed: cp1252"
    assert (table[2]["state"], table[2]["reason"]) == ("skipped", "binary")
    text = summary(report())
    assert "encoding guessed: cp1252" in text
    assert "| 1 | binary | `c.bin` |" in text
    assert report().counts()["succeeded"] == len(report().items)
