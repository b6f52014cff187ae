"""A process that stood still says nothing of how long its calls took."""

import signal
import subprocess
import sys
import textwrap
import time

from prefect_governor.blocks.wire.standstill import LONGEST_SECONDS, Standstill


def test_a_long_time_between_two_looks_is_a_standstill_for_those_who_began_before() -> None:
    now = [100.0]
    still = Standstill(clock=lambda: now[0])
    before = still.watch()
    now[0] += LONGEST_SECONDS / 2
    still.look()
    assert not still.since(before)
    now[0] += LONGEST_SECONDS * 3
    still.look()
    assert still.since(before)
    assert not still.since(still.watch())


def test_who_goes_on_before_anybody_has_looked_knows_it_too() -> None:
    now = [100.0]
    still = Standstill(clock=lambda: now[0])
    before = still.watch()
    now[0] += LONGEST_SECONDS + 0.1
    assert still.since(before)


def test_a_process_that_is_stopped_by_a_signal_stood_still() -> None:
    program = textwrap.dedent(
        """
        import sys
        from prefect_governor.blocks.wire.standstill import standstill
        before = standstill.watch()
        for _ in sys.stdin:
            print(standstill.since(before), flush=True)
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None

        def asked() -> str:
            process.stdin.write("?\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            return process.stdout.readline().strip()  # type: ignore[union-attr]

        assert asked() == "False"
        process.send_signal(signal.SIGSTOP)
        # What is waited for is the process's own clock.
        time.sleep(LONGEST_SECONDS + 0.5)
        process.send_signal(signal.SIGCONT)
        assert asked() == "True"
        process.stdin.close()
