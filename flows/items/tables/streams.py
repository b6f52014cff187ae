"""A table's file, opened: gunzipped where it is gzipped, decoded where it is text."""

import codecs
import gzip
import io
import stat
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import IO, TextIO, cast

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.flows.items.encodings import Decoded, decoded
from prefect_governor.flows.items.tables.kinds import suffix_of
from prefect_governor.flows.items.tables.records import NotATable, Telling

_GZIP = b"\x1f\x8b"
# Gunzipped, what must be a file of its own may be so large.
MAX_GUNZIPPED_BYTES = 2**30
_CHUNK_BYTES = 2**20
# A row is a document at the most, as a file is.
MOST_CHARACTERS = 50 * 2**20
# A file of no more is decoded at once; the encoding of a longer one is told from so much.
_DECODED_BYTES = 8 * 2**20
# Four bytes before two: one mark begins as another.
_MARKS = (
    codecs.BOM_UTF32_LE,
    codecs.BOM_UTF32_BE,
    codecs.BOM_UTF8,
    codecs.BOM_UTF16_LE,
    codecs.BOM_UTF16_BE,
)


@contextmanager
def opened_bytes(path: Path, name: str) -> Iterator[IO[bytes]]:
    """A file's bytes, gunzipped. Raises NotATable for what is no file, may not be read, or is no
    whole gzip, wherever that is found."""
    try:
        with _regular(path, name).open("rb") as file:
            if not _is_gzipped(file):
                yield file
                return
            with gzip.open(file) as unzipped:
                yield cast(IO[bytes], unzipped)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise NotATable(name, f"its gzip is broken or cut off: {error}") from None
    except OSError as error:
        raise NotATable(name, f"cannot be read: {error.strerror or error}") from None


@contextmanager
def opened_text(
    path: Path, name: str, telling: Telling, *, encoding: str | None, newline: str
) -> Iterator[TextIO]:
    """A file's text, as it is read; `newline` as `open` has it, `encoding` decides. How it was told
    otherwise is noted. Raises NotATable for what is no text."""
    with opened_bytes(path, name) as file:
        raw = file.read(_DECODED_BYTES + 1)
    if len(raw) <= _DECODED_BYTES:
        text = _decoded(raw, name, encoding)
        telling.notes = (text.note,) if text.note else ()
        yield io.StringIO(text.text, newline=newline)
        return
    # Whole lines, so that no character is cut. What is longer is told by how it begins.
    head = _decoded(raw[: raw.rfind(b"\n") + 1] or raw, name, encoding)
    telling.notes = (head.note,) if head.note else ()
    with opened_bytes(path, name) as file:
        file.read(next((len(mark) for mark in _MARKS if raw.startswith(mark)), 0))
        try:
            yield io.TextIOWrapper(file, encoding=head.encoding, newline=newline)
        except UnicodeDecodeError as error:
            line = _bad_line(path, name, error.encoding)
            raise NotATable(
                f"{name}:{line}",
                f"not {error.encoding.upper()} text (byte 0x{error.object[error.start]:02x}):"
                " save the file as UTF-8, or name its --encoding",
            ) from None


def _decoded(raw: bytes, name: str, encoding: str | None) -> Decoded:
    # Text with a NUL here and there is said by its line; UTF-16 has more of them.
    if encoding is None and 0 < raw.count(0) * 4 <= len(raw):
        try:
            return Decoded(raw.decode("utf-8-sig"), "utf-8")
        except UnicodeDecodeError:
            pass
    try:
        return decoded(raw, encoding=encoding)
    except ItemFailed as error:
        raise NotATable(name, str(error)) from None


def _bad_line(path: Path, name: str, encoding: str) -> int:
    """The first line, from 1, whose bytes are not in this encoding."""
    with opened_bytes(path, name) as file:
        for line, raw in enumerate(file, 1):
            try:
                raw.decode(encoding)
            except UnicodeDecodeError:
                return line
    return 1


@contextmanager
def opened_file(path: Path, name: str) -> Iterator[Path]:
    """A file that a library reads by its place; gunzipped into one that is gone afterwards."""
    with opened_bytes(path, name) as file:
        if not isinstance(file, gzip.GzipFile):
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="prefect-governor-") as folder:
            copy = Path(folder) / f"table{suffix_of(path.name)}"
            size = 0
            with copy.open("wb") as out:
                while chunk := file.read(_CHUNK_BYTES):
                    size += out.write(chunk)
                    if size > MAX_GUNZIPPED_BYTES:
                        raise NotATable(name, f"over {MAX_GUNZIPPED_BYTES:,} bytes, gunzipped")
            yield copy


def bounded_lines(stream: TextIO, name: str) -> Iterator[str]:
    """The lines of a stream, with their ends. Raises NotATable for one that is longer than a file
    may be that is asked about: a few KB of gzip can be a line of any length."""
    for number in count(1):
        line = stream.readline(MOST_CHARACTERS + 1)
        if len(line) > MOST_CHARACTERS:
            raise NotATable(
                f"{name}:{number}",
                f"a line of over {MOST_CHARACTERS:,} characters: it is no table of rows",
            )
        if not line:
            return
        yield line


def _regular(path: Path, name: str) -> Path:
    if not stat.S_ISREG(path.stat().st_mode):
        raise NotATable(name, "cannot be read: it is no regular file")
    return path


def _is_gzipped(file: IO[bytes]) -> bool:
    zipped = file.read(2) == _GZIP
    file.seek(0)
    return zipped
