"""Compound files (OLE 2): the container of Outlook's messages, old Word documents and encrypted
office files ([MS-CFB])."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

_SECTOR = 512
_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
_SMALLEST = 4096

# A folder is a mapping of names.
Tree = Mapping[str, "bytes | Tree"]


@dataclass
class _Entry:
    """A stream or a folder of the directory."""

    name: str
    kind: int
    data: bytes = b""
    children: list[int] = field(default_factory=list)
    start: int = 0


class _Sectors:
    """What is written, sector by sector, and the table of what follows each."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.next: list[int] = []

    def put(self, data: bytes) -> int:
        first = len(self.written)
        count = max(1, -(-len(data) // _SECTOR))
        for at in range(count):
            piece = data[at * _SECTOR : (at + 1) * _SECTOR]
            self.written.append(piece.ljust(_SECTOR, b"\0"))
            self.next.append(first + at + 1 if at + 1 < count else _END)
        return first


def _entries(tree: Tree) -> list[_Entry]:
    found = [_Entry("Root Entry", 5)]

    def add(parent: int, given: Tree) -> None:
        for name, value in given.items():
            if isinstance(value, bytes):
                found.append(_Entry(name, 2, value))
            else:
                found.append(_Entry(name, 1))
            at = len(found) - 1
            found[parent].children.append(at)
            if not isinstance(value, bytes):
                add(at, value)

    add(0, tree)
    return found


def compound(tree: Tree) -> bytes:
    """A compound file of these streams and folders."""
    entries = _entries(tree)
    sectors = _Sectors()
    mini = bytearray()
    mini_next: list[int] = []
    for entry in entries:
        if entry.kind == 2 and len(entry.data) >= _SMALLEST:
            entry.start = sectors.put(entry.data)
        elif entry.kind == 2:
            entry.start = len(mini_next)
            count = max(1, -(-len(entry.data) // 64))
            mini += entry.data.ljust(count * 64, b"\0")
            mini_next += [entry.start + at + 1 for at in range(count - 1)] + [_END]
    small = struct.pack(f"<{len(mini_next)}I", *mini_next)
    entries[0].data = bytes(mini)
    entries[0].start = sectors.put(bytes(mini)) if mini else _END
    small_start = (
        sectors.put(small.ljust(-(-len(small) // _SECTOR) * _SECTOR, b"\xff")) if mini else _END
    )
    directory = sectors.put(_directory(entries))
    count = 1
    while (len(sectors.next) + count) * 4 > count * _SECTOR:
        count += 1
    start = len(sectors.written)
    table = [*sectors.next, *[_FAT] * count]
    packed = struct.pack(f"<{len(table)}I", *table).ljust(count * _SECTOR, b"\xff")
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    header += struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIII", 0, count, directory, 0)
    header += struct.pack("<IIIII", _SMALLEST, small_start, 1 if mini else 0, _END, 0)
    header += b"".join(struct.pack("<I", start + at) for at in range(count))
    return header.ljust(_SECTOR, b"\xff") + b"".join(sectors.written) + packed


def _directory(entries: Sequence[_Entry]) -> bytes:
    right: dict[int, int] = {}
    child: dict[int, int] = {}
    for at, entry in enumerate(entries):
        # In the order of length and name, each to the right of the one before: a tree as well.
        ordered = sorted(
            entry.children, key=lambda each: (len(entries[each].name), entries[each].name.upper())
        )
        child[at] = ordered[0] if ordered else _FREE
        right.update(pairwise(ordered))
    return b"".join(
        (name := entry.name.encode("utf-16-le") + b"\0\0").ljust(64, b"\0")
        + struct.pack("<HBBIII", len(name), entry.kind, 1, _FREE, right.get(at, _FREE), child[at])
        + bytes(36)
        + struct.pack("<IQ", entry.start, len(entry.data))
        for at, entry in enumerate(entries)
    )


def outlook(
    *,
    subject: str,
    sender: str,
    body: str | None = None,
    page: str | None = None,
    attachment: str | None = None,
) -> bytes:
    """An Outlook message ([MS-OXMSG]) of these properties."""
    texts = {0x0037: subject, 0x0C1F: sender, 0x0042: sender}
    if body is not None:
        texts[0x1000] = body
    tree: dict[str, bytes | Tree] = {
        f"__substg1.0_{tag:04X}001F": value.encode("utf-16-le") for tag, value in texts.items()
    }
    if page is not None:
        tree["__substg1.0_10130102"] = page.encode()
    properties = bytes(8) + struct.pack("<IIII", 0, 1, 0, 1 if attachment else 0) + bytes(8)
    for tag, value in texts.items():
        properties += struct.pack("<HHIII", 0x1F, tag, 6, len(value) * 2 + 2, 0)
    if page is not None:
        properties += struct.pack("<HHIII", 0x102, 0x1013, 6, len(page.encode()), 0)
    tree["__properties_version1.0"] = properties
    tree["__nameid_version1.0"] = {
        "__substg1.0_00020102": b"", "__substg1.0_00030102": b"", "__substg1.0_00040102": b"",
    }  # fmt: skip
    if attachment is not None:
        content = b"\x89PNG\r\n\x1a\n" + bytes(200)
        own = bytes(8)
        own += struct.pack("<HHIII", 0x1F, 0x3707, 6, len(attachment) * 2 + 2, 0)
        own += struct.pack("<HHIII", 0x102, 0x3701, 6, len(content), 0)
        own += struct.pack("<HHIII", 3, 0x0E20, 6, len(content), 0)
        own += struct.pack("<HHIII", 3, 0x3705, 6, 1, 0)
        tree["__attach_version1.0_#00000000"] = {
            "__properties_version1.0": own,
            "__substg1.0_3707001F": attachment.encode("utf-16-le"),
            "__substg1.0_37010102": content,
        }
    return compound(tree)


def old_word(text: str) -> bytes:
    """A document of Word 97 ([MS-DOC]) with this text, in one piece."""
    body = text.replace("\n", "\r").encode("utf-16-le")
    start = 0x800
    stream = bytearray(start)
    struct.pack_into("<HHHHHH", stream, 0, 0xA5EC, 0x00C1, 0, 0x0409, 0, 0x1200)
    struct.pack_into("<H", stream, 32, 14)
    struct.pack_into("<H", stream, 62, 22)
    struct.pack_into("<I", stream, 76, len(body) // 2)
    struct.pack_into("<H", stream, 152, 93)
    pieces = struct.pack("<II", 0, len(body) // 2) + struct.pack("<HIH", 0, start, 0)
    table = b"\x02" + struct.pack("<I", len(pieces)) + pieces
    struct.pack_into("<II", stream, 154 + 33 * 8, 0, len(table))
    return compound(
        {
            "WordDocument": bytes(stream) + body.ljust(_SMALLEST, b"\0"),
            "1Table": table.ljust(_SMALLEST, b"\0"),
        }
    )
