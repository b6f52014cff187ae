"""What the command line says to do next is what works, and costs about what it says."""

import re
import shlex
from pathlib import Path

import pytest

from tests.integration.cli.commands import run
from tests.integration.governing import MODEL
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server")


def next_command(stderr: str, what: str) -> tuple[list[str], str]:
    """The command that a run's end names, and what stands in brackets beside it."""
    found = re.search(rf"^{what}.*?: prefect-governor (.*?)  \((.*)\)$", stderr, re.MULTILINE)
    assert found is not None, stderr
    return shlex.split(found[1]), found[2]


def test_the_advice_that_is_printed_is_the_one_that_works(
    upstream: ProviderProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("short", "long", "busy"):
        (tmp_path / f"{name}.txt").write_text(f"the text of {name}: nothing much")
    upstream.configure(
        script=[
            {"match": "of long:", "reply": "word " * 40},
            {"match": "of busy:", "reply": [{"status": 400, "text": "no"}, "an answer"]},
            {"match": "of short:", "reply": "an answer"},
        ]
    )
    first = run("fan-out", "long.txt", "busy.txt", "short.txt", "--ask", "What?", "--model", MODEL,
                "--max-output-tokens", "24")  # fmt: skip
    assert first.exit_code == 3
    assert "1 failed: cut: the answer stopped at the cap of 24" in first.stdout
    plain, cost = next_command(first.stderr, "to go on")
    assert re.fullmatch(r"pays only for what is missing: 1 item, about \$0\.0+\d+", cost)
    second = run(*plain)
    assert "2 succeeded, 1 failed" in second.stdout
    assert upstream.settled_stats()["requests"] == 4
    anew, cost = next_command(second.stderr, "to ask 1 with a bad answer anew")
    assert anew[-3:] == ["--retry-failed", "--max-output-tokens", "48"]
    assert re.fullmatch(r"pays for those: 1 item, about \$0\.0+\d+, and as much again .*", cost)
    assert "to go on: " not in second.stderr
    before = upstream.settled_stats()["billed_nano"]
    third = run(*anew)
    assert third.exit_code == 0, third.stderr
    assert "changed since: max_output_tokens\n" in third.stderr
    assert upstream.settled_stats()["requests"] == 5
    about = float(re.findall(r"\$([\d.]+)", cost)[0]) * 10**9
    paid = upstream.settled_stats()["billed_nano"] - before
    assert about <= paid <= 2 * about


def test_retry_failed_without_a_run_is_refused(upstream: ProviderProcess) -> None:
    asked = run("fan-out", "x", "--ask", "What?", "--model", MODEL, "--retry-failed")
    assert asked.exit_code == 2
    assert "--retry-failed goes with --resume RUN" in asked.stderr
    assert upstream.settled_stats()["requests"] == 0
