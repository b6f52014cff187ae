"""Tasks that write the same key take turns, in whichever processes they are."""

import subprocess
from collections import Counter
from pathlib import Path
from threading import Barrier, Thread

from prefect_governor import Budget, Governor
from prefect_governor.flows.server.background import ServerInfo
from tests.integration.governing import loaded_as
from tests.integration.research.writers import KEY, PARTIES, WRITERS, meet, notes, write
from tests.provider.process import ProviderProcess
from tests.warm import WarmParent


def test_two_researches_and_a_script_that_write_one_key_never_overlap(
    server: ServerInfo, upstream: ProviderProcess, tmp_path: Path, warm: WarmParent
) -> None:
    Governor(budget=Budget(max_usd=1, window="total")).save("writers", overwrite=True)
    governor = loaded_as(Governor, "writers")
    processes = [
        subprocess.Popen(
            warm.command(
                "-m", "tests.integration.research.writers", str(tmp_path), name, "writers"
            ),
            stderr=subprocess.PIPE, text=True,
        )
        for name in PARTIES if name != "here"
    ]  # fmt: skip
    try:
        meet(tmp_path, "here")
        for _ in range(WRITERS):
            with governor.exclusive(KEY):
                write(tmp_path, "here")
        for process in processes:
            _, stderr = process.communicate(timeout=120)
            assert process.returncode == 0, stderr
    finally:
        for process in processes:
            process.kill()
    found = Counter(notes(tmp_path))
    alone = {name: found["alone", name] for name in PARTIES}
    print(f"alone {alone}, overlaps {sum(found['overlap', name] for name in PARTIES)}")
    assert alone == dict.fromkeys(PARTIES, WRITERS)
    # What writes nothing did overlap, or the tasks above proved nothing.
    assert found["free", "first"] == found["free", "second"] == 1


def test_without_the_key_writers_are_noticed_in_each_others_way(tmp_path: Path) -> None:
    """The control."""
    barrier = Barrier(2)

    def run(name: str) -> None:
        for _ in range(20):
            barrier.wait(20)
            write(tmp_path, name)

    threads = [Thread(target=run, args=(name,)) for name in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert any(kind == "overlap" for kind, _ in notes(tmp_path))
