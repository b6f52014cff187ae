"""A real PostgreSQL server for tests: in a temporary folder, started once, ended by its pid."""

import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import IO, Any, Protocol

import pytest

START_SECONDS = 30.0
PASSWORD = "s3cret-of-the-ledger"
_numbers = count()


def binaries() -> Path | None:
    """The folder of the server's programs, None where there is none."""
    found = shutil.which("pg_config")
    folders = []
    if found:
        done = subprocess.run([found, "--bindir"], capture_output=True, text=True, check=True)
        folders.append(Path(done.stdout.strip()))
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((each for each in folders if (each / "initdb").exists()), None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _someone() -> tuple[int, int] | None:
    """Whom the server runs as where we are root: it refuses to."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise RuntimeError("no user to run PostgreSQL as")


@dataclass
class PostgresServer:
    """A server on 127.0.0.1 and a socket, with durable commits. `start` and `kill` at will."""

    bin: Path
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp")))
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None
    log: "IO[bytes] | None" = None

    def __post_init__(self) -> None:
        self.owner = os.getpid()
        self.who = _someone()
        if self.who is not None:
            os.chown(self.folder, *self.who)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run(
            "initdb", "-D", str(self.data), "-U", "ledger", "--auth-local=trust",
            "--auth-host=scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-instructions",
            "--locale=C",
        )  # fmt: skip

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @cached_property
    def socket_url(self) -> str:
        return f"postgresql://ledger:{PASSWORD}@/postgres?host={self.folder}&port={self.port}"

    @cached_property
    def url(self) -> str:
        return f"postgresql://ledger:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def schema_url(self, schema: str | None = None) -> str:
        """A ledger of its own."""
        return f"{self.url}?schema={schema or f'ledger_{os.getpid()}_{next(_numbers)}'}"

    def start(self) -> None:
        """Returns when the server takes connections."""
        self.log = (self.folder / "server.log").open("ab")
        self.process = subprocess.Popen(
            [
                self.bin / "postgres", "-D", self.data, "-k", self.folder, "-p", str(self.port),
                "-c", "listen_addresses=127.0.0.1", "-c", "fsync=on", "-c", "shared_buffers=32MB",
                "-c", "max_connections=100",
            ],
            stdout=self.log,
            stderr=self.log,
            cwd=self.folder,
            **self._as(),
        )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "server.log").read_text()[-2000:])
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL to the server and all of its sessions, as when its machine loses power."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pids = [self.process.pid, *(int(pid) for pid in children.read_text().split())]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._ended()

    def stop(self) -> None:
        """End it at once, and remove its folder. Nothing in a forked child."""
        if os.getpid() != self.owner:
            return
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self._ended()
        shutil.rmtree(self.folder, ignore_errors=True)

    def sql(self, *statements: str) -> None:
        """Run statements, each by itself, as the server's owner beside the ledger."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            for each in statements:
                connection.execute(each.encode())

    def give(self, folder: Path) -> None:
        """Let the server write to a folder of ours, wherever it is."""
        if self.who is None:
            return
        os.chown(folder, *self.who)
        for above in folder.parents:
            if above.stat().st_uid == os.geteuid() and not above.stat().st_mode & 0o001:
                above.chmod(above.stat().st_mode | 0o001)

    def reload(self) -> None:
        """Have the settings that were altered taken in, and return when they hold."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            query = "SELECT pg_conf_load_time()"
            before = connection.execute(query).fetchone()
            connection.execute("SELECT pg_reload_conf()")
            while connection.execute(query).fetchone() == before:
                time.sleep(0.01)
        # The sessions are told one by one; nobody is let in before all of them were.
        self.sql("SELECT 1")

    def _ended(self) -> None:
        assert self.process is not None and self.log is not None
        self.process.wait(20)
        self.process = None
        self.log.close()

    def _ready(self) -> bool:
        done = subprocess.run(
            [self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
        )
        return done.returncode == 0

    def _as(self) -> dict[str, Any]:
        if self.who is None:
            return {}
        return {"user": self.who[0], "group": self.who[1], "extra_groups": []}

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self.bin / program, *arguments],
            check=True,
            capture_output=True,
            cwd=self.folder,
            **self._as(),
        )


def make_server() -> PostgresServer:
    """A server that runs. Skips the test, loudly, where none can be had."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: `uv sync --group dev`")
    folder = binaries()
    if folder is None:
        pytest.skip("no PostgreSQL server here: `apt-get install postgresql`")
    server = PostgresServer(folder)
    server.start()
    return server


_shared: list[PostgresServer] = []


def shared_server() -> PostgresServer:
    """The one server of this process's tests, started when it is first asked for. It ends with
    them (`stop_shared`, in `conftest`), or else with the process."""
    if not _shared:
        _shared.append(make_server())
        atexit.register(stop_shared)
    return _shared[0]


def stop_shared() -> None:
    """End it, if it was started."""
    while _shared:
        _shared.pop().stop()


# Tables that are never empty.
_ONE_ROW = {"meta", "clock", "listeners"}


class Closable(Protocol):
    """A store, as far as is asked here."""

    _closed: bool


@dataclass
class Ledgers:
    """An empty ledger a folder, in schemas of the shared server that are used again: making the
    tables takes longer than a test."""

    schemas: dict[Path, str] = field(default_factory=dict)
    opened: dict[str, list[Closable]] = field(default_factory=dict)
    tables: set[str] = field(default_factory=set)

    def url(self, folder: Path) -> str:
        """The same one for the same folder."""
        if folder not in self.schemas:
            self.schemas[folder] = self._empty() or f"ledger_{os.getpid()}_{next(_numbers)}"
        return shared_server().schema_url(self.schemas[folder])

    def opens(self, folder: Path, store: Closable) -> None:
        """A store on a folder's ledger: nobody else gets its schema before it is closed."""
        self.opened.setdefault(self.schemas[folder], []).append(store)

    def _empty(self) -> str | None:
        for schema, stores in self.opened.items():
            if all(each._closed for each in stores):
                tables = self._tables(schema) - _ONE_ROW
                # In one transaction.
                shared_server().sql(
                    "; ".join(
                        [
                            *(f"DELETE FROM {schema}.{table}" for table in tables),
                            f"DELETE FROM {schema}.meta WHERE key = 'ledger_id'",
                            f"UPDATE {schema}.clock SET version = 0, latest = 0, ahead = 0",
                            f"UPDATE {schema}.listeners SET until = '-infinity'",
                        ]
                    )
                )
                self.schemas = {f: each for f, each in self.schemas.items() if each != schema}
                stores.clear()
                return schema
        return None

    def _tables(self, schema: str) -> set[str]:
        if not self.tables:
            import psycopg

            with psycopg.connect(shared_server().url, autocommit=True) as connection:
                query = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s"
                self.tables = {name for (name,) in connection.execute(query, (schema,)).fetchall()}
        return self.tables


ledgers = Ledgers()
