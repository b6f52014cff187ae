"""Containers of a real engine: whose they are, what becomes of them, what they are made with."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from prefect_governor.blocks.errors import ConfigurationError, SandboxLost
from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.docker.container import make
from prefect_governor.blocks.sandboxes.docker.ownership import Ownership
from prefect_governor.blocks.sandboxes.docker.runtime import DockerRuntime
from tests.engine import IMAGE, DockerEngine, NoEngine, engine, skip_loudly

pytestmark = [pytest.mark.docker]
BOUNDS = SandboxBounds(memory_mib=64, seconds=30)


async def test_the_next_program_of_a_cell_finds_what_the_last_one_left(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    (tmp_path / "in.txt").write_text("from the host")
    async with runtime.cell(tmp_path, BOUNDS) as cell:
        told = await cell.run(["sh", "-c", "cat in.txt; cat > out.txt; mkdir d"], stdin=b"said")
        assert (told.exit, told.stdout, told.files) == (0, "from the host", ("out.txt",))
        assert (tmp_path / "out.txt").read_text() == "said"
        told = await cell.run(["sh", "-c", "cat out.txt; rm in.txt"])
    assert (told.stdout, told.files) == ("said", ())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["d", "out.txt"]


async def test_a_program_gets_no_variable_of_ours_and_no_right(
    runtime: DockerRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "planted-key")
    looks = "env; id -u; grep -E 'Cap(Bnd|Eff)|NoNewPrivs|Seccomp:' /proc/self/status; echo >/x"
    async with runtime.cell(tmp_path, BOUNDS) as cell:
        told = await cell.run(["sh", "-c", looks], environment={"GIVEN": "1"})
    names = {line.partition("=")[0] for line in told.stdout.splitlines() if "=" in line}
    assert names == {"PATH", "HOME", "TMPDIR", "PWD", "GIVEN"}
    assert "planted-key" not in told.stdout
    rest = [line.split() for line in told.stdout.splitlines() if "=" not in line]
    assert rest == [
        ["10000"],
        ["CapEff:", "0" * 16],
        ["CapBnd:", "0" * 16],
        ["NoNewPrivs:", "1"],
        ["Seccomp:", "2"],
    ]
    assert "Read-only file system" in told.stderr


async def test_the_first_process_is_neither_killed_nor_read_by_what_it_starts(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    attack = (
        "import ctypes, os, signal\n"
        "for number in range(1, 65):\n"
        "    try: os.kill(1, number)\n"
        "    except OSError: pass\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.ptrace(16, 1, 0, 0))\n"
        "for name in ('mem', 'environ', 'fd/0', 'maps'):\n"
        "    try: print(open(f'/proc/1/{name}', 'rb').read(1))\n"
        "    except OSError as error: print(error.strerror)\n"
    )
    async with runtime.cell(tmp_path, BOUNDS) as cell:
        told = await cell.run(["python3", "-c", attack])
        assert told.stdout.splitlines() == ["-1", *["Permission denied"] * 4]
        assert (await cell.run(["sh", "-c", "echo on"])).stdout == "on\n"


async def test_what_a_program_leaves_running_is_over_when_it_has_ended(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    async with runtime.cell(tmp_path, BOUNDS) as cell:
        left = "setsid sh -c 'trap : TERM HUP; while :; do sleep 1; done' & echo started"
        before = time.monotonic()
        assert (await cell.run(["sh", "-c", left])).stdout == "started\n"
        assert time.monotonic() - before < 10
        found = await cell.run(["sh", "-c", "exec ls -d /proc/[0-9]*"])
    # The first process, and ls.
    assert len(found.stdout.split()) == 2


async def test_a_program_that_is_not_there_is_an_error_that_names_it(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    async with runtime.cell(tmp_path, BOUNDS) as cell:
        with pytest.raises(ConfigurationError, match=r"'nosuch' cannot be started .* No such file"):
            await cell.run(["nosuch"])
        assert (await cell.run(["true"])).exit == 0


async def test_no_cell_is_given_a_container_that_another_one_had(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    seen: list[str] = []

    async def item(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        async with runtime.cell(folder, BOUNDS) as cell:
            look = "cat /tmp/who /dev/shm/who who 2>/dev/null; echo $0 | tee /tmp/who /dev/shm/who"
            seen.append((await cell.run(["sh", "-c", look, str(number)])).stdout)

    await asyncio.gather(*(item(number) for number in range(4)))
    while runtime.pool.ready < 2:
        await asyncio.sleep(0.05)
    await asyncio.gather(*(item(4 + number) for number in range(4)))
    assert sorted(map(int, seen)) == list(range(8))
    # Some were made ahead: else nothing was shown.
    assert runtime.pool.given_ahead >= 2


async def test_a_cancelled_program_leaves_no_container_running_it(
    docker_engine: DockerEngine, owner: Ownership, tmp_path: Path
) -> None:
    runtime = DockerRuntime(IMAGE, docker_engine.host, owner=owner, warm=0)
    async with runtime.cell(tmp_path, BOUNDS) as cell:
        running = asyncio.create_task(cell.run(["sleep", "60"]))
        while "sleep 60" not in "".join(
            docker_engine.docker("top", each) for each in docker_engine.containers()
        ):
            await asyncio.sleep(0.05)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert docker_engine.containers() == []
        # It goes on, in another one.
        assert (await cell.run(["true"])).exit == 0
    assert docker_engine.containers() == []
    runtime.close()


@pytest.mark.chaos
async def test_the_containers_of_a_killed_process_are_gone_without_anybody_doing_anything(
    docker_engine: DockerEngine, tmp_path: Path
) -> None:
    holder = subprocess.Popen(
        [
            sys.executable, "-m", "tests.integration.sandbox.docker.holder",
            docker_engine.host, str(tmp_path / "owners"), "ledger", "8",
        ],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None
    try:
        for _ in range(8):
            assert holder.stdout.readline() == b"open\n"
        assert len(docker_engine.containers()) >= 8
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    killed = time.monotonic()
    while docker_engine.containers():
        assert time.monotonic() - killed < 60
        await asyncio.sleep(0.1)
    print(f"8 containers gone {time.monotonic() - killed:.1f} s after SIGKILL")


async def test_the_next_start_removes_what_the_dead_left_and_nothing_of_the_living(
    docker_engine: DockerEngine, tmp_path: Path
) -> None:
    here, elsewhere = Owner(tmp_path / "owners"), Owner(tmp_path / "elsewhere")
    dead, other = Owner(tmp_path / "owners"), Owner(tmp_path / "elsewhere")
    runtime = DockerRuntime(IMAGE, docker_engine.host, owner=Ownership("ledger", here))
    # A container that does not end with its owner, as where an engine lost the connection.
    for process, ledger in ((dead, "ledger"), (here, "ledger"), (other, "another")):
        labels = Ownership(ledger, process).labels()
        told = [part for name, value in labels.items() for part in ("--label", f"{name}={value}")]
        docker_engine.docker("run", "-d", "--network", "none", *told, IMAGE, "sleep", "600")
    dead.release()
    other.release()
    assert len(docker_engine.containers()) == 3
    try:
        assert await runtime.sweep() == 1
        assert await runtime.sweep() == 0
        # Of another ledger's nothing is known here: who uses that one removes it.
        assert len(docker_engine.containers()) == 2
        assert await DockerRuntime(
            IMAGE, docker_engine.host, owner=Ownership("another", elsewhere)
        ).sweep() == 1  # fmt: skip
    finally:
        for each in docker_engine.containers():
            docker_engine.docker("rm", "-f", each)
        runtime.close()


async def test_an_image_that_is_not_there_is_not_pulled_and_the_error_says_how_to_build_it(
    docker_engine: DockerEngine, owner: Ownership, tmp_path: Path
) -> None:
    runtime = DockerRuntime("prefect-governor-sandbox:absent", docker_engine.host, owner=owner)
    said = await runtime.refusal()
    assert said is not None and "deployments/sandbox/build" in said and ":absent" in said
    with pytest.raises(ConfigurationError, match=r"has no image .*none is pulled"):
        async with runtime.cell(tmp_path, BOUNDS):
            pass
    runtime.close()


async def test_an_image_whose_volumes_nothing_bounds_is_refused(
    docker_engine: DockerEngine, owner: Ownership, tmp_path: Path
) -> None:
    image = "prefect-governor-tests:volumes"
    docker_engine.docker(
        "build", "-q", "-t", image, "-", input=f"FROM {IMAGE}\nVOLUME /data\n".encode()
    )
    runtime = DockerRuntime(image, docker_engine.host, owner=owner)
    with pytest.raises(ConfigurationError, match=r"has volumes \(/data\)"):
        async with runtime.cell(tmp_path, BOUNDS):
            pass
    runtime.close()


async def test_no_engine_is_one_clear_line(owner: Ownership, tmp_path: Path) -> None:
    runtime = DockerRuntime(IMAGE, f"unix://{tmp_path}/none.sock", owner=owner)
    said = await runtime.refusal()
    assert said is not None and said.startswith("no Docker engine answers at unix://")
    runtime.close()


async def test_a_container_runtime_that_the_engine_does_not_know_is_named(
    docker_engine: DockerEngine, owner: Ownership, tmp_path: Path
) -> None:
    runtime = DockerRuntime(IMAGE, docker_engine.host, "runsc-absent", owner=owner)
    with pytest.raises(ConfigurationError, match="runsc-absent"):
        async with runtime.cell(tmp_path, BOUNDS):
            pass
    runtime.close()


@pytest.mark.chaos
async def test_an_engine_that_is_gone_in_the_midst_fails_the_item_and_ends_nothing_else(
    owner: Ownership, tmp_path: Path
) -> None:
    try:
        with engine() as doomed:
            runtime = DockerRuntime(IMAGE, doomed.host, owner=owner)
            with pytest.raises(SandboxLost, match="engine"):
                async with runtime.cell(tmp_path, BOUNDS) as cell:
                    assert (await cell.run(["true"])).exit == 0
                    threading.Timer(0.3, doomed.kill).start()
                    await cell.run(["sleep", "20"])
            runtime.close()
    except NoEngine as error:
        skip_loudly(f"NOT TESTED, no Docker engine: {error}")


async def test_a_container_has_every_bound_that_it_was_asked_for(
    runtime: DockerRuntime, docker_engine: DockerEngine, owner: Ownership
) -> None:
    container = await asyncio.to_thread(
        make, runtime.engine, IMAGE, BOUNDS, labels=owner.labels(), container_runtime=None
    )
    shown = docker_engine.docker("inspect", "--format", "{{json .HostConfig}}", container.id)
    await asyncio.to_thread(container.remove)
    told = json.loads(shown)
    assert (told["Memory"], told["MemorySwap"]) == (64 << 20, 64 << 20)
    assert (told["NanoCpus"], told["PidsLimit"]) == (1_000_000_000, 65)
    assert (told["NetworkMode"], told["ReadonlyRootfs"]) == ("none", True)
    assert (told["CapDrop"], told["CapAdd"]) == (["ALL"], None)
    assert told["SecurityOpt"] == ["no-new-privileges"]
    assert not told["Privileged"] and not told["Binds"] and not told.get("Mounts")
    assert "size=64m,nr_inodes=4097" in told["Tmpfs"]["/workspace"]
    assert {each["Name"]: each["Hard"] for each in told["Ulimits"]} == {
        "nofile": 256, "core": 0, "fsize": 65 << 20
    }  # fmt: skip


async def test_a_program_that_turns_the_kernel_on_its_sandbox_ends_only_that(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    # Of many small ones and the first process, the kernel takes the largest: the first.
    many = (
        "import os, time\n"
        "open('/proc/self/oom_score_adj', 'w').write('0')\n"
        "for _ in range(60):\n"
        "    if os.fork() == 0:\n"
        "        held = bytearray(os.urandom(3 << 20))\n"
        "        time.sleep(20)\n"
        "time.sleep(20)\n"
    )
    (tmp_path / "before").write_text("kept")
    async with runtime.cell(tmp_path, BOUNDS) as cell:
        told = await cell.run(["python3", "-c", many])
        assert (told.bound, told.reason) == ("memory", "out of memory at 64 MiB")
        assert (await cell.run(["cat", "before"])).stdout == "kept"


async def test_a_sandbox_takes_containers_where_an_engine_has_the_image(
    docker_engine: DockerEngine, home: Path
) -> None:
    from prefect_governor import Sandbox

    sandbox = Sandbox(image=IMAGE, host=docker_engine.host, memory_mib=64)
    runtime = await sandbox.chosen()
    assert runtime.name == "docker"
    told = await asyncio.gather(*(sandbox.python(f"print({n} * 7)") for n in range(3)))
    assert [each.stdout for each in told] == ["0\n", "7\n", "14\n"]
    assert isinstance(runtime, DockerRuntime)
    runtime.close()
    assert docker_engine.containers() == []
