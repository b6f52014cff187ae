"""A folder and all that is in it, removed whatever a program made of it: deeper than Python can
recurse or a path can be, folders without permissions, links, which are never followed."""

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path

from prefect_governor.blocks.workspaces.tree import FOLDER, NO_FOLDER

# Rounds in which whoever still writes there may put back what was removed.
_MOST_ROUNDS = 10_000
# What removing a folder that is not empty fails with, or what is a folder by now, or none any more.
_OTHERWISE = frozenset(
    [errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR, errno.EPERM, errno.ENOTDIR, errno.ENOENT]
)


def remove_tree(parent: int, name: str) -> None:
    """Remove the folder, or file, `name` of the folder `parent`; nothing where it is not there.

    It never has more than two folders open: what is deeper is moved up first.

    Raises OSError for what cannot be removed, or is made again as fast.
    """
    try:
        top = _opened(parent, name)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in NO_FOLDER:
            raise
        os.unlink(name, dir_fd=parent)
        return
    try:
        for _ in range(_MOST_ROUNDS):
            folders = _unlink_files(top)
            if not folders:
                break
            for each in folders:
                _empty_into(top, each)
    finally:
        os.close(top)
    with suppress(FileNotFoundError):
        os.rmdir(name, dir_fd=parent)


def remove_entry(folder: int, name: str, *, is_folder: bool) -> None:
    """Remove a file of a folder, or a folder in it where that is empty. What has become another
    thing meanwhile is left. Raises OSError."""
    try:
        if is_folder:
            os.rmdir(name, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno not in _OTHERWISE:
            raise


def _empty_into(top: int, name: str) -> None:
    """Remove a folder of `top`; those in it that are not empty are moved up to `top`."""
    with suppress(FileNotFoundError, NotADirectoryError):
        folder = _opened(top, name)
        try:
            for each in _unlink_files(folder):
                try:
                    os.rmdir(each, dir_fd=folder)
                except FileNotFoundError:
                    continue
                except OSError:
                    # Moving a folder writes its "..", so it must be one that we may write.
                    os.close(_opened(folder, each))
                    moved = f"up-{secrets.token_hex(8)}"
                    os.rename(each, moved, src_dir_fd=folder, dst_dir_fd=top)
        finally:
            os.close(folder)
        os.rmdir(name, dir_fd=top)


def _unlink_files(folder: int) -> list[str]:
    """Unlink all that is no folder, and name the folders."""
    folders = []
    with os.scandir(folder) as entries:
        names = [(each.name, each.is_dir(follow_symlinks=False)) for each in entries]
    for name, is_folder in names:
        if is_folder:
            folders.append(name)
            continue
        with suppress(FileNotFoundError, IsADirectoryError):
            os.unlink(name, dir_fd=folder)
    return folders


def _opened(parent: int, name: str) -> int:
    """A folder that we may list and change, which it is made first where it is ours."""
    opened = None
    with suppress(PermissionError):
        opened = os.open(name, FOLDER, dir_fd=parent)
    if opened is None:
        _permit(parent, name)
        opened = os.open(name, FOLDER, dir_fd=parent)
    if os.fstat(opened).st_mode & 0o700 != 0o700:
        with suppress(PermissionError):
            os.fchmod(opened, 0o700)
    return opened


def _permit(parent: int, name: str) -> None:
    """Give the owner all rights to a folder that cannot be opened, and to no link's target."""
    if hasattr(os, "O_PATH"):
        found = os.open(name, os.O_PATH | FOLDER, dir_fd=parent)
        try:
            os.chmod(Path("/proc/self/fd") / str(found), 0o700)
        finally:
            os.close(found)
    else:
        os.chmod(name, 0o700, dir_fd=parent, follow_symlinks=False)
