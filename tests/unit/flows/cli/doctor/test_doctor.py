"""The doctor starts nothing, survives what is broken, and says what to do about it."""

import sqlite3
from pathlib import Path

import pytest

from prefect_governor.blocks.ledger.migration import migrations
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.machine import filesystem
from prefect_governor.flows.cli.doctor import Finding, as_object, examine, machine, worst
from tests.unit.imports import imported


def about(findings: list[Finding], word: str) -> Finding:
    (found,) = [each for each in findings if each.about == word]
    return found


def test_fresh_machine_has_no_problem_and_nothing_is_started(home: Path) -> None:
    findings = list(examine())
    assert [each for each in findings if each.mark == "fail"] == []
    assert about(findings, "server").text.startswith("none;")
    assert about(findings, "ledger").text.startswith("none yet")
    chosen = about(findings, "model auto")
    assert chosen.text.startswith("offline/extract") and chosen.mend
    assert not (home / "governor" / "server.json").exists()
    assert not (home / "governor" / "ledger.sqlite").exists()


def test_litellm_is_not_imported_for_its_version() -> None:
    program = (
        "from prefect_governor.flows.cli.doctor.machine import versions\n"
        "assert any(each.about == 'litellm' for each in versions())"
    )
    assert imported(program, "litellm") == []


def test_ledger_is_named_with_its_id_and_schema(home: Path) -> None:
    store = SQLiteStore(home / "governor" / "ledger.sqlite")
    found = about(list(examine()), "ledger")
    store.close()
    assert found.mark == "ok"
    assert store.ledger_id[:8] in found.text


def test_ledger_of_a_newer_release_is_a_problem(home: Path) -> None:
    path = home / "governor" / "ledger.sqlite"
    SQLiteStore(path).close()
    newer = migrations("sqlite")[-1][0] + 1
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {newer}")
    connection.close()
    found = about(list(examine()), "ledger")
    assert found.mark == "fail"
    assert "pip install -U" in str(found.mend)


def test_broken_ledger_is_a_problem_and_stays_as_it_is(home: Path) -> None:
    path = home / "governor" / "ledger.sqlite"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a database" * 100)
    found = about(list(examine()), "ledger")
    assert found.mark == "fail"
    assert path.read_bytes() == b"not a database" * 100


def test_network_filesystem_is_a_problem(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text("31 30 0:1 / / rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(filesystem, "_MOUNTS", mounts)
    found = about(list(examine()), "state")
    assert found.mark == "fail"
    assert "local disk" in str(found.mend)


def test_home_that_cannot_be_used_is_a_problem_not_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "file" / "home"))
    assert any(each.mark == "fail" for each in examine())


def test_release_that_was_compromised_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "version", lambda name: "1.82.7")
    found = about(list(machine.versions()), "litellm")
    assert found.mark == "fail"
    assert "pip install" in str(found.mend)


def test_what_to_do_stands_under_what_was_found() -> None:
    first, second = str(Finding("warn", "it", "this", "do that", "so --now")).splitlines()
    assert first == "warn it: this"
    assert second.strip() == "-> do that: so --now"


def test_the_worst_of_all_findings_is_the_outcome() -> None:
    found = [Finding("ok", "a", "x"), Finding("fail", "b", "y"), Finding("warn", "c", "z")]
    assert worst([]) == worst(found[:1]) == "ok"
    assert as_object(found)["outcome"] == "fail"
    assert [as_object(found)[mark] for mark in ("ok", "warn", "fail")] == [1, 1, 1]
