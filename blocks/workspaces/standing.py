"""What stands in a workspace, by what its names are taken for where case is ignored, and what may
still be put there."""

from dataclasses import dataclass, field

from prefect_governor.blocks.workspaces.bounds import Allowance, WorkspaceBounds
from prefect_governor.blocks.workspaces.names import NameRefused, folded, shown
from prefect_governor.blocks.workspaces.tree import Entry, Tree

Parts = tuple[str, ...]


@dataclass(slots=True)
class Placing:
    """A file or a folder that has its place: what it takes, with the folders on the way, and what
    must be removed for it."""

    parts: Parts
    is_folder: bool
    size: int
    files: int
    stale: list[Entry] = field(default_factory=list)

    @property
    def all(self) -> list[tuple[Parts, bool]]:
        """It, and the folders that lead there, from the top."""
        return _way(self.parts, self.is_folder)


class Standing:
    """What is in a tree, kept up to date by `place` and `stand`.

    Args:
        exact: what was there before counts for nothing, and makes way.

    Raises WorkspaceFull where there is more in it than may be.
    """

    def __init__(self, tree: Tree, bounds: WorkspaceBounds, *, exact: bool = False) -> None:
        self._exact = exact
        self._there = {each.parts: each for each in tree.walk(bounds) if isinstance(each, Entry)}
        # A person's folder may have two names that are taken for one: both stay.
        self._taken_for = {_folded(each): each for each in self._there}
        self.ours: set[Parts] = set()
        known = () if exact else self._there.values()
        self._allowance = Allowance(bounds, size=sum(each.size for each in known), files=len(known))

    def place(self, parts: Parts, size: int, *, is_folder: bool = False) -> Placing:
        """Take what a file or folder needs.

        Raises NameRefused where something else is in the way, WorkspaceFull where it does not fit;
        nothing is taken then.
        """
        found = Placing(parts, is_folder, size, 0)
        for each, inner in found.all:
            before = self._there.get(each) or self._there.get(
                self._taken_for.get(_folded(each), ())
            )
            if before is None:
                found.files += 1
            elif before.parts == each and before.is_folder == inner:
                if each in self.ours and not inner:
                    raise NameRefused("/".join(parts), "a second one of this name")
                if not self._exact:
                    found.size -= before.size
                elif each not in self.ours:
                    found.files += 1
            elif self._exact and before.parts not in self.ours:
                found.stale.append(before)
                found.files += 1
            else:
                raise NameRefused("/".join(parts), _in_the_way(before, each))
        self._allowance.take(size=found.size, files=found.files)
        return found

    def stand(self, placing: Placing, size: int) -> None:
        """It is there now."""
        for entry in placing.stale:
            inside = len(entry.parts)
            for name in [each for each in self._there if each[:inside] == entry.parts]:
                del self._there[name]
        for each, is_folder in placing.all:
            self.ours.add(each)
            size_of = 0 if is_folder else size
            self._there[each] = Entry(each, is_folder, size_of, False, 0)
            self._taken_for[_folded(each)] = each

    def others(self) -> list[Entry]:
        """What was there before and was not put there again, what is inside of a folder first."""
        found = [each for name, each in self._there.items() if name not in self.ours]
        return sorted(found, key=lambda each: len(each.parts), reverse=True)

    def give_back(self, placing: Placing) -> None:
        """It did not come to be there."""
        self._allowance.take(size=-placing.size, files=-placing.files)


def _way(parts: Parts, is_folder: bool) -> list[tuple[Parts, bool]]:
    return [*((parts[:at], True) for at in range(1, len(parts))), (parts, is_folder)]


def _in_the_way(before: Entry, parts: Parts) -> str:
    if before.parts != parts:
        return f"{shown(before.name)} is there, which differs in nothing but case"
    return "a folder has this name" if before.is_folder else "a file has this name"


def _folded(parts: Parts) -> Parts:
    return tuple(folded(part) for part in parts)
