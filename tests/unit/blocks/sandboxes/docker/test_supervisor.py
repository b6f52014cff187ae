"""The first process of a container, where it is none."""

import subprocess
import sys

from prefect_governor.blocks.sandboxes.docker.container import command


def test_it_kills_nobody_where_it_is_not_the_first_process() -> None:
    # Started as in a container: its first deed there would be to kill all that this user runs.
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        done = subprocess.run(
            [sys.executable, *command()],
            input=b"",
            capture_output=True,
            check=False,
        )
        assert done.returncode == 1
        assert b"first process of a sandbox's container" in done.stderr
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
