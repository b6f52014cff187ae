"""What is summed from /proc where no cgroup counts, and the kernel's limits beside it."""

from pathlib import Path

from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.bubblewrap.account import NOBODY_ID, UNUSED_ID, Account
from prefect_governor.blocks.sandboxes.bubblewrap.processes import Summed, below, limits

BOUNDS = SandboxBounds(memory_mib=16, processes=3)


def process(
    proc: Path, pid: int, *children: int, rss: int = 1000, pss: int = 500, threads: int = 1
) -> None:
    task = proc / str(pid) / "task" / str(pid)
    task.mkdir(parents=True, exist_ok=True)
    (task / "children").write_text(" ".join(map(str, children)))
    status = f"Threads:\t{threads}\nRssAnon:\t{rss} kB\nRssFile:\t99999 kB\nRssShmem:\t0 kB\n"
    (proc / str(pid) / "status").write_text(status)
    (proc / str(pid) / "smaps_rollup").write_text(f"Rss: {rss} kB\nPss: {pss} kB\n")


def test_all_below_the_first_are_counted_and_nobody_else(tmp_path: Path) -> None:
    process(tmp_path, 1, 2, 3)
    process(tmp_path, 2, 4)
    process(tmp_path, 3)
    process(tmp_path, 4)
    process(tmp_path, 9)
    assert sorted(below(1, tmp_path)) == [1, 2, 3, 4]
    # One that has ended meanwhile is no failure.
    process(tmp_path, 2, 4, 5)
    assert sorted(below(1, tmp_path)) == [1, 2, 3, 4, 5]
    assert Summed(BOUNDS, proc=tmp_path).over(1) is None


def test_threads_are_processes_and_bubblewraps_own_is_none(tmp_path: Path) -> None:
    process(tmp_path, 1, 2)
    process(tmp_path, 2, threads=3)
    assert Summed(BOUNDS, proc=tmp_path).over(1) is None
    process(tmp_path, 2, threads=4)
    assert Summed(BOUNDS, proc=tmp_path).over(1) == "processes"


def test_pages_that_forked_processes_share_count_once(tmp_path: Path) -> None:
    process(tmp_path, 1, 2, 3)
    process(tmp_path, 2, rss=10_000, pss=5_000)
    process(tmp_path, 3, rss=10_000, pss=5_000)
    summed = Summed(BOUNDS, proc=tmp_path)
    assert summed.over(1) is None
    process(tmp_path, 3, rss=10_000, pss=12_000)
    assert summed.over(1) == "memory"
    assert summed.peak_bytes() == (500 + 5_000 + 12_000) * 1024


def test_the_kernel_limits_processes_only_where_it_counts_them_by_namespace() -> None:
    assert not any("nproc" in each for each in limits(BOUNDS, counted=False, release="5.13.19"))
    assert "--nproc=9" in limits(BOUNDS, counted=False, release="5.14.0-1-amd64")
    assert "--nproc=9" in limits(BOUNDS, counted=False, release="6.18.44-fc")
    counted = limits(BOUNDS, counted=True)
    assert not any(each.startswith(("--nproc", "--data")) for each in counted)
    assert {"--core=0", "--nofile=256", f"--fsize={64 * 1024 * 1024}"} <= {*counted}


def test_programs_of_root_are_started_as_a_user_that_nobody_is() -> None:
    whole = "         0          0 4294967295\n"
    assert Account.unprivileged(root=True, uid_map=whole).id == UNUSED_ID
    container = "         0     100000      65536\n"
    assert Account.unprivileged(root=True, uid_map=container).id == NOBODY_ID
    assert Account.unprivileged(root=False, uid_map=whole) == Account()
