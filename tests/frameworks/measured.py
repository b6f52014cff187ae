"""What a program does under a governor, by the provider's own bill."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests import ROOT
from tests.frameworks.environments import python_of, version_of
from tests.frameworks.framework import Framework, Program
from tests.frameworks.front import Front
from tests.frameworks.worker import Order, Outcome
from tests.provider.process import ProviderProcess
from tests.waiting import readable, until

RICH, POOR = "20", "0.000001"
# A cancelled call would take so long.
LONG_SECONDS = 60.0
MOST_SECONDS = 600.0
NANO = 10**9
KEYS = (
    "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "MISTRAL_API_KEY", "GROQ_API_KEY",
    "CO_API_KEY", "COHERE_API_KEY", "AZURE_OPENAI_API_KEY",
)  # fmt: skip


class Failed(Exception):
    """It could not be measured: why."""


@dataclass(frozen=True)
class Measured:
    """A line of the table. Money in nano-dollars, by the provider.

    works: the governed program ended without an error, and was billed. calls: of one run. changes:
    the lines that differ. ceiling, billed: of the program's `calls` on money for half. visible: the
    text of a refused run names the budget and what to do. tries: how often the governor was asked
    for a call that it refused. reserved: what was left reserved by a run that was cancelled.
    """

    name: str
    version: str
    works: bool
    calls: int
    changes: list[str]
    ceiling_nano: int
    billed_nano: int
    text: str
    visible: bool
    tries: int
    reserved_nano: int
    cancelled: bool
    problem: str = ""
    notes: str = ""

    @classmethod
    def failed(cls, program: Program, problem: str) -> Measured:
        """A program that could not be measured. Of the problem its first line is kept."""
        first = problem.strip().partition("\n")[0].replace("|", "/")[:200]
        changes = program.changes()
        return cls(
            program.name, "", False, 0, changes, 0, 0, "", False, 0, 0, False, first, program.notes
        )

    @property
    def used(self) -> float:
        """The share of the ceiling that was billed."""
        return self.billed_nano / self.ceiling_nano if self.ceiling_nano else 0.0

    @property
    def good(self) -> bool:
        """Whether it is all that is promised of a row."""
        return (
            self.works
            and len(self.changes) <= 2
            and self.billed_nano <= self.ceiling_nano
            and self.used >= 0.9
            and self.visible
            and self.tries == 1
            and self.cancelled
            and self.reserved_nano == 0
        )


def measure(key: str, framework: Framework, program: Program) -> Measured:
    """Raises Failed, NotInstalled."""
    python = python_of(program.packages)
    version = version_of(python, program.package or framework.package)
    with (
        tempfile.TemporaryDirectory(prefix="frameworks-") as name,
        ProviderProcess(
            prices=program.prices, start_timeout_seconds=300, **program.provider
        ) as provider,
        Front(Path(name), program.hosts, urlsplit(provider.url).port or 0) as front,
        _worker(python, key, program, Path(name), front) as worker,
    ):
        return _measured(version, program, provider, worker)


def _measured(
    version: str, program: Program, provider: ProviderProcess, worker: _Worker
) -> Measured:
    plain = worker.obey(Order("plain", RICH, governed=False))
    alone = _bill(provider)
    if plain.failed:
        raise Failed(f"without a governor: {plain.kind}: {plain.error[:600]}\n{plain.said[-600:]}")
    if not alone["billed_calls"] or plain.asked:
        raise Failed(
            f"without a governor: {alone['billed_calls']} calls billed, {plain.asked} governed"
        )
    first = worker.obey(Order("first", RICH))
    one = _bill(provider)
    works = not first.failed and one["billed_nano"] == first.spent_nano > 0
    if not works:
        raise Failed(
            f"with a governor: {first.kind}: {first.error[:600]} billed {one['billed_nano']}, spent"
            f" {first.spent_nano}\n{first.said[-600:]}"
        )
    calls = one["billed_calls"]
    ceiling = one["billed_nano"] * program.calls // 2 // calls
    runs = math.ceil(program.calls / calls)
    worker.obey(Order("many", _usd(ceiling), times=runs, at_once=program.at_once))
    bill = _bill(provider)
    refused = worker.obey(Order("frameworks-team", POOR))
    if _bill(provider)["billed_calls"]:
        raise Failed("a call that no budget paid for was billed")
    text = f"{refused.error}\n{refused.said}"
    provider.configure(latency_seconds=LONG_SECONDS)
    worker.begin(Order("cancelled", RICH))
    until(lambda: bool(provider.stats()["open"]), seconds=60)
    worker.interrupt()
    left = worker.answer()
    return Measured(
        program.name,
        version,
        works,
        calls,
        program.changes(),
        ceiling,
        bill["billed_nano"],
        text.strip()[:2000],
        "frameworks-team" in text and "raise the ceiling" in text,
        refused.asked,
        left.reserved_nano,
        bool(left.failed),
        notes=program.notes,
    )


def _usd(nano: int) -> str:
    return f"{nano // NANO}.{nano % NANO:09d}"


def _bill(provider: ProviderProcess) -> dict[str, Any]:
    """What was billed since this was last asked."""
    stats = provider.settled_stats(timeout_seconds=30)
    provider.reset()
    return stats


class _Worker:
    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        self._process, self._errors = process, errors

    def obey(self, order: Order) -> Outcome:
        self.begin(order)
        return self.answer()

    def begin(self, order: Order) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(order)) + "\n")
        self._process.stdin.flush()

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def answer(self) -> Outcome:
        return Outcome(**self.line())

    def line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        told = readable(self._process.stdout, MOST_SECONDS)
        line = self._process.stdout.readline() if told else ""
        if not line:
            raise Failed(f"it ended, or took too long: {self._errors.read_text()[-2000:]}")
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def _worker(
    python: Path, key: str, program: Program, folder: Path, front: Front
) -> Iterator[_Worker]:
    errors = folder / "stderr"
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT), "PREFECT_HOME": str(folder / "prefect"),
        "SSL_CERT_FILE": str(front.certificate), "REQUESTS_CA_BUNDLE": str(front.certificate),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PREFECT_LOGGING_LEVEL": "WARNING",
        **dict.fromkeys(KEYS, "sk-test-0123456789abcdef"), **program.environment,
    }  # fmt: skip
    if trace := os.environ.get("FRAMEWORKS_TRACE"):
        environment["FRAMEWORKS_TRACE"] = trace
    command = [str(python), "-m", "tests.frameworks.worker", key, program.name, str(front.port)]
    with errors.open("w") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if trace else log,
            text=True,
            cwd=folder,
            env=environment,
        )
    try:
        worker = _Worker(process, errors)
        worker.line()
        yield worker
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
