"""What programs print, kept up to a bound."""

import asyncio

from prefect_governor.blocks.sandboxes.runtime import Heard

_CHUNK = 64 * 1024


class Output:
    """Standard output and standard error, which share one bound.

    Args:
        heard: is given standard output in place of its being kept.

    Attributes:
        over: set once there was more than there is room for.
    """

    def __init__(self, most_bytes: int, heard: Heard | None = None) -> None:
        self._left = most_bytes
        self._out, self._err = bytearray(), bytearray()
        self._heard = heard
        self.over = asyncio.Event()

    async def read_out(self, stream: asyncio.StreamReader) -> None:
        """Standard output, to its end; what there is no room for is read and dropped."""
        while chunk := await stream.read(_CHUNK):
            if self._heard is None:
                self.take(chunk, self._out)
            else:
                self.take(chunk, piece := bytearray())
                self._heard(bytes(piece))

    async def read_err(self, stream: asyncio.StreamReader) -> None:
        """Standard error, the same."""
        while chunk := await stream.read(_CHUNK):
            self.take(chunk, self._err)

    def texts(self) -> tuple[str, str]:
        """Both as text: UTF-8, with replacements."""
        return self._out.decode(errors="replace"), self._err.decode(errors="replace")

    def take(self, chunk: bytes, into: bytearray) -> None:
        """Keep as much of `chunk` as there is room for."""
        kept = chunk[: self._left]
        into += kept
        self._left -= len(kept)
        if len(kept) < len(chunk):
            self.over.set()
