"""The background server of one `PREFECT_HOME`: its process, its record, its locks, its log.

The server process inherits a file lock from whoever started it, so that its life is a fact the
kernel keeps: a recycled process id, a stale record or a crash cannot be mistaken for it.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.machine.files import write_whole
from prefect_governor.blocks.machine.private import make_folder, open_file
from prefect_governor.blocks.prefect_internals.settings import durable_lease_storage
from prefect_governor.flows.server import process as program
from prefect_governor.flows.server.tuning import for_ours

HOST = "127.0.0.1"
USUAL_PORT = 4200
_POLL_SECONDS = 0.2
_PORT_ATTEMPTS = 3

Progress = Callable[[str], None]


@dataclass(frozen=True)
class ServerInfo:
    """A server's addresses. `pid` is None where it is not ours; `started` says by this call."""

    url: str
    ui_url: str
    started: bool = False
    pid: int | None = None


class BackgroundServer:
    """Finds, starts and ends it. `folder` is where its state is kept; its parent the home."""

    def __init__(self, folder: Path) -> None:
        folder = folder.absolute()
        if not folder.is_dir():
            make_folder(folder)
        self.home = folder.parent
        self.folder = folder
        self.record = folder / "server.json"
        self.log = folder / "server.log"
        self._alive = folder / "server.alive"

    @contextlib.contextmanager
    def only_one(self, say: Progress) -> Iterator[None]:
        """One command at a time starts or stops the server; the others wait here."""
        with _opened(self.folder / "server.starting") as descriptor:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("waiting for Prefect's server, which another command is starting")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield

    def running(self) -> ServerInfo | None:
        """Our server if its process is alive, whether or not it answers yet.

        Raises `ConfigurationError` when it lives and its record cannot be read.
        """
        with _opened(self._alive) as descriptor:
            try:
                # Shared, so that two who ask at once do not take each other for the server.
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            else:
                return None
        recorded = self._recorded()
        if recorded is None:
            raise ConfigurationError(
                f"A Prefect server of ours runs, but {self.record} does not say where. End the "
                f"process whose command line holds 'server start --host {HOST}', then "
                "run this again."
            )
        pid, port = recorded
        return _info(port, pid=pid)

    def start(self, say: Progress, timeout_seconds: float) -> ServerInfo:
        """Start it and wait until it answers. Another port is tried if somebody was faster."""
        say("starting Prefect's server in the background, once")
        deadline = time.monotonic() + timeout_seconds
        for _ in range(_PORT_ATTEMPTS):
            info = self._spawn(self._port())
            try:
                return self.wait(info, say, deadline - time.monotonic())
            except _PortTaken:
                continue
        raise ConfigurationError(
            f"No port for Prefect's server: {_PORT_ATTEMPTS} were taken by others while it "
            "started. Start one with `prefect server start --port N` and set PREFECT_API_URL."
        )

    def wait(self, info: ServerInfo, say: Progress, timeout_seconds: float) -> ServerInfo:
        """`info`, once the server answers. Raises `ConfigurationError` if it ends or does not."""
        begun = time.monotonic()
        told = 0
        while not self.answers(info):
            if self.running() is None:
                if not _free(_port_of(info)):
                    raise _PortTaken
                raise ConfigurationError(
                    f"Prefect's server ended while it started. Its log, {self.log}, ends:\n"
                    f"{self._log_end()}"
                )
            elapsed = time.monotonic() - begun
            if elapsed > timeout_seconds:
                raise ConfigurationError(
                    f"Prefect's server (process {info.pid}) has not answered at {info.url} for "
                    f"{elapsed:.0f} s. Run `prefect-governor server stop` and try again. "
                    f"Its log, {self.log}, ends:\n{self._log_end()}"
                )
            if elapsed >= told + 5:
                told = int(elapsed)
                say(f"waiting for Prefect's server, {told} s")
            time.sleep(_POLL_SECONDS)
        return info

    def answers(self, info: ServerInfo) -> bool:
        """Whether our server answers at its address, and not that of another home which was faster
        to bind the port."""
        if not healthy(info.url):
            return False
        home = _home_of(info.url)
        return home is None or Path(home).absolute() == self.home

    def end(self, info: ServerInfo, timeout_seconds: float) -> None:
        """SIGTERM, and SIGKILL when `timeout_seconds` did not do; returns when it is gone.

        Raises `ConfigurationError` where the recorded process is not the server, as seen from
        here: the home is shared with another container or machine.
        """
        if info.pid is None or not _is_server(info.pid, _port_of(info)):
            raise ConfigurationError(
                f"Prefect's server of {self.home} runs, but not as process {info.pid} here: in "
                "another container or on another machine, it seems. Stop it there."
            )
        killed_at = time.monotonic() + timeout_seconds
        with contextlib.suppress(ProcessLookupError):
            os.kill(info.pid, signal.SIGTERM)
            while self.running():
                if time.monotonic() > killed_at:
                    os.kill(info.pid, signal.SIGKILL)
                time.sleep(_POLL_SECONDS / 4)

    def _spawn(self, port: int) -> ServerInfo:
        command = [sys.executable, "-m", program.__name__, "server", "start"]
        with _opened(self._alive) as alive, open_file(self.log) as log:
            # Before the lock: whoever sees the server live finds where it is.
            self._write_record(port, pid=None)
            fcntl.flock(alive, fcntl.LOCK_EX)
            process = subprocess.Popen(
                [*command, "--host", HOST, "--port", str(port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Not ours: a `prefect.toml` or `.env` of the folder we stand in is for flows.
                cwd=self.folder,
                env=self._environment(port),
                start_new_session=True,
                pass_fds=(alive,),
            )
            self._write_record(port, pid=process.pid)
        # Should it end before us, it is not left a zombie.
        threading.Thread(target=process.wait, name="server-reaper", daemon=True).start()
        return _info(port, pid=process.pid, started=True)

    def _environment(self, port: int) -> dict[str, str]:
        # Leases outlive a restart of the server; in memory they would be lost, and their slots
        # taken for ever. Whoever set another storage keeps it.
        leases = durable_lease_storage()
        kept = {} if leases is None else {"PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": leases}
        return {
            **for_ours(_given()),
            **kept,
            **os.environ,
            # The same home, so the same database.
            "PREFECT_HOME": str(self.home),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            # Without it the UI of a server on another port asks 4200.
            "PREFECT_UI_API_URL": _info(port).url,
        }

    def _port(self) -> int:
        """The last one, so that links go on working; else the usual one; else any free one."""
        recorded = self._recorded()
        for port in (recorded[1] if recorded else USUAL_PORT, USUAL_PORT):
            if _free(port):
                return port
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            return int(probe.getsockname()[1])

    def _write_record(self, port: int, *, pid: int | None) -> None:
        write_whole(self.record, json.dumps({"pid": pid, "port": port}))

    def _recorded(self) -> tuple[int | None, int] | None:
        """(process id, port) as last recorded, the first None for the moment of the start.

        None where there is no such record.
        """
        try:
            record = json.loads(self.record.read_text())
            pid = None if record["pid"] is None else int(record["pid"])
            port = int(record["port"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        sound = (pid is None or pid > 1) and 0 < port < 2**16
        return (pid, port) if sound else None

    def _log_end(self, lines: int = 15) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.rstrip().splitlines()[-lines:]) or "(empty)"


class _PortTaken(Exception):
    """Somebody bound the port between our look and the server's."""


def healthy(url: str) -> bool:
    """Whether the Prefect API at a loopback `url` answers."""
    # A proxy of the environment has no business with the loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/health", timeout=5) as response:
            return bool(response.read(16) == b"true")
    except (OSError, ValueError):
        return False


def _home_of(url: str) -> str | None:
    """The `PREFECT_HOME` of the server at a loopback `url`; None where it does not say, as one
    that wants a key."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/admin/settings", timeout=5) as response:
            home = json.load(response).get("home")
    except (OSError, ValueError, AttributeError):
        return None
    return home if isinstance(home, str) else None


def _given() -> Mapping[str, str]:
    """The settings that a person gave Prefect, by their variables: in the environment, a profile
    or a file."""
    from prefect.settings import get_current_settings

    return get_current_settings().to_environment_variables(exclude_unset=True)


def _info(port: int, *, pid: int | None = None, started: bool = False) -> ServerInfo:
    base = f"http://{HOST}:{port}"
    return ServerInfo(url=f"{base}/api", ui_url=base, started=started, pid=pid)


def _port_of(info: ServerInfo) -> int:
    return int(info.ui_url.rpartition(":")[2])


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers bind: a connection that lingers from the last one does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _is_server(pid: int, port: int) -> bool:
    """Whether process `pid`, as seen from here, is a Prefect server on `port`."""
    if Path("/proc/self/cmdline").exists():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
    else:
        ps = ["ps", "-p", str(pid), "-o", "command="]
        words = subprocess.run(ps, capture_output=True, check=False).stdout.split()
    return {b"server", b"start", str(port).encode()} <= set(words)
