"""`prefect-governor budget …` in tests: what it tells and refuses, and what is spent before."""

import json
from typing import Any

from click.testing import Result

from prefect_governor import Governor
from tests.integration import governing
from tests.integration.cli.commands import run
from tests.integration.governing import ask, loaded_as


def run_budget(*arguments: str, **environment: str) -> Result:
    """`prefect-governor budget …` in this process."""
    return run("budget", *arguments, **environment)


def told(*arguments: str) -> str:
    """What a command that goes well prints."""
    result = run_budget(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def shown(name: str, *more: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(told("show", name, "--json", *more))
    return found


def refused(*arguments: str) -> str:
    """The one line of a usage error."""
    result = run_budget(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    (line,) = result.stderr.splitlines()
    return line


def spend(name: str, usd: float) -> None:
    governing.spend(loaded_as(Governor, name).runtime, usd)


def lose(name: str, usd: float, why: str = "timeout after sending") -> str:
    """A call whose outcome nobody knows."""
    runtime = loaded_as(Governor, name).runtime
    call_id, admitted = ask(runtime, usd)
    admitted.result(30)
    runtime.desk.unconfirm(call_id, why).result(30)
    return call_id
