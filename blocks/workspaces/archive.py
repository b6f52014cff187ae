"""A tar archive read as what it may be: made by a program that wants out.

Only headers are read into memory; the data of a member is handed out as it comes. Of the format
what GNU tar, Go's and Python's writers make is read: ustar, its GNU and pax names. Sparse members
are not: their sizes are a claim. Source of the layout: POSIX, pax, "ustar Interchange Format", and
the manual of GNU tar, "Basic Tar Format".
"""

import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

BLOCK = tarfile.BLOCKSIZE
# What a name in a header of its own may take; the longest name of a workspace has 1,024 bytes.
_MOST_HEADER = 64 * 1024
_CHUNK = 256 * 1024

_KINDS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}
_EMPTY_KINDS = frozenset(
    [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
_FILES = frozenset([tarfile.REGTYPE, tarfile.AREGTYPE])
# Where a sparse member's header, and each block that goes on with it, says that another follows.
_SPARSE_GOES_ON, _SPARSE_GOES_ON_AGAIN = 482, 504
_RECORD = re.compile(rb"(\d{1,20}) ([^=]+)=", re.DOTALL)


class ArchiveBroken(ValueError):
    """It is no tar archive, it ends before its end, or there is more of it than may be."""


class ArchiveTooLong(ArchiveBroken):
    """There is more of it than may be."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an archive; its data follow in the source. `refused` is why it is none that a
    workspace takes, as "a symbolic link"; None for a file or a folder. `size` is in bytes."""

    name: str
    size: int
    is_folder: bool
    executable: bool
    refused: str | None


class Source:
    """The bytes of an archive, counted: of a file, or of chunks.

    Args:
        most: how many may be read.
    """

    def __init__(self, stream: "IO[bytes] | Iterable[bytes]", *, most: int) -> None:
        self._chunks = _chunks(stream)
        self._rest = memoryview(b"")
        self._left = most

    def take(self, most: int) -> memoryview:
        """The next bytes, at least one, at most so many; none at the end.

        Raises ArchiveTooLong where more come than may.
        """
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return memoryview(b"")
            self._left -= len(chunk)
            if self._left < 0:
                raise ArchiveTooLong("it is longer than what the workspace may hold")
            self._rest = memoryview(chunk)
        taken, self._rest = self._rest[:most], self._rest[most:]
        return taken

    def data(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes, and past the rest of their last block. Raises ArchiveBroken where
        there are fewer."""
        left = size
        while left > 0:
            chunk = self.take(min(left, _CHUNK))
            if not chunk:
                raise ArchiveBroken("it ends before its end")
            left -= len(chunk)
            yield bytes(chunk)
        left = -size % BLOCK
        while left > 0:
            chunk = self.take(left)
            if not chunk:
                raise ArchiveBroken("it ends before its end")
            left -= len(chunk)

    def block(self) -> bytes:
        """The next block. Raises ArchiveBroken where there is no whole one."""
        return b"".join(self.data(BLOCK))


def members(source: Source) -> Iterator[Member]:
    """The members, in order. Whoever is given one reads its `source.data(size)` to its end before
    he asks for the next.

    Raises ArchiveBroken.
    """
    long_name: str | None = None
    pax: dict[bytes, bytes] = {}
    too_long = False
    while True:
        block = source.block()
        if block == bytes(BLOCK):
            # One of two that end an archive; what comes after it is padding.
            while source.take(_CHUNK):
                pass
            return
        header = _header(block)
        kind = header.type
        if kind in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            if header.size > _MOST_HEADER:
                too_long = True
                _pass_over(source, header.size)
                continue
            data = b"".join(source.data(header.size))
            if kind == tarfile.GNUTYPE_LONGNAME:
                long_name = _text(data.split(b"\0", 1)[0])
            else:
                pax.update(_records(data))
            continue
        if kind in (tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE):
            # Where a link leads, and what holds for all members, says nothing that we take.
            _pass_over(source, header.size)
            continue
        if kind == tarfile.GNUTYPE_SPARSE:
            more = block[_SPARSE_GOES_ON]
            while more:
                more = source.block()[_SPARSE_GOES_ON_AGAIN]
        yield _member(header, long_name=long_name, pax=pax, too_long=too_long)
        long_name, pax, too_long = None, {}, False


def _member(
    header: tarfile.TarInfo, *, long_name: str | None, pax: dict[bytes, bytes], too_long: bool
) -> Member:
    name = header.name if long_name is None else long_name
    if b"path" in pax:
        name = _text(pax[b"path"])
    size = header.size
    if b"size" in pax:
        # The header has eleven octal digits; what is more stands here.
        if not re.fullmatch(rb"\d{1,20}", pax[b"size"]):
            raise ArchiveBroken(f"a size is {pax[b'size'][:20]!r}")
        size = int(pax[b"size"])
    refused = None
    if too_long:
        refused = f"a name of more than {_MOST_HEADER // 1024} KiB"
    elif any(each.startswith(b"GNU.sparse.") for each in pax):
        refused = "a sparse file"
    elif header.type not in _FILES and header.type != tarfile.DIRTYPE:
        refused = _KINDS.get(header.type, "neither a file nor a folder")
    if header.type in _EMPTY_KINDS or header.type == tarfile.DIRTYPE:
        # They have no data, whatever size they claim.
        size = 0
    return Member(
        name=name,
        size=size,
        is_folder=header.type == tarfile.DIRTYPE,
        # All other bits of the mode are not taken: setuid, setgid, sticky, what others may.
        executable=bool(header.mode & 0o111),
        refused=refused,
    )


def _header(block: bytes) -> tarfile.TarInfo:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise ArchiveBroken(f"it is no tar archive: {error}") from None
    if header.size < 0:
        raise ArchiveBroken(f"a size is {header.size}")
    return header


def _records(data: bytes) -> dict[bytes, bytes]:
    """The records of a pax header, "LENGTH KEY=VALUE" and a newline each. Raises ArchiveBroken."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data) and data[at]:
        record = _RECORD.match(data, at)
        length = int(record[1]) if record else 0
        end = at + length
        if record is None or end <= record.end() or end > len(data) or data[end - 1 : end] != b"\n":
            raise ArchiveBroken("a record of a pax header has another length than it says")
        found[record[2]] = data[record.end() : end - 1]
        at = end
    return found


def _pass_over(source: Source, size: int) -> None:
    for _ in source.data(size):
        pass


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _chunks(stream: "IO[bytes] | Iterable[bytes]") -> Iterator[bytes]:
    read = getattr(stream, "read", None)
    if read is None:
        yield from stream
        return
    while chunk := read(_CHUNK):
        yield chunk
