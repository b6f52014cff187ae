"""A text as the lines that are its items: of standard input, and of lists. Pure."""

import re
from collections.abc import Iterator

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.items.encodings.declared import marked

# A form feed, the separators of ASCII and those of Unicode stand within a line, as they do for
# every other program of a pipe.
_END = re.compile(r"\r\n|\n|\r")


def lines_in(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a text that are not blank, each with its number from 1."""
    for number, line in enumerate(_END.split(text), 1):
        if line.strip():
            yield number, line


def piped_text(raw: bytes, *, name: str, encoding: str | None = None) -> str:
    """The text of bytes that have no name to look at: UTF-8, what their byte order mark says, or
    the `encoding` that a person told. Raises ConfigurationError for anything else: whose lines are
    items has them right or not at all."""
    codec, length = marked(raw) or ("utf-8", 0)
    if encoding is not None:
        codec, length = encoding, 0
    try:
        return raw[length:].decode(codec).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = len(_END.findall(raw[length : length + error.start].decode(codec, "replace"))) + 1
        raise ConfigurationError(
            f"{name} is not {codec.upper()} text at line {line}: say what it is with --encoding, or"
            " convert it first"
        ) from None
