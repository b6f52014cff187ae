"""`--out`: nothing is lost in a crash, everything is there in order at the end."""

import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.report.model import ItemReport
from prefect_governor.flows.run.outfile import OutFile


def item(key: str, result: object = "found") -> ItemReport:
    return ItemReport(key=key, state="succeeded", result=result, usd=Decimal("0.001"))


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_item_is_on_disk_before_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    sync = os.fsync

    def counted(file: int) -> None:
        synced.append(file)
        sync(file)

    monkeypatch.setattr(os, "fsync", counted)
    path = tmp_path / "out.jsonl"
    with OutFile(path) as out:
        for at, key in enumerate(["b", "a"], start=1):
            out.add(item(key))
            assert len(synced) == at
            assert [line["key"] for line in lines(path)] == ["b", "a"][:at]


def test_whole_file_is_in_input_order_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "out.jsonl"
    with OutFile(path) as out:
        out.add(item("b"))
        out.add(item("a"))
        out.finish([item("a"), item("b"), item("c")])
    assert [line["key"] for line in lines(path)] == ["a", "b", "c"]
    assert lines(path)[0] == item("a").to_json()
    assert os.listdir(path.parent) == ["out.jsonl"]


def test_earlier_results_are_not_mixed_with_these(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old\n")
    with OutFile(path) as out:
        out.add(item("a"))
    assert [line["key"] for line in lines(path)] == ["a"]


def test_run_that_is_gone_on_with_keeps_what_was_answered_and_writes_it_once(
    tmp_path: Path,
) -> None:
    path = tmp_path / "out.jsonl"
    broken = ItemReport(key="c", state="failed", reason="no")
    with OutFile(path) as out:
        out.add(item("a"), item("b", {"title": "\ud800"}), broken)
    with path.open("a") as file:
        file.write('{"key": "d", "state": "succ')
    with OutFile(path, goes_on=True) as out:
        assert [line["key"] for line in lines(path)] == ["a", "b"]
        # Told again, with other figures.
        out.add(item("b", {"title": "\ud800"}).model_copy(update={"seconds": 2.0}))
        out.add(item("a", "something else"), item("c"))
        found = [(line["key"], line["result"]) for line in lines(path)]
        assert found == [
            ("a", "found"), ("b", {"title": "\ud800"}), ("a", "something else"), ("c", "found"),
        ]  # fmt: skip
        out.finish([item("a", "something else"), item("b"), item("c")])
    assert [line["key"] for line in lines(path)] == ["a", "b", "c"]


def test_half_a_character_in_an_answer_loses_neither_run_nor_line(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with OutFile(path) as out:
        out.add(item("a", {"title": "\ud800"}))
        out.finish([item("a", {"title": "\ud800"})])
    assert lines(path)[0]["result"] == {"title": "\ud800"}


def test_link_to_a_file_is_followed_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "real.jsonl").write_text("")
    link = tmp_path / "out.jsonl"
    link.symlink_to(tmp_path / "real.jsonl")
    with OutFile(link) as out:
        out.finish([item("a")])
    assert link.is_symlink()
    assert [line["key"] for line in lines(tmp_path / "real.jsonl")] == ["a"]


def test_device_is_refused_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ConfigurationError, match="no plain file"):
        OutFile(pipe)
    assert pipe.is_fifo()


def test_what_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"cannot write .*--out"):
        OutFile(tmp_path / "file" / "out.jsonl")
    with pytest.raises(ConfigurationError, match="Is a directory"):
        OutFile(tmp_path)


def _full(out: OutFile) -> None:
    """The disk below a results file is full from here on."""
    out._file.close()
    out._file = open("/dev/full", "w")  # noqa: SIM115


def test_full_disk_loses_nothing_and_says_where_the_answers_are(tmp_path: Path) -> None:
    path, spare = tmp_path / "out.jsonl", tmp_path / "state" / "results.jsonl"
    with OutFile(path, spare=spare) as out:
        out.add(item("b"))
        _full(out)
        out.add(item("a"))
        assert [line["key"] for line in lines(spare)] == ["a"]
        out.add(item("c"))
        out.finish([item("a"), item("b"), item("c")])
    assert out.path == spare
    assert [line["key"] for line in lines(spare)] == ["a", "b", "c"]
    assert [line["key"] for line in lines(path)] == ["b"]
    (note,) = out.notes
    assert "No space left on device" in note and str(spare) in note


def test_full_state_folder_is_told_of_by_name_and_once_and_tried_again_at_the_end(
    tmp_path: Path,
) -> None:
    path = tmp_path / "results.jsonl"
    heard: list[str] = []
    told: list[str] = []
    with OutFile(
        path, spare=path, full=heard.append, told=lambda each: told.append(each.key)
    ) as out:
        _full(out)
        out.add(item("a"))
        out.add(item("b"))
        (why,) = heard
        assert out.notes == heard and told == ["a", "b"]
        assert str(tmp_path) in why and "No space left on device" in why and "PREFECT_HOME" in why
        out.finish([item("a"), item("b")])
    assert [line["key"] for line in lines(path)] == ["a", "b"]


def test_each_item_is_told_once_it_is_written(tmp_path: Path) -> None:
    told: list[str] = []
    with OutFile(tmp_path / "out.jsonl", told=lambda each: told.append(each.key)) as out:
        out.add(item("b"), item("a"))
        assert told == ["b", "a"]
