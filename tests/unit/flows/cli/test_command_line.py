"""The command line, as far as nothing of Prefect is needed: what it teaches, what it refuses."""

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from prefect.events.worker import EventsWorker

from prefect_governor.flows.cli.main import main
from prefect_governor.flows.cli.terminal.command_line import DEBUG, Teaching, as_typed

OFFLINE = "offline/extract"

OPTIONS = {
    "fan-out": [
        "ask", "schema", "governor", "model", "max-usd", "max-total-tokens", "max-output-tokens",
        "max-concurrent", "rpm", "tpm", "min-success", "max-cost-multiple", "dry-run", "yes",
        "ask-above-usd",
        "resume", "out", "json", "encoding", "no-gitignore", "delimiter", "text-column",
        "key-column", "as", "skip-bad-rows", "force", "debug", "processes", "shards", "deployment",
    ],
    "estimate": [
        "ask", "schema", "governor", "model", "max-usd", "max-total-tokens", "max-output-tokens",
        "max-concurrent", "rpm", "tpm", "min-success", "max-cost-multiple", "dry-run", "yes",
        "ask-above-usd",
        "resume", "out", "json", "encoding", "no-gitignore", "delimiter", "text-column",
        "key-column", "as", "skip-bad-rows", "force", "debug", "processes", "shards", "deployment",
    ],
    "budget show": ["by", "since", "audit", "unconfirmed", "csv", "json", "watch"],
    "budget raise": ["tokens", "reason"],
    "budget lower": ["tokens", "reason"],
    "budget reconcile": [
        "from", "complete-until", "call", "usd", "void", "reason", "dry-run", "json",
    ],
}  # fmt: skip


def commands(above: click.Command = main, *names: str) -> Iterator[str]:
    """Every command that has options or arguments, by its names."""
    if not isinstance(above, click.Group):
        yield " ".join(names)
    else:
        for name in sorted(above.commands):
            yield from commands(above.commands[name], *names, name)


COMMANDS = [*commands(), "estimate fan-out", "estimate research"]


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner(env={"COLUMNS": "200", **environment}).invoke(
        main, list(arguments), prog_name="prefect-governor"
    )


def refused(result: Result) -> str:
    """The one line that a refusal is."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize("command", OPTIONS)
def test_help_lists_every_option_of_the_contract_with_its_variable(command: str) -> None:
    text = run(*command.split(), "--help").stdout
    for name in OPTIONS[command]:
        assert f"--{name}" in text
        variable = "PREFECT_GOVERNOR_" + name.upper().replace("-", "_")
        assert variable in text.replace("\n", " "), f"--{name}"


@pytest.mark.parametrize("command", COMMANDS)
def test_variables_stand_in_one_table_below_the_options(command: str) -> None:
    options, _, table = run(*command.split(), "--help").stdout.partition("Variables, in place of")
    assert "PREFECT_GOVERNOR_" not in options
    rows = [line.split() for line in table.splitlines()[1:] if line.strip()]
    assert rows or set(re.findall(r"  (--\w+)", options)) <= {"--help"}
    for option, variable in rows:
        assert option in options
        assert variable.startswith("PREFECT_GOVERNOR_")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--rpm", "0"], "--rpm must be a whole number"),
        (["--tpm", "-1"], "--tpm must be a whole number"),
        (["--max-concurrent", "0"], "--max-concurrent must be"),
        (["--timeout-seconds", "0"], "--timeout-seconds must be"),
        (["--min-success", "2"], "--min-success is a share"),
        (["--items-per-task", "0"], "--items-per-task must be"),
        (["--max-usd", "much"], "--max-usd"),
    ],
)
@pytest.mark.parametrize("command", ["fan-out", "estimate"])
def test_error_names_the_option_as_it_was_typed(
    command: str, options: list[str], told: str, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("a")
    line = refused(run(command, str(tmp_path), "--ask", "what?", "--model", OFFLINE, *options))
    assert line.startswith(f"prefect-governor: {told}")


def test_message_about_something_else_is_left_as_it_is() -> None:
    options = main.commands["fan-out"].params
    for message in (
        "the Governor block 'a' is not valid: limits.0.requests_per_minute: must be more",
        "model of nobody",
        "requests_per_minutes must be",
    ):
        assert as_typed(message, options) == message


def test_on_another_platform_the_first_command_says_where_it_runs(tmp_path: Path) -> None:
    elsewhere = "import sys; sys.platform = 'win32'; import prefect_governor.flows.cli.main"
    done = subprocess.run(
        [sys.executable, "-c", elsewhere], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "runs on Linux and macOS" in line
    assert "WSL" in line


@pytest.mark.parametrize(
    "command",
    [
        "",
        "fan-out",
        "estimate",
        "budget",
        "budget show",
        "budget raise",
        "budget lower",
        "budget reconcile",
    ],
)
def test_help_shows_examples(command: str) -> None:
    text = run(*command.split(), "--help").stdout
    assert "Examples:" in text
    assert "\n  prefect-governor " in text.replace("    ", "  ")


def test_help_says_what_each_exit_status_means() -> None:
    text = run("fan-out", "--help").stdout
    assert "0 complete, 3 partial, 1 failed, 2 usage" in text


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "fan-out --help",
        "estimate --help",
        "budget show --help",
        "budget raise --help",
        "doctor --help",
        "server --help",
        "--version",
    ],
)
def test_help_does_not_pay_for_importing_what_it_does_not_need(arguments: str) -> None:
    program = (
        "import sys\n"
        "from prefect_governor.flows.cli.main import main\n"
        "try:\n"
        "    main(sys.argv[1:], prog_name='prefect-governor')\n"
        "except SystemExit:\n"
        "    pass\n"
        "except RuntimeError:\n"
        "    assert sys.argv[1:] == ['--version']  # not installed: a checkout\n"
        "heavy = {'prefect', 'litellm', 'openai', 'httpx', 'pydantic', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported {sorted(heavy)}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments.split()], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["fan-out", "estimate"])
def test_missing_question_is_asked_for(command: str) -> None:
    assert '--ask "' in refused(run(command, "README.md"))


@pytest.mark.parametrize("command", ["fan-out", "estimate"])
def test_missing_source_is_asked_for(command: str) -> None:
    assert "SOURCE" in refused(run(command, "--ask", "what?"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fan-out", "a.md", "--ask", "x", "--max-concurrent", "many"], "--max-concurrent"),
        (["fan-out", "a.md", "--ask", "x", "--min-success", "most"], "--min-success"),
        (["fan-out", "a.md", "--ask", "x", "--nonsense"], "--nonsense"),
        (["budget", "reconcile"], "NAME"),
        (["budget", "show", "x", "--by", "colour"], "--by"),
        (["budget", "raise"], "NAME"),
        (["budget", "raise", "x", "5", "--nonsense"], "--nonsense"),
        (["fanout"], "fanout"),
    ],
)
def test_what_cannot_be_parsed_is_one_line_that_names_the_help(
    arguments: list[str], words: str
) -> None:
    line = refused(run(*arguments))
    assert words in line
    assert "--help" in line


def test_option_can_come_from_the_environment() -> None:
    result = run("fan-out", PREFECT_GOVERNOR_ASK="what?")
    assert "SOURCE" in refused(result)


def test_variables_of_the_web_are_no_matter_of_a_command_without_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("words")
    variables = {
        "PREFECT_HOME": str(tmp_path / "home"),
        "PREFECT_GOVERNOR_DENY_HOST": "intranet.example.org",
        "PREFECT_GOVERNOR_SEARCH_USD": "0.01",
    }
    options = ["--ask", "What?", "--model", "offline/extract", "--dry-run"]
    result = run("fan-out", str(tmp_path / "a.txt"), *options, **variables)
    assert result.exit_code == 0, result.output
    said = run("fan-out", str(tmp_path / "a.txt"), *options, "--deny-host", "a.org", **variables)
    assert said.exit_code == 2 and "--deny-host: say web too" in said.output


def test_variable_that_cannot_be_parsed_is_named() -> None:
    line = refused(run("fan-out", "a.md", PREFECT_GOVERNOR_RPM="lots", PREFECT_GOVERNOR_ASK="x"))
    assert "PREFECT_GOVERNOR_RPM" in line


def test_group_without_a_command_shows_its_help() -> None:
    for group in ("budget", "server"):
        result = run(group)
        assert "Commands:" in result.output


def test_home_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    # A file where a folder must be: root may write everywhere else.
    (tmp_path / "file").write_text("")
    line = refused(run("server", "status", PREFECT_HOME=str(tmp_path / "file" / "home")))
    assert "PREFECT_HOME" in line


def test_error_that_is_not_of_the_home_is_not_blamed_on_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise FileNotFoundError(2, "No such file or directory", "/somewhere/else")

    monkeypatch.setattr("prefect_governor.flows.server.server.status", fail)
    result = run("server", "status")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "No such file or directory" in line and "PREFECT_HOME" not in line


_KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz012345"


def _broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ValueError(f"two\nlines of {_KEY}")

    monkeypatch.setenv("OPENAI_API_KEY", _KEY)
    monkeypatch.setattr("prefect_governor.flows.server.server.status", fail)


def test_what_nobody_expected_is_one_line_that_says_where_the_rest_is(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _broken(monkeypatch)
    result = run("server", "status")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("prefect-governor: ValueError: two lines of ")
    (kept,) = (home / "governor" / "errors").iterdir()
    assert str(kept) in line
    text = kept.read_text()
    assert "Traceback (most recent call last)" in text and "in fail" in text
    assert _KEY not in result.stderr + text
    assert kept.stat().st_mode & 0o077 == 0


def test_the_traceback_is_shown_to_whoever_asks(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _broken(monkeypatch)
    assert "Traceback (most recent call last)" in run("server", "status", **{DEBUG: "1"}).stderr


def test_half_a_character_is_printed_as_an_escape() -> None:
    program = (
        "from prefect_governor.flows.cli.main import main\n"
        "try:\n    main(['fan-out'])\nexcept SystemExit:\n    print('half \\ud800')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "half \\ud800\n"), done.stderr


@pytest.mark.parametrize("ended", [KeyboardInterrupt, click.Abort])
def test_a_question_that_is_left_is_said_to_have_started_nothing(
    ended: type[BaseException],
) -> None:
    @click.group(cls=Teaching)
    def group() -> None:
        """Of one command."""

    @group.command("ask")
    def ask() -> None:
        raise ended

    left = CliRunner().invoke(group, ["ask"])
    assert (left.exit_code, left.stdout) == (3, "")
    assert left.stderr == "prefect-governor: interrupted before anything was started\n"


def test_prefects_events_that_are_still_being_sent_alarm_nobody() -> None:
    assert run("budget", "raise").exit_code == 2
    assert not logging.getLogger(EventsWorker.__name__).isEnabledFor(logging.WARNING)


@pytest.mark.parametrize("command", ["", "automate", "budget", "server", *COMMANDS])
def test_help_is_read_in_a_terminal_of_80_columns(command: str) -> None:
    text = run(*command.split(), "--help", COLUMNS="80").stdout
    assert [line for line in text.splitlines() if len(line) > 80] == []
