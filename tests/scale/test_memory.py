"""Items that hold memory, in a container of a GiB: none is killed, and the report says why it took
its time."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.scale, pytest.mark.slow, pytest.mark.usefixtures("server")]

ROOT = Path("/sys/fs/cgroup")
LIMIT = 2**30
# What the items hold at the most leaves room for others; the page cache may fill the rest.
MOST_HELD = 0.92
CACHE_MIB = 400
ITEMS = int(os.environ.get("ADAPT_ITEMS", "60"))

PROGRAM = textwrap.dedent(
    """
    import asyncio, json, sys
    from prefect import flow, task
    from prefect_governor import GovernedTaskRunner, Governor, Limit
    from prefect_governor.blocks.figures.figures import current_figures
    from prefect_governor.blocks.limits.items import item_starts

    governor = Governor.local("memory", max_usd=1, limits=[Limit(tag="llm", max_concurrent=40)])
    most = 0

    @task(tags=["llm"])
    async def hold(number):
        global most
        most = max(most, item_starts().under_way)
        held = bytearray(50 * 2**20)
        for at in range(0, len(held), 4096):
            held[at] = 1
        await asyncio.sleep(1.0)
        return len(held)

    @flow(task_runner=GovernedTaskRunner(governor))
    def run(items):
        states = hold.map(list(range(items)), return_state=True)
        done = sum(state.is_completed() for state in states)
        with governor:
            limits = current_figures().limits
        print(json.dumps({"done": done, "most": most, "bottleneck": limits.bottleneck}))

    run(int(sys.argv[1]))
    """
)


@pytest.fixture
def group() -> Iterator[Path]:
    """A memory cgroup of a GiB."""
    if not (ROOT / "memory" / "memory.limit_in_bytes").exists():
        pytest.skip("needs the memory controller of cgroup v1, and the right to make a folder")
    folder = ROOT / "memory" / f"governor-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    try:
        (folder / "memory.limit_in_bytes").write_text(str(LIMIT))
        yield folder
    finally:
        folder.rmdir()


def run_within(group: Path, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A Python of its own, all of whose memory counts in the group."""
    within = f'echo $$ > {group / "cgroup.procs"} && exec "$@"'
    command = ["sh", "-c", within, "sh", sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


@contextmanager
def neighbour(group: Path, folder: Path) -> Iterator[None]:
    """Another process in the group, which fills its page cache and goes on reading."""
    file = folder / "neighbour"
    within = (
        f"echo $$ > {group / 'cgroup.procs'} && dd if=/dev/zero of={file} bs=1M count={CACHE_MIB}"
        f" status=none; while true; do cat {file} > /dev/null; sleep 1; done"
    )
    process = subprocess.Popen(["sh", "-c", within], start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Peak:
    """The most that the group's processes held, without page cache, looked at all the while."""

    def __init__(self, group: Path) -> None:
        self.held = 0
        self._stat = group / "memory.stat"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on)

    def _look_on(self) -> None:
        while not self._over.wait(0.02):
            lines = (line.split() for line in self._stat.read_text().splitlines())
            self.held = max(self.held, *(int(size) for name, size in lines if name == "total_rss"))

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def test_items_of_50_mib_under_a_gib(group: Path, tmp_path: Path) -> None:
    # What nothing holds back is killed by the kernel: else the group would not hold.
    control = run_within(group, f"held = [b'x' * 50 * 2**20 for _ in range({ITEMS})]")
    assert control.returncode == -9, control.stderr
    kills = _kills(group)
    with neighbour(group, tmp_path), Peak(group) as peak:
        done = run_within(group, PROGRAM, str(ITEMS))
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    usage = int((group / "memory.max_usage_in_bytes").read_text())
    print(
        f"\n{figures}; peak {peak.held / 2**20:,.0f} MiB of {LIMIT / 2**20:,.0f} held,"
        f" {usage / 2**20:,.0f} with page cache; killed {_kills(group) - kills}"
    )
    assert peak.held <= MOST_HELD * LIMIT
    assert _kills(group) == kills
    assert figures["done"] == ITEMS
    assert 4 <= figures["most"] < 20
    assert figures["bottleneck"] == "memory"


def _kills(group: Path) -> int:
    lines = (group / "memory.oom_control").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
