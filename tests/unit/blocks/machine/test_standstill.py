"""A process that stood still says nothing of how long its calls took."""

import signal
import sys
import textwrap
import time

from prefect_governor.blocks.machine.standstill import LONGEST_SECONDS, Standstill
from tests.talk import Talk
from tests.unit.clocks import Seconds


def test_a_long_time_between_two_looks_is_a_standstill_for_those_who_began_before() -> None:
    clock = Seconds()
    still = Standstill(clock=clock)
    before = still.watch()
    clock.now += LONGEST_SECONDS / 2
    still.look()
    assert not still.since(before)
    clock.now += LONGEST_SECONDS * 3
    still.look()
    assert still.since(before)
    assert not still.since(still.watch())


def test_who_goes_on_before_anybody_has_looked_knows_it_too() -> None:
    clock = Seconds()
    still = Standstill(clock=clock)
    before = still.watch()
    clock.now += LONGEST_SECONDS + 0.1
    assert still.since(before)


def test_a_process_that_is_stopped_by_a_signal_stood_still() -> None:
    program = textwrap.dedent(
        """
        import sys
        from prefect_governor.blocks.machine.standstill import standstill
        from tests.talk import tell
        before = standstill.watch()
        for _ in sys.stdin:
            tell(standstill.since(before))
        """
    )
    with Talk([sys.executable, "-c", program]) as talk:

        def asked() -> bool:
            talk.say()
            return bool(talk.hear())

        assert not asked()
        talk.process.send_signal(signal.SIGSTOP)
        # What is waited for is the process's own clock.
        time.sleep(LONGEST_SECONDS + 0.5)
        talk.process.send_signal(signal.SIGCONT)
        assert asked()
