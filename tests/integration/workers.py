"""A process worker of Prefect's, as ops people have one: it serves run after run, and outlives
those that die."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.provider.process import ProviderProcess


@contextmanager
def worker_of(
    command: Sequence[str], folder: Path, *, variables: Mapping[str, str] | None = None
) -> Iterator[psutil.Process]:
    """A worker until it is left, started by `command`; what it logged is printed then."""
    log = folder / "worker.log"
    known = {**os.environ, "PREFECT_WORKER_QUERY_SECONDS": "1", **(variables or {})}
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=known)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()
        print(log.read_text()[-4000:])


def reaching(provider: ProviderProcess) -> dict[str, str]:
    """The variables by which a worker's runs reach the provider."""
    return {
        "OPENAI_API_BASE": provider.api_base,
        "OPENAI_BASE_URL": provider.api_base,
        "OPENAI_API_KEY": "sk-test-deployed",
    }
