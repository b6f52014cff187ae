"""`python -m tests.provider --port 0 --config JSON`: see `tests/provider/__init__.py`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import sys
import threading
from pathlib import Path

from pydantic import ValidationError

from tests.provider.app import Provider
from tests.provider.books.tokens import encoding
from tests.provider.config import Config
from tests.provider.wire import Connection

BACKLOG = 4096


async def serve(config: Config, *, port: int, log: Path | None, follow_stdin: bool) -> None:
    """Serves on 127.0.0.1 until SIGTERM or SIGINT (or, with `follow_stdin`, its end of file)."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    provider = Provider(config, log_path=log)
    # Loaded before the first call, or that call would take a second longer than the others.
    encoding("o200k_base").encode_ordinary("warm")
    server = await loop.create_server(
        lambda: Connection(provider.arrive), "127.0.0.1", port, backlog=BACKLOG
    )
    if follow_stdin:
        threading.Thread(target=_await_eof, args=(loop, stopped), daemon=True).start()
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(json.dumps({"url": url}), flush=True)
    await stopped.wait()
    server.close()


def _await_eof(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    # Not sys.stdin: its lock, held by a daemon thread, would abort the interpreter's shutdown.
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(stopped.set)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.provider", description="A strict OpenAI-compatible provider."
    )
    parser.add_argument("--port", type=int, default=0, help="0 (the default): any free port")
    parser.add_argument("--config", default="{}", help="JSON, or @FILE")
    parser.add_argument("--log", type=Path, help="append each call as a JSON line")
    parser.add_argument(
        "--follow-stdin", action="store_true", help="end when standard input is closed"
    )
    args = parser.parse_args()
    text = Path(args.config[1:]).read_text() if args.config.startswith("@") else args.config
    try:
        config = Config.model_validate(json.loads(text))
    except (ValidationError, json.JSONDecodeError) as error:
        print(f"--config: {error}", file=sys.stderr)
        return 2
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(serve(config, port=args.port, log=args.log, follow_stdin=args.follow_stdin))
    return 0


if __name__ == "__main__":
    sys.exit(main())
