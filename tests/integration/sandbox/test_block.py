"""The Sandbox block: which runtime it takes, what it counts under, what it refuses."""

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from prefect_governor import ConfigurationError, Governor, Limit, QueueTimeout, Sandbox
from prefect_governor.blocks import sandbox as face
from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.bubblewrap.runtime import BubblewrapRuntime
from prefect_governor.flows.cli.doctor.sandbox import sandbox as doctors
from tests.integration.sandbox.left import everything
from tests.integration.sandbox.runtimes import runtime_named
from tests.waiting import until


@pytest.fixture
def box() -> Sandbox:
    runtime_named("bubblewrap")
    return Sandbox(runtime="bubblewrap", memory_mib=64, seconds=10)


@pytest.fixture
def nothing_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has run no sandbox yet."""
    monkeypatch.setattr(face, "_proved", {})


def test_code_runs_with_the_blocks_bounds_and_leaves_its_files(
    box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "open('made.txt', 'w').write('x')\nprint(6 * 7)"
    result = asyncio.run(box.python(code, folder=tmp_path))
    assert (result.exit, result.stdout, result.files) == (0, "42\n", ("made.txt",))
    assert (tmp_path / "made.txt").read_text() == "x"
    # One without a folder of its own leaves none.
    (temporary := tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    hog = asyncio.run(box.python("x = b'x' * 200_000_000"))
    assert hog.reason == "out of memory at 64 MiB"
    assert list(temporary.iterdir()) == []
    assert box.bounds == SandboxBounds(memory_mib=64, seconds=10)


def test_without_any_runtime_code_is_refused_in_one_line_that_says_what_to_do(
    nothing_proved: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(ConfigurationError) as refused:
        asyncio.run(Sandbox().run(["/bin/touch", str(tmp_path / "ran")]))
    message = str(refused.value)
    assert "no code is run" in message and "bubblewrap is not installed: apt-get" in message
    assert "\n" not in message
    assert not (tmp_path / "ran").exists()
    (finding,) = doctors()
    assert finding.mark == "ok" and message in finding.text


def test_of_a_killed_process_the_next_start_removes_the_folder_of_its_program(
    box: Sandbox, home: Path
) -> None:
    program = (
        "import asyncio; from prefect_governor import Sandbox;"
        "asyncio.run(Sandbox(runtime='bubblewrap').run(['sleep', '1000']))"
    )
    killed = subprocess.Popen([sys.executable, "-c", program])
    try:
        until(lambda: everything()["folders"] == ["program"], seconds=30)
    finally:
        killed.kill()
        killed.wait()
    assert everything()["folders"] == ["program"]
    result = asyncio.run(box.python("open('made', 'w').write('x')"))
    assert result.files == ("made",)
    assert everything()["folders"] == []


def test_a_bubblewrap_that_fails_at_once_is_quoted_however_soon_it_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may be reaped before anybody has asked for it by its number."""
    with TemporaryDirectory() as folder:
        failing = Path(folder, "bwrap")
        failing.write_text("#!/bin/sh\necho 'bwrap: no namespaces for you' >&2\nexit 1\n")
        for each in (failing, failing.parent):
            each.chmod(0o755)
        monkeypatch.setenv("PATH", folder, prepend=os.pathsep)
        runtime = BubblewrapRuntime()

        async def refusals() -> set[str | None]:
            return {await runtime.refusal() for _ in range(12)}

        (said,) = asyncio.run(refusals())
    assert said is not None
    assert said.startswith("bubblewrap cannot make a sandbox here: bwrap: no namespaces for you: ")


def test_doctor_proves_the_runtime_by_what_it_holds_back(box: Sandbox) -> None:
    (finding,) = doctors()
    assert finding.mark == "ok"
    assert "it held back a network call, a write outside, a read of /root" in finding.text


def test_a_sandbox_takes_a_slot_of_the_governors_limit_and_waits_for_it(
    box: Sandbox, home: Path
) -> None:
    limit = Limit(tag="sandbox", counts="tasks", max_concurrent=1)
    governor = Governor.local("boxes", max_usd=1, limits=[limit], queue_timeout_seconds=0.3)
    with governor:
        assert asyncio.run(box.run(["true"])).exit == 0

        async def hold(entered: asyncio.Event, leave: asyncio.Event) -> None:
            async with governor.slot("sandbox"):
                entered.set()
                await leave.wait()

        async def work() -> None:
            entered, leave = asyncio.Event(), asyncio.Event()
            holding = asyncio.ensure_future(hold(entered, leave))
            await entered.wait()
            with pytest.raises(QueueTimeout):
                await box.run(["true"])
            leave.set()
            await holding
            assert (await box.run(["true"])).exit == 0

        asyncio.run(work())


def test_without_such_a_limit_as_many_run_at_once_as_the_machine_holds(
    box: Sandbox, home: Path
) -> None:
    async def work() -> list[int | None]:
        came = await asyncio.gather(*(box.run(["true"]) for _ in range(6)))
        return [each.exit for each in came]

    with Governor.local("no boxes", max_usd=1):
        assert asyncio.run(work()) == [0] * 6


@pytest.mark.parametrize(
    "fields",
    [
        {"memory_mib": 1},
        {"runtime": "none"},
        {"image": ""},
        {"limit": ""},
        {"seconds": 0},
        {"workspace_files": 1},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_bounds_that_are_none_are_refused_with_their_field(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        Sandbox.model_validate(fields)


@pytest.mark.parametrize("empty", ["", "  ", None])
def test_what_the_form_leaves_empty_is_not_given(empty: str | None) -> None:
    box = Sandbox(host=empty, container_runtime=empty)
    assert (box.host, box.container_runtime) == (None, None)
