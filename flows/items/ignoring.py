"""What the `.gitignore` files of a folder name, and those above it in its repository."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import Self

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

NAME = ".gitignore"


@dataclass(frozen=True)
class Ignoring:
    """The rules that hold in a folder, the nearest first: each file of them with its folder."""

    rules: "tuple[tuple[Path, GitIgnoreSpec], ...]" = ()

    @classmethod
    def above(cls, folder: Path) -> Self:
        """The rules that the folders above one have for it, up to the top of its repository; none
        where it is in no repository, and where they name it itself, since whoever names it means
        it."""
        parents = [folder, *folder.parents]
        top = next((at for at, each in enumerate(parents) if (each / ".git").exists()), 0)
        found = cls()
        for each in reversed(parents[1 : top + 1]):
            found = found.within(each)
        named = found.file_that_names(folder, folder=True) is not None
        return cls() if named else found

    def within(self, folder: Path) -> Self:
        """With those of the folder's own file, if it has one."""
        spec = _read(folder / NAME)
        return self if spec is None else type(self)(((folder, spec), *self.rules))

    def file_that_names(self, path: Path, *, folder: bool) -> Path | None:
        """The `.gitignore` by which a file or folder is left out; None where none does."""
        for base, spec in self.rules:
            name = path.relative_to(base).as_posix() + ("/" if folder else "")
            named = spec.check_file(name).include
            if named is not None:
                return base / NAME if named else None
        return None


def _read(path: Path) -> "GitIgnoreSpec | None":
    try:
        # A FIFO or a device of that name is none, and reading it has no end.
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        lines = os.fsdecode(path.read_bytes()).removeprefix("\ufeff").split("\n")
    except OSError:
        return None
    from pathspec import GitIgnoreSpec

    def compiled(line: str) -> "GitIgnoreSpec | None":
        try:
            return GitIgnoreSpec.from_lines([line])
        except ValueError:
            # Git passes over a pattern that is none.
            return None

    patterns = [each for line in lines if (one := compiled(line)) for each in one.patterns]
    return GitIgnoreSpec(patterns)
