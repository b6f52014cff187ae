"""Zipped documents: what is in them, within bounds."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree.ElementTree import Element, XMLParser, fromstring

from prefect_governor.blocks.errors import ItemFailed

# What a zipped document may become in memory, in bytes, and how many members it may have: Word's
# and Writer's longest have some thousand.
MAX_UNPACKED_BYTES = 200 * 2**20
MAX_MEMBERS = 20_000


@contextmanager
def opened(data: bytes) -> Iterator[zipfile.ZipFile]:
    """The archive. Raises ItemFailed for one that would unpack to more than is read."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        unpacked = sum(each.file_size for each in members)
        if unpacked > MAX_UNPACKED_BYTES:
            raise ItemFailed(
                f"it is too large: {unpacked:,} bytes unpacked, at most {MAX_UNPACKED_BYTES:,} are"
                " read"
            )
        if len(members) > MAX_MEMBERS:
            raise ItemFailed(f"it has {len(members):,} members, at most {MAX_MEMBERS:,} are read")
        yield archive


def member(archive: zipfile.ZipFile, name: str) -> bytes:
    """One member's bytes; empty where there is none. Raises ItemFailed for one that holds more than
    it says."""
    try:
        with archive.open(name) as file:
            data = file.read(MAX_UNPACKED_BYTES + 1)
    except KeyError:
        return b""
    if len(data) > MAX_UNPACKED_BYTES:
        raise ItemFailed(
            f"it is too large: {name} unpacks to more than {MAX_UNPACKED_BYTES:,} bytes"
        )
    return data


def tree_of(data: bytes) -> Element:
    """An XML part. Raises ItemFailed for one that declares entities, which no such part needs, and
    ParseError for what is none."""
    if b"<!ENTITY" in data:
        raise ItemFailed("it declares XML entities, which can grow without end")
    return fromstring(data, parser=XMLParser())
