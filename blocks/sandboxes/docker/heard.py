"""What was heard of a program, kept up to a bound, whatever the other side thinks of it."""

from prefect_governor.blocks.sandboxes.docker.frames import ERRORS, OUTPUT
from prefect_governor.blocks.sandboxes.runtime import Heard as Hear


class Heard:
    """Standard output and standard error, which share one bound in bytes.

    Args:
        hear: is given standard output in place of its being kept.
    """

    def __init__(self, most_bytes: int, hear: Hear | None = None) -> None:
        self._left = most_bytes
        self._hear = hear
        self._said = {OUTPUT: bytearray(), ERRORS: bytearray()}

    def take(self, kind: bytes, chunk: bytes) -> None:
        """Keep as much of a frame of output as there is room for; other frames are none."""
        if kind in self._said:
            kept = chunk[: self._left]
            self._left -= len(kept)
            if kind == OUTPUT and self._hear is not None:
                self._hear(kept)
            else:
                self._said[kind] += kept

    @property
    def stdout(self) -> str:
        """As text: UTF-8, with replacements."""
        return self._said[OUTPUT].decode(errors="replace")

    @property
    def stderr(self) -> str:
        """The same."""
        return self._said[ERRORS].decode(errors="replace")
