"""What programs print, kept up to a bound."""

import asyncio

_CHUNK = 64 * 1024


class Output:
    """Standard output and standard error, which share one bound.

    Attributes:
        over: set once there was more than there is room for.
    """

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes
        self._out, self._err = bytearray(), bytearray()
        self.over = asyncio.Event()

    async def read_out(self, stream: asyncio.StreamReader) -> None:
        """Standard output, to its end; what there is no room for is read and dropped."""
        await self._read(stream, self._out)

    async def read_err(self, stream: asyncio.StreamReader) -> None:
        """Standard error, the same."""
        await self._read(stream, self._err)

    def texts(self) -> tuple[str, str]:
        """Both as text: UTF-8, with replacements."""
        return self._out.decode(errors="replace"), self._err.decode(errors="replace")

    async def _read(self, stream: asyncio.StreamReader, into: bytearray) -> None:
        while chunk := await stream.read(_CHUNK):
            self.take(chunk, into)

    def take(self, chunk: bytes, into: bytearray) -> None:
        """Keep as much of `chunk` as there is room for."""
        kept = chunk[: self._left]
        into += kept
        self._left -= len(kept)
        if len(kept) < len(chunk):
            self.over.set()
