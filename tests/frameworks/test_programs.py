"""The programs themselves, without running them: what a governor changes in them is little."""

from pathlib import Path

import pytest

from tests.frameworks.environments import uv
from tests.frameworks.framework import Framework, Program, frameworks
from tests.frameworks.measured import Measured
from tests.frameworks.page import PAGE, page, shown_lines

MOST_CHANGED_LINES = 2
PROGRAMS = {
    f"{key} | {program.name}": program
    for key, framework in frameworks().items()
    for program in framework.programs
}


def measured(program: Program, **other: object) -> Measured:
    values = {
        "name": program.name, "version": "1", "works": True, "calls": 1,
        "changes": program.changes(), "ceiling_nano": 100, "billed_nano": 95, "text": "",
        "visible": True, "tries": 1, "reserved_nano": 0, "cancelled": True, **other,
    }  # fmt: skip
    return Measured(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_governor_changes_at_most_two_lines_and_both_forms_are_python(name: str) -> None:
    program = PROGRAMS[name]
    assert 1 <= len(program.changes()) <= MOST_CHANGED_LINES, program.changes()
    plain, governed = program.form(governed=False), program.form(governed=True)
    compile(plain, name, "exec")
    compile(governed, name, "exec")
    assert "governor" not in plain
    assert "governor" in governed


def test_lines_that_are_taken_out_count_as_changed() -> None:
    program = Program("it", "", ("it",), (), "a = 1  # plain\nb = 2  # plain\nc = 3  # governed\n")
    assert program.changes() == ["c = 3", "(without) a = 1"]


def test_what_moves_into_a_with_is_one_changed_line() -> None:
    text = "a = 1\nwith governor:  # governed\nif a:\n    print(a)\n# end\nprint(2)\n"
    program = Program("it", "", ("it",), (), text)
    assert program.changes() == ["with governor:"]
    assert program.form(governed=False) == "a = 1\nif a:\n    print(a)\nprint(2)\n"
    assert program.form(governed=True) == (
        "a = 1\nwith governor:\n    if a:\n        print(a)\nprint(2)\n"
    )


@pytest.mark.parametrize(
    "other",
    [
        {"works": False},
        {"billed_nano": 101},
        {"billed_nano": 89},
        {"visible": False},
        {"tries": 2},
        {"tries": 0},
        {"reserved_nano": 1},
        {"cancelled": False},
        {"changes": ["1", "2", "3"]},
    ],
    ids=str,
)
def test_row_that_breaks_one_promise_is_not_good(other: dict[str, object]) -> None:
    program = Program("it", "", ("it",), (), "a = 1\nb = 2  # governed\n")
    assert measured(program).good
    assert not measured(program, **other).good


def test_page_shows_what_is_not_promised_as_it_is() -> None:
    program = Program("it", "https://example.com", ("it",), (), "a = 1\nb = 2  # governed\n")
    lines = [measured(program, billed_nano=150), Measured.failed(program, "no\nmore | of it")]
    shown = page({"one": Framework("One", "it", (program,))}, {"one": ("2026-01-02", lines)})
    assert "0 of 1 are all that is promised" in shown
    assert "| NO ($0.0000 of $0.0000) | 150% |" in shown
    assert "| no: no |" in shown


def test_page_in_the_docs_has_the_lines_of_every_program() -> None:
    """It is written anew by `./run python -m tests.frameworks --page`."""
    text = Path(PAGE).read_text(encoding="utf-8")
    for framework in frameworks().values():
        assert f"\n## {framework.title}\n" in text, framework.title
        for program in framework.programs:
            assert f"| {framework.title} | {program.name} |" in text, program.name
            assert shown_lines(program.changes()) in text


@pytest.mark.parametrize("own", ["", "/etc/own.pem"])
def test_the_package_index_is_asked_with_the_persons_own_authorities(
    monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    monkeypatch.setenv("UV", "/bin/sh")
    monkeypatch.setenv("PREFECT_GOVERNOR_TESTS_AUTHORITIES", own)
    assert uv("-c", "echo ${SSL_CERT_FILE-none}").strip() == (own or "none")
