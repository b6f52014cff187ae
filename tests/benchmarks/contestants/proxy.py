"""LiteLLM's proxy, without a database, and OpenAI's client before it."""

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.contestants.contest import KEY, MESSAGES, MODEL, Work, answered, compete

START_SECONDS = 90.0
# It refuses to start without one.
MASTER_KEY = f"sk-{secrets.token_hex(32)}"


def run(work: Work) -> int:
    import httpx
    from openai import AsyncOpenAI

    async def ask(base: str) -> int:
        http = httpx.AsyncClient(limits=httpx.Limits(max_connections=None), trust_env=False)
        async with AsyncOpenAI(
            base_url=base, api_key=MASTER_KEY, http_client=http, timeout=120
        ) as client:
            messages: Any = MESSAGES
            create = client.chat.completions.create
            await create(model=MODEL, messages=messages, max_tokens=work.max_tokens)
            work.warm()
            # What it writes of a call it writes in the background.
            await asyncio.sleep(1)
            work.start()
            calls = [
                create(model=MODEL, messages=messages, max_tokens=work.max_tokens)
                for _ in range(work.calls)
            ]
            return answered(await asyncio.gather(*calls, return_exceptions=True))

    with _proxy(work) as base:
        return asyncio.run(ask(base))


def _config(work: Work) -> dict[str, Any]:
    params: dict[str, Any] = {
        "model": f"openai/{MODEL}", "api_base": work.api_base, "api_key": KEY,
    }  # fmt: skip
    if work.scenario == "cap":
        params["max_parallel_requests"] = work.cap
    if work.scenario == "rate":
        params["rpm"] = 60 * work.per_second
    config: dict[str, Any] = {"model_list": [{"model_name": MODEL, "litellm_params": params}]}
    if work.scenario == "budget":
        config["litellm_settings"] = {"max_budget": work.ceiling_usd, "budget_duration": "1d"}
    return config


@contextmanager
def _proxy(work: Work) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        # JSON is YAML.
        config.write_text(json.dumps(_config(work)))
        program = str(Path(sys.executable).with_name("litellm"))
        command = [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=folder,
                env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONPATH": "",
                     "LITELLM_MASTER_KEY": MASTER_KEY},
            )  # fmt: skip
        try:
            _wait(f"http://127.0.0.1:{port}/health/liveliness", process, Path(folder) / "log")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait(20)


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.3)
    said = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    raise SystemExit(f"the proxy did not start: {said[-1]}")


if __name__ == "__main__":
    compete(cap=run, rate=run, budget=run)
