"""What was heard of a program, kept up to a bound, whatever the other side thinks of it."""

from prefect_governor.blocks.sandboxes.docker.frames import ERRORS, OUTPUT


class Heard:
    """Standard output and standard error, which share one bound in bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes
        self._said = {OUTPUT: bytearray(), ERRORS: bytearray()}

    def take(self, kind: bytes, chunk: bytes) -> None:
        """Keep as much of a frame of output as there is room for; other frames are none."""
        if kind in self._said:
            kept = chunk[: self._left]
            self._said[kind] += kept
            self._left -= len(kept)

    @property
    def stdout(self) -> str:
        """As text: UTF-8, with replacements."""
        return self._said[OUTPUT].decode(errors="replace")

    @property
    def stderr(self) -> str:
        """The same."""
        return self._said[ERRORS].decode(errors="replace")
