"""What a person is told of a run that ended as nobody expected."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.cli.main import main
from prefect_governor.flows.cli.terminal.command_line import RunBroken
from prefect_governor.flows.cli.terminal.session import run_flow
from prefect_governor.flows.run.control import current_control

RUN_ID = "5f9d6b9e-3f0e-4a5e-9f0a-000000000002"


class Odd(BaseException):
    """As some libraries end their own work."""


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), SystemExit(5), Odd(), MemoryError()],
    ids=lambda each: type(each).__name__,
)
def test_whatever_ends_a_run_that_was_started_the_way_on_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    # As a command sets it, whose own logs are lines of its own.
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "WARNING")

    def flow(**_: Any) -> None:
        control = current_control.get()
        assert control is not None and control.started is not None
        control.started(RUN_ID)
        raise error

    with pytest.raises(RunBroken) as broken:
        run_flow(flow, {}, command="fan-out", ui_url="http://x", out=None, as_json=False)
    assert broken.value.__cause__ is error
    assert broken.value.way_on == f"prefect-governor fan-out --resume {RUN_ID}"


def test_governor_is_looked_for_once_there_is_a_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def ensured(**_: object) -> None:
        raise ConfigurationError("a server is asked for first")

    # Whoever asks Prefect before would have it start a server for this process alone.
    monkeypatch.setattr("prefect_governor.flows.cli.terminal.session.ensure_server", ensured)
    monkeypatch.setattr("prefect_governor.blocks.model.load_governor", pytest.fail)
    (tmp_path / "a.txt").write_text("a")
    words = ["fan-out", str(tmp_path), "--ask", "what?", "--governor", "team"]
    told = CliRunner().invoke(main, [*words, "--model", "openai/priced-by-the-governor"])
    assert "a server is asked for first" in told.output
