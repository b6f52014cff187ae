"""The doctor on broken setups of a machine and of its server: the right line, the right mend, and
then it is ok. Commands are run as they stand; of the environment's, the variable is set."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import VariableCreate

from prefect_governor import Budget, Governor
from prefect_governor.blocks.context.enforcement import BREAK_GLASS
from prefect_governor.blocks.documents.identity import variable_name
from prefect_governor.blocks.leases import prefect_limits
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.work.ledgers import LEDGER_URL
from prefect_governor.flows.cli.doctor import Finding, examine
from prefect_governor.flows.cli.doctor.documents import Documents
from prefect_governor.flows.cli.doctor.examine import state_of_machine
from prefect_governor.flows.cli.doctor.governors import governors
from prefect_governor.flows.cli.doctor.machine import enforcement, no_cron, schedules_run
from prefect_governor.flows.cli.doctor.servers import Servers
from prefect_governor.flows.server import asking
from prefect_governor.flows.server.background import ServerInfo
from tests.integration.cli.setups.between import changing, configured, silent
from tests.integration.cli.setups.setup import about, wrong
from tests.integration.governing import document_of
from tests.postgres import free_port

IS_ROOT = os.geteuid() == 0


@pytest.fixture
def ledger(home: Path) -> Path:
    """A ledger in a home of its own."""
    path = home / "governor" / "ledger.sqlite"
    SQLiteStore(path).close()
    assert wrong(list(state_of_machine())) == []
    return path


def the_one(findings: Iterator[Finding]) -> Finding:
    """The only thing that is wrong, said once."""
    (found,) = wrong(list(findings))
    return found


def run(command: str) -> None:
    """As it stands, in a shell: root needs no sudo, and has none here."""
    subprocess.run(["bash", "-c", command.removeprefix("sudo ")], check=True)


def set_as(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `export NAME=value` does."""
    word, text = shlex.split(command)
    name, _, value = text.partition("=")
    assert word == "export"
    monkeypatch.setenv(name, value)


def test_a_ledger_that_others_may_open_is_shut(ledger: Path) -> None:
    ledger.chmod(0o644)
    found = the_one(state_of_machine())
    assert (found.mark, found.about) == ("warn", "ledger")
    assert "has mode 0644" in found.text
    run(str(found.command))
    assert ledger.stat().st_mode & 0o777 == 0o600
    assert wrong(list(state_of_machine())) == []


@pytest.mark.skipif(not IS_ROOT, reason="only root can give a file away")
def test_a_ledger_of_another_user_is_taken_back(ledger: Path) -> None:
    os.chown(ledger, 65534, 65534)
    found = the_one(state_of_machine())
    assert (found.mark, found.about) == ("warn", "ledger")
    assert "another user's (uid 65534)" in found.text
    run(str(found.command))
    assert wrong(list(state_of_machine())) == []


def test_a_ledger_that_is_none_is_put_aside(ledger: Path) -> None:
    ledger.write_bytes(b"not a database" * 100)
    found = the_one(state_of_machine())
    assert (found.mark, found.about) == ("fail", "ledger")
    run(str(found.command))
    assert "none yet" in about(list(state_of_machine()), "ledger")[0].text
    assert ledger.with_name(f"{ledger.name}.broken").exists()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that root cannot write")
def test_a_home_that_cannot_be_written_is_said_even_to_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_HOME", "/proc/governors")
    found = the_one(state_of_machine())
    assert (found.mark, found.about) == ("fail", "state")
    assert "/proc/governors/governor (PREFECT_HOME) is not writable" in found.text
    set_as(str(found.command).replace("…", str(tmp_path)), monkeypatch)
    assert wrong(list(state_of_machine())) == []


@pytest.mark.skipif(not IS_ROOT, reason="only root can mount a small disk")
def test_a_home_on_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        monkeypatch.setenv("PREFECT_HOME", str(small / "home"))
        found = the_one(state_of_machine())
        assert (found.mark, found.about) == ("warn", "state")
        assert "1 MiB are left" in found.text and str(found.command).startswith("du ")
        with suppress(OSError), (small / "fill").open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        full = the_one(state_of_machine())
        assert (full.mark, full.about) == ("fail", "state")
        assert "No space left on device" in full.text
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_ledger_on_a_postgresql_that_is_away_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "hush-12345678"
    url = f"postgresql://me:{secret}@127.0.0.1:{free_port()}/gone"
    monkeypatch.setenv(LEDGER_URL, url)
    found = the_one(state_of_machine())
    assert (found.mark, found.about) == ("fail", "ledger")
    assert "/gone" in found.text and secret not in str(found)
    assert found.command == f"export {LEDGER_URL}=…"


@pytest.mark.parametrize(
    ("prefect", "whenever", "python", "broken"),
    [("3.9.1", "0.10.5", (3, 11), True), ("3.9.1", "0.11.0", (3, 11), False),
     ("3.8.8", "0.10.5", (3, 11), False), ("3.9.1", "0.10.5", (3, 12), False),
     ("3.10.0", "0.9.0", (3, 11), True), ("4.0.0rc1", "1.0.0", (3, 11), False)],
)  # fmt: skip
def test_an_environment_whose_cron_schedules_make_no_runs_is_known(
    prefect: str, whenever: str, python: tuple[int, int], broken: bool
) -> None:
    assert (no_cron(prefect, whenever, python=python) is not None) is broken


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="Python 3.11 alone is broken so")
def test_a_package_with_which_cron_schedules_make_no_runs_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(schedules_run()) == []
    # As it is installed: these stand before what else is.
    for name, version in (("whenever", "0.10.5"), ("prefect", "3.9.1")):
        metadata = tmp_path / f"{name}-{version}.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = the_one(schedules_run())
    assert (found.mark, found.about) == ("warn", "whenever")
    assert "0.10.5" in found.text and "no runs of cron schedules" in found.text
    assert str(found.command).endswith("-m pip install -U 'whenever>=0.11'")
    (tmp_path / "whenever-0.10.5.dist-info").rename(tmp_path / "old")
    assert list(schedules_run()) == []


def test_enforcement_that_was_left_off_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BREAK_GLASS, "INC-7")
    found = the_one(enforcement())
    assert found.mark == "warn" and found.command == f"unset {BREAK_GLASS}"
    monkeypatch.delenv(BREAK_GLASS)
    assert list(enforcement()) == []


def test_an_address_where_no_server_is_is_said_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with configured(url):
        found = the_one(examine())
    assert (found.mark, found.about) == ("fail", "server")
    assert url in found.text and "refused" in found.text
    assert found.command == "prefect config unset PREFECT_API_URL --yes"
    with configured(None):
        (after,) = Servers().findings()
    assert after.mark == "ok"


def test_a_server_that_never_answers_makes_nobody_wait(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (prefect_limits, asking):
        monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.5)
    with silent() as url, configured(url):
        began = time.monotonic()
        found = the_one(examine())
    assert time.monotonic() - began < 20
    assert (found.mark, found.about) == ("fail", "server")
    assert "does not answer: not within 0.5 s" in found.text


def test_what_hangs_is_left_and_said(home: Path) -> None:
    with silent() as url, configured(url):
        found = list(examine(seconds=0.3))
    (late,) = about(found, "server")
    assert late.mark == "fail" and "something does not answer" in late.text


def used() -> Iterator[Finding]:
    """What is said of the server that is used; ours runs beside it, behind it, which is said."""
    for each in Servers().findings():
        if each.about != "background server":
            yield each


@contextmanager
def settings(server: ServerInfo, place: tuple[str, ...], value: object) -> Iterator[None]:
    def change(path: str, body: object) -> object:
        if path == "/admin/settings" and isinstance(body, dict):
            at = body
            for part in place[:-1]:
                at = at[part]
            at[place[-1]] = value
        return body

    with changing(server.url, change):
        yield


MEMORY = "prefect.server.concurrency.lease_storage.memory"
SETTINGS = [
    (("server", "concurrency", "lease_storage"), MEMORY, "keeps leases in memory"),
    (("server", "services", "task_run_recorder", "batch_size"), 1, "a transaction for each event"),
    (("server", "services", "event_persister", "batch_size"), 20, "a transaction for 20 events"),
]


@pytest.mark.parametrize(("place", "value", "text"), SETTINGS, ids=lambda each: str(each)[:30])
def test_a_setting_that_costs_is_said_with_the_command_that_sets_it(
    server: ServerInfo,
    tmp_path: Path,
    place: tuple[str, ...],
    value: object,
    text: str,
) -> None:
    with settings(server, place, value):
        found = the_one(used())
    assert (found.mark, found.about) == ("warn", "server")
    assert text in found.text
    command = str(found.command)
    assert command.startswith(f"prefect config set PREFECT_{'_'.join(place).upper()}=")
    with settings(server, place, _typed(command.rpartition("=")[2])):
        assert wrong(list(used())) == []


def test_a_background_server_that_nobody_uses_is_said_and_one_that_is_used_is_not(
    server: ServerInfo,
) -> None:
    with changing(server.url, lambda _, body: body):
        (found,) = about(list(Servers().findings()), "background server")
    assert found.mark == "warn" and found.command == "prefect-governor server stop"
    with configured(server.url.replace("127.0.0.1", "localhost")):
        assert about(list(Servers().findings()), "background server") == []


def test_a_server_of_an_older_release_is_said(server: ServerInfo) -> None:
    with changing(server.url, lambda path, body: "3.1.0" if path == "/admin/version" else body):
        found = the_one(used())
    assert (found.mark, found.about) == ("warn", "server")
    assert "Prefect 3.1.0 is older than" in found.text
    assert str(found.command).startswith("pip install -U 'prefect>=")


@pytest.mark.parametrize(
    ("ahead", "mark", "text"),
    [(30, "warn", " s behind the server's"), (-3600, "fail", " s ahead of the server's")],
)
def test_clocks_that_are_apart_are_said(
    server: ServerInfo, ahead: float, mark: str, text: str
) -> None:
    with changing(server.url, lambda _, body: body, ahead_seconds=ahead):
        found = the_one(used())
    assert (found.mark, found.about) == (mark, "clock")
    assert text in found.text and found.command == "sudo timedatectl set-ntp true"


def test_a_home_whose_ledger_is_not_the_blocks_is_pointed_to_the_one_that_is(
    server: ServerInfo, ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    there = tmp_path / "there" / "governor"
    store = SQLiteStore(there / "ledger.sqlite")
    store.close()
    block = Governor(budget=Budget(max_usd=1))
    block.save(name)
    told = {"ledger": store.ledger_id, "host": os.uname().nodename, "home": str(there)}
    variable = variable_name(str(document_of(block)))
    with get_client(sync_client=True) as client:
        client.create_variable(VariableCreate(name=variable, value=told))

    def found() -> list[Finding]:
        return about(list(governors(Documents(server.ui_url, ledger=True))), f"governor {name!r}")

    (other,) = wrong(found())
    assert other.mark == "fail" and store.ledger_id[:8] in other.text
    set_as(str(other.command), monkeypatch)
    assert wrong(found()) == []


def _typed(text: str) -> object:
    return int(text) if text.isdecimal() else text
