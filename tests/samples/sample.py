"""A file and what becomes of it."""

import base64
from dataclasses import dataclass

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
PICTURE = base64.b64encode(PNG).decode()


@dataclass(frozen=True)
class Sample:
    """A file and what becomes of it.

    Attributes:
        name: the file's.
        data: its bytes.
        sent: what stands in the text that a model is given; nothing where it fails.
        unsent: what does not.
        note: what is said of how it was read, in part; "" for nothing at all.
        failure: why it is not read, in part; None where it is.
        skipped: in a folder it is left out by name.
    """

    name: str
    data: bytes
    sent: tuple[str, ...] = ()
    unsent: tuple[str, ...] = (PICTURE[:40],)
    note: str = ""
    failure: str | None = None
    skipped: bool = False
