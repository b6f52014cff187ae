"""Commands in tests: in this process, or in one of their own that is waited for."""

import json
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from prefect_governor.flows.cli.main import main

# As a provider's script: its answer is the document that it was sent.
AS_SENT = [
    {
        "match": r'(?s)<document key="[^"]*">\n(.*)\n</document>',
        "reply": r"\1",
        "expand": True,
    }
]

Command = Callable[..., "subprocess.Popen[str]"]


def run(*arguments: str, stdin: str | bytes | None = None, **environment: str | None) -> Result:
    """A command in this process, which has imported everything."""
    return CliRunner(env=environment).invoke(main, list(arguments), input=stdin)


def ended(process: "subprocess.Popen[str]", *, timeout_seconds: float = 120) -> tuple[str, str]:
    try:
        return process.communicate(timeout=timeout_seconds)
    finally:
        process.kill()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def nano(usd: float) -> int:
    return int(Decimal(repr(usd)) * 10**9)
