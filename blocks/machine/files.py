"""Files that are there whole or not at all, whatever text they are given."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from prefect_governor.blocks.machine.private import is_private, open_file

# Half a character, as a model may answer with it, is written as JSON escapes it.
ERRORS = "backslashreplace"


@contextmanager
def whole_file(path: Path) -> Iterator[IO[str]]:
    """A text file to write, in UTF-8. It takes the place of what is at `path` when the code inside
    has ended well, durably: a reader sees the old one or the new one, also after a crash. Where a
    link leads to the file, it goes on leading there. In the folder of our state its owner alone may
    read it.

    Raises OSError.
    """
    target = path.resolve()
    whole = target.with_name(f".{target.name}.{os.getpid()}.whole")
    try:
        with open_file(whole, errors=ERRORS, private=is_private(path)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        whole.replace(target)
    except BaseException:
        whole.unlink(missing_ok=True)
        raise


def write_whole(path: Path, text: str) -> None:
    """`text` as `whole_file` writes it. Raises OSError."""
    with whole_file(path) as file:
        file.write(text)
