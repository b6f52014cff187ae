"""What a test and a process that it started tell each other comes through, whatever is printed."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests import ROOT
from tests.talk import Talk

# Text without a newline is left in the buffer of standard output, and a child that leaves by
# `os._exit` never flushes it; its parent's next line is glued to it.
GLUED = textwrap.dedent(
    """
    import os, sys
    from tests.talk import tell
    sys.stdout.write("a result" * 5000)
    for order in sys.stdin:
        pid = os.fork()
        if pid == 0:
            sys.stdout.write("{}")
            tell("child")
            os._exit(3)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        tell(order.strip())
    """
)


def test_what_is_told_is_not_glued_to_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Set where Python is run in containers, and then the fault does not show.
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    with (tmp_path / "stdout").open("w") as stdout:
        with Talk([sys.executable, "-c", GLUED], stdout=stdout) as talk:
            talk.say({"number": 1})
            assert [talk.hear(), talk.hear()] == ["child", '{"number": 1}']
        assert talk.process.returncode == 0


def test_process_that_tells_nothing_fails_the_test_in_time() -> None:
    with (
        pytest.raises(AssertionError, match=r"told nothing within 0\.1 s"),
        Talk([sys.executable, "-c", "import sys; sys.stdin.read()"]) as talk,
    ):
        talk.hear(0.1)
    with (
        pytest.raises(AssertionError, match="it has ended: 5"),
        Talk([sys.executable, "-c", "raise SystemExit(5)"]) as talk,
    ):
        talk.hear()


def test_children_are_interrupted_though_the_tests_were_started_with_sigint_ignored() -> None:
    """As `nohup`, `setsid` and a script's `&` start them."""
    child = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    program = f"""
import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
import tests.conftest
subprocess.run([sys.executable, "-c", {child!r}], check=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "True\n"


def test_test_that_hangs_is_ended_with_the_stacks_of_all_threads(tmp_path: Path) -> None:
    hanging = tmp_path / "test_hanging.py"
    hanging.write_text(
        textwrap.dedent(
            """
            import threading

            def wait_for_ever():
                threading.Event().wait()

            def test_hangs():
                threading.Thread(target=wait_for_ever, daemon=True).start()
                threading.Event().wait()
            """
        )
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(hanging), "--rootdir", str(tmp_path), "-q",
         "-n", "1", "-o", "timeout=2", "-o", "faulthandler_timeout=1"],
        capture_output=True, text=True, cwd=tmp_path, timeout=120,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "Timeout (>2.0s)" in said
    # As faulthandler shows them, of both threads.
    assert "in test_hangs" in said and "in wait_for_ever" in said
