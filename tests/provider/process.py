"""The provider as a process of its own, and the handle that a test holds on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import httpx

from tests import ROOT
from tests.waiting import readable


class ProviderError(RuntimeError):
    """The provider did not start, refused a control request, or failed by a bug of its own."""


class ProviderProcess:
    """Starts a provider; stops it at the end of the `with` block.

    Keywords are the config's fields (`tests/provider/__init__.py`). `log_path` also writes each
    call to a file, which outlives a killed provider. Raises ProviderError when it does not listen
    within `start_timeout_seconds`.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        log_path: Path | None = None,
        start_timeout_seconds: float = 30,
        **config: Any,
    ) -> None:
        self.log_path = log_path
        command = [sys.executable, "-m", "tests.provider", "--follow-stdin", "--port", str(port)]
        command += ["--config", json.dumps(config)]
        if log_path is not None:
            command += ["--log", str(log_path)]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.url = self._read_url(start_timeout_seconds)
        self._client = httpx.Client(base_url=self.url, trust_env=False, timeout=30)

    def _read_url(self, timeout_seconds: float) -> str:
        assert self._process.stdout is not None
        told = readable(self._process.stdout, timeout_seconds)
        line = self._process.stdout.readline() if told else b""
        if not line:
            self._end()
            raise ProviderError(
                f"the provider did not start within {timeout_seconds} s "
                f"(exit status {self._process.returncode}); its error is on stderr"
            )
        url = json.loads(line)["url"]
        assert isinstance(url, str)
        return url

    @property
    def api_base(self) -> str:
        """What OpenAI clients and LiteLLM take as `base_url` or `api_base`."""
        return f"{self.url}/v1"

    @property
    def pid(self) -> int:
        """The process's id, for tests that stop or kill it."""
        return self._process.pid

    def _control(self, method: str, name: str, body: Any = None) -> Any:
        reply = self._client.request(method, f"/_provider/{name}", json=body)
        if reply.status_code != 200:
            raise ProviderError(f"{method} {name}: {reply.json()['error']['message']}")
        return reply.json()

    def stats(self) -> dict[str, Any]:
        """Counts and sums so far. Raises ProviderError if the provider met a bug of its own."""
        stats: dict[str, Any] = self._control("GET", "stats")
        if stats["internal_errors"]:
            raise ProviderError("the provider failed by a bug of its own; see its stderr")
        return stats

    def log(self) -> list[dict[str, Any]]:
        """A record a call, in order of arrival; those still open have `end` None."""
        records: list[dict[str, Any]] = self._control("GET", "log")
        return records

    def usage_export(self, format: Literal["csv", "jsonl"] = "csv") -> str:
        """What was billed, as the provider's own usage export (`books.export.COLUMNS`): what
        `budget reconcile` reads."""
        reply = self._client.get(f"/_provider/usage.{format}")
        if reply.status_code != 200:
            raise ProviderError(f"usage.{format}: {reply.json()['error']['message']}")
        return reply.text

    def configure(self, **changes: Any) -> dict[str, Any]:
        """Replaces these top-level fields of the running config; returns the whole of it."""
        config: dict[str, Any] = self._control("POST", "config", changes)
        return config

    def reset(self) -> None:
        """Forgets calls, sums, limits' windows and how far scripts went. The config stays.
        Raises ProviderError while calls are open."""
        self._control("POST", "reset")

    def renew(self, **config: Any) -> None:
        """As `reset`, with exactly this config: cheaper than a new process for each test."""
        self._control("POST", "reset", config)

    def settled_stats(self, *, timeout_seconds: float = 5) -> dict[str, Any]:
        """`stats()` once nothing is open: a client that went away is noticed a moment later."""
        deadline = time.monotonic() + timeout_seconds
        while (stats := self.stats())["open"]:
            if time.monotonic() > deadline:
                raise ProviderError(f"{stats['open']} calls are open after {timeout_seconds} s")
            time.sleep(0.01)
        return stats

    def stop(self) -> None:
        """Ends the process. Safe to call again."""
        self._client.close()
        self._end()

    def _end(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> ProviderProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
