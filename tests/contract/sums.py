"""All that a ledger must come to, as plain sums over a list of calls and of allocations."""

from dataclasses import dataclass, field


@dataclass
class Call:
    """A call as the test has it."""

    owner: str
    days: dict[str, str]
    limits: tuple[str, ...]
    bound: int
    state: str = "reserved"
    spent: int = 0
    resolves: int = 0
    resolves_by_hand: int = 0


@dataclass
class Shard:
    """An allocation as the test has it. The ceiling of an elastic one is read off the ledger."""

    within: tuple[tuple[str, str], ...]
    ceiling: int
    elastic: bool
    owner: str
    closed: bool = False


@dataclass
class Model:
    """All that a ledger must come to, from a list of calls."""

    calls: dict[str, Call] = field(default_factory=dict)
    ceilings: dict[str, int] = field(default_factory=lambda: {"leaf": 700, "root": 1000})
    caps: dict[str, int] = field(default_factory=lambda: {"a": 3, "b": 2})
    version: int = 1
    # What may be exceeded just now: by a bill above its bound, or by a lowering.
    loose: set[str] = field(default_factory=set)
    latest: dict[str, str] = field(default_factory=dict)
    shards: dict[str, Shard] = field(default_factory=dict)

    def rest(self, key: str) -> int:
        shard = self.shards[key]
        gone = sum(self.sums(key, "total")) + self.held(key, "total")
        return 0 if shard.closed else max(0, shard.ceiling - gone)

    def held(self, account: str, day: str, *, but: tuple[str, ...] = ()) -> int:
        """What is set aside in a purse, but for some."""
        return sum(
            self.rest(key)
            for key, shard in self.shards.items()
            if key not in but and (account, day) in shard.within
        )

    def own(self, key: str) -> tuple[str, ...]:
        """The allocations whose rests are a call's own."""
        outer = tuple(each for each, _ in self.shards[key].within if each in self.shards)
        siblings = tuple(
            each
            for each, shard in self.shards.items()
            if self.shards[key].elastic and shard.elastic
        )
        return tuple(dict.fromkeys((key, *outer, *siblings)))

    def sums(self, account: str, day: str) -> tuple[int, int, int]:
        mine = [c for c in self.calls.values() if c.days.get(account) == day]
        return (
            sum(c.spent for c in mine if c.state == "spent"),
            sum(c.bound for c in mine if c.state == "unconfirmed"),
            sum(c.bound for c in mine if c.state == "reserved"),
        )

    def in_flight(self, limit: str) -> int:
        return sum(limit in c.limits for c in self.calls.values() if c.state == "reserved")
