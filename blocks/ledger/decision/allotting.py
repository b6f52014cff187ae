"""Parts of a budget set aside for one consumer: how they grow, shrink and draw. Pure.

What is left of an open allocation, its rest, is held in every purse of its `within`. Whatever
changes the rest of one changes what those purses hold, by the same amount and in the same step.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from prefect_governor.blocks.ledger.decision.purse import Purse, PurseKey, is_allocation, purse_of
from prefect_governor.blocks.records.budgets import Allocation
from prefect_governor.blocks.records.calls import Bound

NOTHING = (0, 0)


@dataclass
class Purses:
    """The purses that a batch touches, with the allocations among them.

    Attributes:
        purses: by account and window.
        allocations: open and closed ones by key. The purse of each is among the purses, and so are
            those of the `within` of each open one.
        changed: the purses whose figures changed.
        resized: the allocations whose ceiling changed.
    """

    purses: dict[PurseKey, Purse] = field(default_factory=dict)
    allocations: dict[str, Allocation] = field(default_factory=dict)
    changed: set[PurseKey] = field(default_factory=set, compare=False)
    resized: set[str] = field(default_factory=set, compare=False)

    def open_among(self, keys: Iterable[PurseKey]) -> list[Allocation]:
        """The open allocations among purses, in their order: the innermost first."""
        if not self.allocations:
            return []
        found = (self.allocations.get(key[0]) for key in keys if is_allocation(key[0]))
        return [each for each in found if each is not None and not each.closed]

    def change(self, keys: tuple[PurseKey, ...], change: Callable[[Purse], None]) -> None:
        """Change purses, innermost first, and what is held for allocations among them."""
        held = self.open_among(keys)
        before = [self.purses[purse_of(each.key)].rest() for each in held]
        for key in keys:
            change(self.purses[key])
        self.changed.update(keys)
        for allocation, rest in zip(held, before, strict=True):
            self._pass_on(allocation, rest)

    def own(self, held: list[Allocation]) -> dict[PurseKey, tuple[int, int]]:
        """What of each purse is set aside for a call that draws on `held`: the rests of those, and
        where the first is elastic, those of its group that it may redraw from."""
        if not held:
            return {}
        sums: dict[PurseKey, tuple[int, int]] = {}
        for allocation in [*held, *self._siblings(held[0])]:
            nano, tokens = self.purses[purse_of(allocation.key)].rest()
            for key in allocation.within:
                before = sums.get(key, NOTHING)
                sums[key] = (before[0] + nano, before[1] + tokens)
        return sums

    def redraw(self, allocation: Allocation, bound: Bound) -> None:
        """Make an elastic allocation's rest cover a bound: from what is free in the purses around
        it first, then from the rests of its group. It was decided before that this suffices."""
        purse = self.purses[purse_of(allocation.key)]
        # Below zero, where something was billed above its bound: that much more is lacking.
        nano, tokens = purse.room()
        lacks = (
            0 if nano is None else max(0, bound.nano - nano),
            0 if tokens is None else max(0, bound.tokens - tokens),
        )
        if lacks == NOTHING:
            return
        self.resize(allocation, *lacks)
        for key in allocation.within:
            self._take_back(allocation, key)

    def resize(self, allocation: Allocation, nano: int, tokens: int) -> None:
        """Change an allocation's ceiling by so much, and what is held for it."""
        key = purse_of(allocation.key)
        purse = self.purses[key]
        held = [allocation, *self.open_among(allocation.within)]
        before = [self.purses[purse_of(each.key)].rest() for each in held]
        if purse.ceiling_nano is not None:
            purse.ceiling_nano += nano
        if purse.ceiling_tokens is not None:
            purse.ceiling_tokens += tokens
        self.changed.add(key)
        self.resized.add(allocation.key)
        for each, rest in zip(held, before, strict=True):
            if not each.closed:
                self._pass_on(each, rest)

    def open(self, allocation: Allocation) -> None:
        """Set an allocation aside by what its purse says. It was found before that it fits."""
        self.allocations[allocation.key] = allocation
        self._hold(allocation, self.purses[purse_of(allocation.key)].rest(), 1)

    def close(self, key: str) -> int:
        """Give an allocation's rest back; calls still in flight settle into it all the same.
        Returns the nano-dollars that went back."""
        allocation = self.allocations[key]
        if allocation.closed:
            return 0
        rest = self.purses[purse_of(key)].rest()
        self._hold(allocation, rest, -1)
        self.allocations[key] = replace(allocation, closed=True)
        return rest[0]

    def missing(self, within: tuple[PurseKey, ...], bound: Bound) -> Purse | None:
        """The first of these purses in which a new allocation is not free, None where it is."""
        rises = {key: (bound.nano, bound.tokens) for key in within}
        for outer in self.open_among(within):
            # What an outer allocation pays is held around it already.
            rest = self.purses[purse_of(outer.key)].rest()
            rise = rises[purse_of(outer.key)]
            for key in outer.within:
                if key in rises:
                    nano, tokens = rises[key]
                    rises[key] = (nano - min(rise[0], rest[0]), tokens - min(rise[1], rest[1]))
        for key in within:
            room = self.purses[key].room()
            if any(
                left is not None and rise > max(0, left)
                for left, rise in zip(room, rises[key], strict=True)
            ):
                return self.purses[key]
        return None

    def _hold(self, allocation: Allocation, rest: tuple[int, int], sign: int) -> None:
        """Hold a rest in the purses around it, or hold it no longer."""
        outer = self.open_among(allocation.within)
        before = [self.purses[purse_of(each.key)].rest() for each in outer]
        self._add(allocation, sign * rest[0], sign * rest[1])
        for each, was in zip(outer, before, strict=True):
            self._pass_on(each, was)

    def _pass_on(self, allocation: Allocation, before: tuple[int, int]) -> None:
        nano, tokens = self.purses[purse_of(allocation.key)].rest()
        self._add(allocation, nano - before[0], tokens - before[1])

    def _add(self, allocation: Allocation, nano: int, tokens: int) -> None:
        if nano == tokens == 0:
            return
        for key in allocation.within:
            purse = self.purses[key]
            purse.allocated_nano += nano
            purse.allocated_tokens += tokens
            assert min(purse.allocated_nano, purse.allocated_tokens) >= 0, purse
            self.changed.add(key)

    def _take_back(self, allocation: Allocation, key: PurseKey) -> None:
        """Shrink the elastic ones of the group until a purse is within its ceiling."""
        for sibling in self._siblings(allocation):
            nano, tokens = (max(0, -(left or 0)) for left in self.purses[key].room())
            if nano == tokens == 0:
                return
            if key in sibling.within:
                rest = self.purses[purse_of(sibling.key)].rest()
                self.resize(sibling, -min(nano, rest[0]), -min(tokens, rest[1]))

    def _siblings(self, allocation: Allocation) -> list[Allocation]:
        """The other open elastic ones of an elastic one's group, the largest rest first."""
        if not allocation.elastic or allocation.group is None:
            return []
        found = [
            each
            for each in self.allocations.values()
            if each.elastic
            and not each.closed
            and each.group == allocation.group
            and each.key != allocation.key
            and purse_of(each.key) not in allocation.within
        ]
        return sorted(found, key=self._order)

    def _order(self, allocation: Allocation) -> tuple[int, int, str]:
        nano, tokens = self.purses[purse_of(allocation.key)].rest()
        return -nano, -tokens, allocation.key
