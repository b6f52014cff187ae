"""Whatever processes do and however they die, each part is worked on by one of them, and all of
them get done."""

from dataclasses import dataclass, field
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.ledger.decision.chunks import claim, finish, has_free
from prefect_governor.blocks.ledger.decision.store import OwnerRow, Rows
from prefect_governor.blocks.records.chunks import Chunk

PROCESSES = ("a", "b", "c")


@dataclass
class Claims:
    """As much of `store.Rows` as claims ask for."""

    kept: dict[int, Chunk] = field(default_factory=dict)
    living: set[str] = field(default_factory=set)

    def chunks(self, work: str) -> list[Chunk]:
        return [self.kept[number] for number in sorted(self.kept)]

    def put_chunk(self, chunk: Chunk) -> None:
        self.kept[chunk.number] = chunk

    def owners(self) -> list[OwnerRow]:
        return [OwnerRow(each, 1, 1) for each in sorted(self.living)]


acts = st.lists(
    st.tuples(st.sampled_from(PROCESSES), st.sampled_from(["claim", "finish", "die", "come"])),
    max_size=60,
)


@given(acts=acts, count=st.integers(0, 6))
def test_no_part_is_two_processes_and_none_is_left(acts: Any, count: int) -> None:
    claims = Claims()
    rows = cast(Rows, claims)
    held: dict[str, set[int]] = {each: set() for each in PROCESSES}
    done: list[int] = []
    for process, act in acts:
        if act == "die":
            claims.living.discard(process)
            held[process].clear()
        elif act == "come":
            claims.living.add(process)
        elif process in claims.living and act == "claim":
            for found in claim(
                rows, "work", numbers=range(count), attempt="now", owner=process, most=2
            ):
                others = [each for whose in PROCESSES for each in held[whose]]
                assert found not in (*others, *done)
                held[process].add(found)
        elif process in claims.living and held[process]:
            number = min(held[process])
            assert finish(rows, "work", number, owner=process)
            held[process].remove(number)
            done.append(number)
    # One that is left goes on to the end.
    claims.living.clear()
    assert has_free(rows, "work", numbers=range(count), attempt="now") == (len(done) < count)
    for found in claim(rows, "work", numbers=range(count), attempt="now", owner="last", most=count):
        assert finish(rows, "work", found, owner="last")
        done.append(found)
    assert sorted(done) == list(range(count))
