"""How a test talks with a process that it starts: a JSON value a line, on a pipe of their own.

Standard output is anybody's: a program's own result stands there, what a library prints, and what a
forked child never flushed. So what is told has a pipe that nothing else writes to.
"""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from types import TracebackType
from typing import IO, Any

from typing_extensions import Self

from tests import ROOT
from tests.waiting import readable

# The variable that says which.
PIPE = "PREFECT_GOVERNOR_TESTS_PIPE"


def tell(value: Any) -> None:
    """In the process that was started, or in a child that it forked: say something to the test."""
    os.write(int(os.environ[PIPE]), json.dumps(value).encode() + b"\n")


class Talk:
    """The process, from the test. At the end of the `with` its input ends; it is killed where it
    does not end by itself.

    Args:
        command: it runs at the root of the checkout, and calls `tell`.
        env: its environment; by default the test's own.
        stdout, stderr: as `subprocess.Popen` has them. Both are the test's own by default.
    """

    def __init__(
        self,
        command: list[str],
        *,
        env: Mapping[str, str] | None = None,
        stdout: IO[Any] | int | None = None,
        stderr: IO[Any] | int | None = None,
    ) -> None:
        self._read, write = os.pipe()
        try:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**(os.environ if env is None else env), PIPE: str(write)},
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                pass_fds=(write,),
            )
        finally:
            os.close(write)
        self._pending = b""

    def say(self, value: Any = None) -> None:
        """A line on its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(value).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self, seconds: float = 60.0) -> Any:
        """What it tells next."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._pending:
            left = deadline - time.monotonic()
            assert left > 0, f"it told nothing within {seconds} s"
            self._take(left)
        line, _, self._pending = self._pending.partition(b"\n")
        return json.loads(line)

    def overhear(self, seconds: float = 0.0) -> list[Any]:
        """All that it has told by now; waits so long at most for there to be something."""
        if b"\n" not in self._pending:
            self._take(seconds)
        *lines, self._pending = self._pending.split(b"\n")
        return [json.loads(line) for line in lines]

    def _take(self, seconds: float) -> None:
        if not readable(self._read, seconds):
            return
        data = os.read(self._read, 65536)
        assert data, f"it has ended: {self.process.wait(20)}"
        self._pending += data

    def close(self, seconds: float = 60.0) -> None:
        """End its input, and wait for it to end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._read)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if error is not None:
            self.kill()
        self.close()
