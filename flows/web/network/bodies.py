"""A reply's body, decompressed within a bound: what it may become is known before it is held. Pure.

httpx decompresses a piece whole, and encodings over each other, so that 64 KiB may become gigabytes
before anybody has seen a byte. Here one encoding is read, a bounded piece at a time.
"""

import zlib
from collections.abc import Iterator

from prefect_governor.flows.web.network.guard import NotFetched

# What servers are told that may be sent; one of another kind is refused.
ACCEPTED = "gzip, deflate"
_PIECE = 65_536


class Body:
    """A body as its pieces come in. `most` bounds what it holds, decompressed, and what came."""

    def __init__(self, encoding: str, *, most: int) -> None:
        """`encoding` is the header's. Raises NotFetched for one that is not read."""
        self._most = most
        self._came = 0
        self._parts: list[bytes] = []
        self._size = 0
        named = encoding.strip().lower()
        self._raw_deflate = named == "deflate"
        self._begun = False
        if named in ("", "identity"):
            self._inflater = None
        elif named in ("gzip", "x-gzip"):
            self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
        elif named == "deflate":
            self._inflater = zlib.decompressobj()
        else:
            raise NotFetched(f"the page is encoded as {named[:40]!r}, which was not asked for")

    def add(self, piece: bytes) -> None:
        """Raises NotFetched beyond the bound, or for what is no such encoding."""
        self._came += len(piece)
        if self._came > self._most:
            raise self._too_large()
        for part in self._inflated(piece):
            self._size += len(part)
            if self._size > self._most:
                raise self._too_large()
            self._parts.append(part)

    def whole(self) -> bytes:
        """Raises NotFetched for a body that was cut off."""
        if self._inflater is not None and self._came and not self._inflater.eof:
            raise NotFetched("the page was cut off: its compressed body has no end")
        return b"".join(self._parts)

    def _inflated(self, piece: bytes) -> Iterator[bytes]:
        if self._inflater is None:
            yield piece
            return
        try:
            while piece:
                yield self._some(piece)
                piece = self._inflater.unconsumed_tail
            while not self._inflater.eof:
                # What it holds back, where a piece ended as its output did.
                if not (held := self._some(b"")):
                    return
                yield held
        except zlib.error:
            raise NotFetched("the page is not compressed as it says") from None

    def _some(self, piece: bytes) -> bytes:
        assert self._inflater is not None
        begun, self._begun = self._begun, True
        try:
            return self._inflater.decompress(piece, _PIECE)
        except zlib.error:
            if begun or not self._raw_deflate:
                raise
            # Some servers send what is inside of zlib's own wrapping.
            self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
            return self._inflater.decompress(piece, _PIECE)

    def _too_large(self) -> NotFetched:
        return NotFetched(f"the page is too large: more than {self._most:,} bytes")
