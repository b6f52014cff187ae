"""The background server: one a home, whoever asks, however the last one ended."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.server.background import BackgroundServer, ServerInfo
from prefect_governor.flows.server.server import run_url
from tests.integration.databases import Databases
from tests.warm import WarmParent

CALL = """
import dataclasses, json, sys
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.server import server
told = []
try:
    found = {call}
except ConfigurationError as error:
    print(json.dumps({{"error": str(error)}}))
else:
    fields = found and dataclasses.asdict(found)
    print(json.dumps({{"found": fields, "told": told}}, default=str))
"""
ENSURE = "server.ensure_server(on_progress=told.append)"


def begin(
    home: Path, call: str, warm: WarmParent | None = None, **environment: str
) -> "subprocess.Popen[str]":
    """A process of its own that makes one call, as commands do; it imports all that it needs, or
    the warm parent has."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PREFECT_") and name != "LITELLM_LOCAL_MODEL_COST_MAP"
    }
    words = ("-c", textwrap.dedent(CALL.format(call=call)))
    return subprocess.Popen(
        [sys.executable, *words] if warm is None else warm.command(*words),
        env=clean | {"PREFECT_HOME": str(home)} | environment,
        # Prefect reads settings from the folder it stands in.
        cwd=home,
        stdout=subprocess.PIPE,
        text=True,
    )


def answer(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """What the call returned or raised."""
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    result: dict[str, Any] = json.loads(output)
    return result


def found(result: dict[str, Any]) -> Any:
    """What it returned; a failure shows what it raised instead."""
    assert "found" in result, result
    return result["found"]


def call(home: Path, text: str, warm: WarmParent, **environment: str) -> dict[str, Any]:
    return answer(begin(home, text, warm, **environment))


def get(url: str) -> str:
    request = urllib.request.Request(url, headers={"Accept": "text/html"})
    with urllib.request.urlopen(request, timeout=10) as response:
        text: str = response.read().decode()
        return text


@pytest.fixture
def home(tmp_path: Path, warm: WarmParent) -> Iterator[Path]:
    yield tmp_path
    call(tmp_path, "server.stop_server()", warm)


@pytest.fixture
def usual_port_taken() -> Iterator[bool]:
    """Whether 4200 is surely taken: by us, unless somebody is there already, who may leave."""
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            squatter.bind(("127.0.0.1", 4200))
            squatter.listen()
        except OSError:
            yield False
        else:
            yield True


def test_commands_at_once_share_one_server_and_it_outlives_a_crash(
    home: Path, usual_port_taken: bool, warm: WarmParent, databases: Databases
) -> None:
    with databases.begin(home):
        asked = [begin(home, ENSURE, each) for each in (warm, warm, warm, None)]
        answers = [found(each) for each in [answer(each) for each in asked]]

    assert [each["started"] for each in answers].count(True) == 1
    assert len({each["pid"] for each in answers}) == 1
    url, ui_url, pid = (answers[0][name] for name in ("url", "ui_url", "pid"))
    assert ":4200" not in url or not usual_port_taken
    assert {each["url"] for each in answers} == {url}

    # The page of a run opens, and its UI asks this server, not 4200.
    assert "<!DOCTYPE html>" in get(run_url(ui_url, "0199"))
    assert json.loads(get(f"{ui_url}/ui-settings"))["api_url"] == url

    shown = found(call(home, "server.status()", warm))
    assert (shown["server"]["pid"], shown["responding"]) == (pid, True)

    # A record that somebody broke must not lead to a second server on the same database.
    record = home / "governor" / "server.json"
    kept = record.read_text()
    record.write_text("{garbage")
    assert "does not say where" in call(home, ENSURE, warm)["error"]
    record.write_text(kept)

    # Killed, its record left behind: not taken for alive, and links to its pages go on working.
    os.kill(pid, signal.SIGKILL)
    again = found(call(home, ENSURE, warm))
    assert again["started"] and again["pid"] != pid
    assert again["url"] == url

    stopped = found(call(home, "server.stop_server()", warm))
    assert stopped["pid"] == again["pid"]
    with pytest.raises(urllib.error.URLError):
        get(f"{url}/health")
    assert found(call(home, "server.status()", warm))["server"] is None


def test_a_server_that_dies_at_start_shows_the_end_of_its_log(home: Path, warm: WarmParent) -> None:
    broken = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": "sqlite+aiosqlite:////no/such/folder/x.db"}
    said = call(home, ENSURE, warm, **broken)["error"]
    assert "ended while it started" in said
    assert "unable to open database file" in said


def test_a_configured_api_that_is_away_is_said_and_nothing_is_started(
    home: Path, warm: WarmParent
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/api"
        said = call(home, ENSURE, warm, PREFECT_API_URL=url)["error"]
    # `prefect config unset` changes the profile, and leaves a variable as it is.
    assert url in said and "`unset PREFECT_API_URL`" in said
    assert not (home / "governor" / "server.log").exists()


def test_threads_speak_to_the_server_that_was_chosen_after_prefect_was_imported(home: Path) -> None:
    asked = answer(
        begin(
            home,
            """[
            __import__("prefect"),
            server.use_server(server.ServerInfo("http://127.0.0.1:9/api", "http://127.0.0.1:9")),
            __import__("concurrent.futures").futures.ThreadPoolExecutor(1)
            .submit(lambda: told.append(str(server._settings().api.url))).result(),
        ] and None""",
        )
    )
    assert asked["told"] == ["http://127.0.0.1:9/api"]


class TestRecords:
    """What the record and the lock say, without starting anything."""

    @pytest.fixture
    def server(self, tmp_path: Path) -> BackgroundServer:
        return BackgroundServer(tmp_path / "governor")

    @pytest.fixture
    def innocent(self) -> Iterator["subprocess.Popen[bytes]"]:
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
            yield process
            process.kill()

    @pytest.fixture
    def held(self, server: BackgroundServer) -> Iterator[None]:
        """A live server's lock."""
        with (server.folder / "server.alive").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def test_a_recycled_process_id_is_not_the_server(
        self, server: BackgroundServer, innocent: "subprocess.Popen[bytes]"
    ) -> None:
        server.record.write_text(json.dumps({"pid": innocent.pid, "port": 4200}))
        assert server.running() is None

    @pytest.mark.usefixtures("held")
    def test_stopping_a_server_of_another_container_signals_nobody(
        self, server: BackgroundServer, innocent: "subprocess.Popen[bytes]"
    ) -> None:
        server.record.write_text(json.dumps({"pid": innocent.pid, "port": 4200}))
        running = server.running()
        assert running is not None
        with pytest.raises(ConfigurationError, match="Stop it there"):
            server.end(running, timeout_seconds=1)
        assert innocent.poll() is None

    @pytest.mark.usefixtures("held")
    def test_a_server_that_never_answers_is_an_error_and_not_a_hang(
        self, server: BackgroundServer
    ) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            server.record.write_text(json.dumps({"pid": 2, "port": unused.getsockname()[1]}))
            running = server.running()
            assert running is not None
            with pytest.raises(ConfigurationError, match="server stop"):
                server.wait(running, lambda _: None, timeout_seconds=0)

    @pytest.mark.parametrize("other", [True, False])
    def test_a_server_of_another_home_on_our_port_is_not_ours(
        self, server: BackgroundServer, other: bool
    ) -> None:
        """Two homes that start at once pick the same port; one of the two servers binds it."""
        home = "/another/home" if other else str(server.home)
        replies = {"/api/health": "true", "/api/admin/settings": json.dumps({"home": home})}

        class Server(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(replies[self.path].encode())

            def log_message(self, *_: object) -> None: ...

        with ThreadingHTTPServer(("127.0.0.1", 0), Server) as there:
            threading.Thread(target=there.serve_forever, daemon=True).start()
            base = f"http://127.0.0.1:{there.server_port}"
            assert server.answers(ServerInfo(f"{base}/api", base, pid=1)) is not other
            there.shutdown()

    @pytest.mark.parametrize(
        "garbage",
        ["", "{", "[]", "null", '{"pid": 1, "port": 4200}', '{"pid": "x", "port": 1}', "\x00\xff"],
    )
    @pytest.mark.usefixtures("held")
    def test_a_broken_record_of_a_live_server_is_refused_by_name(
        self, server: BackgroundServer, garbage: str
    ) -> None:
        server.record.write_text(garbage)
        with pytest.raises(ConfigurationError, match=r"server\.json"):
            server.running()

    def test_whoever_sees_the_server_live_finds_where_it_is(
        self, server: BackgroundServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another command looks just as the process was started."""
        seen: list[ServerInfo | None] = []

        class Observed(subprocess.Popen[bytes]):
            def __init__(self, command: list[str], **options: Any) -> None:
                super().__init__([sys.executable, "-c", "input()"], **options)
                seen.append(server.running())

        monkeypatch.setattr(subprocess, "Popen", Observed)
        with pytest.raises(ConfigurationError, match="ended while it started"):
            server.start(lambda _: None, timeout_seconds=30)
        assert seen[0] is not None and seen[0].url.endswith("/api")

    @pytest.mark.parametrize("garbage", ["", "{", "null"])
    def test_a_broken_record_of_a_dead_server_is_no_server(
        self, server: BackgroundServer, garbage: str
    ) -> None:
        server.record.write_text(garbage)
        assert server.running() is None
