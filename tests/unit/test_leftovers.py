"""A run of the tests that is ended in the middle leaves nothing running."""

import os
import signal
import subprocess
import sys
import textwrap

import psutil
import pytest

from tests import leftovers
from tests.talk import Talk
from tests.waiting import until

# As a server is started: in a session of its own.
STARTS = textwrap.dedent(
    """
    import subprocess, sys
    from tests.leftovers import end_with_this_process
    from tests.talk import tell
    end_with_this_process()
    server = [sys.executable, "-c", "import time; time.sleep(600)"]
    started = subprocess.Popen(server, start_new_session=True)
    tell(started.pid)
    sys.stdin.read()
    """
)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_server_ends_with_tests_that_are_ended(how: signal.Signals) -> None:
    unmarked = {name: value for name, value in os.environ.items() if name != leftovers.MARK}
    with Talk([sys.executable, "-c", STARTS], env=unmarked, stderr=subprocess.DEVNULL) as talk:
        server = psutil.Process(talk.hear())
        assert server.is_running()
        talk.process.send_signal(how)
        until(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)


def test_what_another_run_has_started_is_left() -> None:
    """Two runs at a time, of two checkouts."""
    with Talk([sys.executable, "-c", "import sys; sys.stdin.read()"]) as ours:
        assert psutil.Process(ours.process.pid) in leftovers.marked(os.environ[leftovers.MARK])
        assert leftovers.marked("another") == []
