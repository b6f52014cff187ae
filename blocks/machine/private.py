"""Files and folders of our state, which their owner alone may read, whatever the umask: prompts,
answers and replies are in them. What a person names elsewhere is made as that person's umask says.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

from prefect_governor.blocks.machine.home import state_folder

FOLDER, FILE = 0o700, 0o600
# Group and others.
_ANYBODY_ELSE = 0o077


def is_private(path: Path) -> bool:
    """Whether a path is in the folder of our state, or is that folder."""
    home, here = os.path.abspath(state_folder()), os.path.abspath(path)
    return here == home or here.startswith(f"{home}{os.sep}")


def make_folder(folder: Path) -> Path:
    """A folder, made with those that it is in where they are missing. Raises OSError."""
    if not is_private(folder):
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    home = state_folder()
    home.parent.mkdir(parents=True, exist_ok=True)
    for each in [*reversed([one for one in folder.parents if is_private(one)]), folder]:
        each.mkdir(mode=FOLDER, exist_ok=True)
    if _is_open(there := home.resolve()):
        # As earlier releases made it, and all that is in it.
        mend(there)
    return folder


def open_file(
    path: Path, *, errors: str | None = None, private: bool | None = None
) -> TextIOWrapper:
    """A text file to write, in UTF-8, from its beginning; `private` by default where it is in the
    folder of our state. Raises OSError."""
    if not (is_private(path) if private is None else private):
        return path.open("w", encoding="utf-8", errors=errors)
    made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE)
    # One that was there keeps the mode that it had.
    mend(path)
    return os.fdopen(made, "w", encoding="utf-8", errors=errors)


def mend(path: Path) -> None:
    """Shut a file, or a folder with all that is in it, to everybody but its owner. What is another
    user's, and links, are left as they are."""
    for each in (path, *_inside(path)):
        with suppress(OSError):
            found = each.lstat()
            if not stat.S_ISLNK(found.st_mode) and found.st_mode & _ANYBODY_ELSE:
                each.chmod(stat.S_IMODE(found.st_mode) & ~_ANYBODY_ELSE)


def open_to_others(folder: Path, *, most: int) -> list[Path]:
    """Up to `most` files and folders in a folder, itself first, that others may read or write. What
    is in a folder that is shut to them is not looked at: nobody else gets there."""
    found: list[Path] = []
    folder = folder.resolve()
    if not _is_open(folder):
        return found
    for each in (folder, *_inside(folder, only_open=True)):
        if len(found) >= most:
            break
        if _is_open(each):
            found.append(each)
    return found


def owned(path: Path) -> bool:
    """Whether it is this user's."""
    return path.lstat().st_uid == os.geteuid()


def _is_open(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return not stat.S_ISLNK(mode) and bool(mode & _ANYBODY_ELSE)


def _inside(folder: Path, *, only_open: bool = False) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        here = Path(place)
        yield from (here / name for name in (*folders, *files))
        if only_open:
            folders[:] = [name for name in folders if _is_open(here / name)]
