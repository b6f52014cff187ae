"""Items that come one by one: a few ahead of the work, none lost, and no run that hangs on them."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.items.intake import Intake
from prefect_governor.flows.items.sources import items_from, resolve_sources

PATIENCE_SECONDS = 20.0


def all_of(intake: Intake, *, most: int = 10**6) -> list[str]:
    """The keys of all that comes until it ends."""
    keys: list[str] = []
    waiting = threading.Event()
    while not intake.ended:
        keys += [item.key for item in intake.take(most)]
        waiting.wait(0.001)
    return keys


def until(done: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(int(PATIENCE_SECONDS / 0.001)):
        if done():
            return
        waiting.wait(0.001)
    raise AssertionError("it did not come to that")


def test_a_generator_is_read_a_few_items_ahead_and_no_further() -> None:
    read: list[int] = []

    def texts() -> Iterator[str]:
        for at in range(1000):
            read.append(at)
            yield f"text {at}"

    intake = Intake(texts(), most=5)
    until(lambda: len(read) == 6)
    # Five wait to be taken, one is in the reader's hand.
    assert [item.key for item in intake.take(2)] == ["item-0001", "item-0002"]
    until(lambda: len(read) == 8)
    assert all_of(intake) == [f"item-{at:04d}" for at in range(3, 1001)]
    assert intake.exhausted
    assert intake.problem is None


def test_one_that_takes_its_time_gives_what_it_has() -> None:
    go_on = threading.Event()

    def slow() -> Iterator[str]:
        yield "a"
        go_on.wait(PATIENCE_SECONDS)
        yield "b"

    intake = Intake(slow(), most=10)
    taken: list[str] = []

    def came() -> bool:
        taken.extend(str(item.text) for item in intake.take(9))
        return bool(taken)

    until(came)
    assert taken == ["a"]
    assert not intake.ended
    go_on.set()
    assert all_of(intake) == ["item-0002"]


def test_one_that_fails_keeps_what_it_gave_and_says_why_it_ended() -> None:
    def broken() -> Iterator[str]:
        yield "a"
        raise OSError("the disk is gone")

    intake = Intake(broken(), most=10)
    assert all_of(intake) == ["item-0001"]
    assert not intake.exhausted
    assert intake.problem == "their iterator failed: OSError: the disk is gone"


@pytest.mark.parametrize("known", [[], ["x"]])
def test_a_key_that_comes_twice_ends_it_by_name(known: list[str]) -> None:
    values = [{"key": "x", "text": "1"}, {"key": "y", "text": "2"}, {"key": "x", "text": "3"}]
    intake = Intake(iter(values), known=known, most=10)
    assert all_of(intake) == ([] if known else ["x", "y"])
    assert "two items have the key 'x'" in str(intake.problem)


def test_what_is_no_item_ends_it_by_its_place() -> None:
    intake = Intake(iter(["a", 7]), most=10)
    assert all_of(intake) == ["item-0001"]
    assert "item 2 is a int" in str(intake.problem)


def test_a_run_that_is_over_reads_no_further() -> None:
    read: list[int] = []

    def endless() -> Iterator[str]:
        while True:
            read.append(1)
            yield "x"

    intake = Intake(endless(), most=3)
    until(lambda: len(read) == 4)
    intake.close()
    until(lambda: intake._over.is_set())
    assert len(read) == 4
    assert not intake.exhausted


def test_tables_of_one_run_that_have_the_same_ids_are_told_apart_by_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "b.csv"):
        Path(name).write_text("id,text\n1,one\n2,two\n")
    wanted = ["1", "2", "b.csv:1", "b.csv:2"]
    assert [each.key for each in items_from([Path("a.csv"), Path("b.csv")])] == wanted
    assert [each.key for each in resolve_sources(["a.csv", "b.csv"])] == wanted
    intake = Intake(iter([Path("a.csv"), Path("b.csv")]), most=10)
    taken: list[str] = []
    while not intake.ended:
        taken += [each.key for each in intake.take(10)]
    assert taken == wanted
    # What a person gave a name is never given another.
    with pytest.raises(ConfigurationError, match="key '1'"):
        items_from([Path("a.csv"), {"key": "1", "text": "x"}])


def test_what_is_said_of_a_table_is_said_of_one_that_an_iterator_gave(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a;b\n1;2\n;\n")
    intake = Intake(iter([path]), most=10)
    while not intake.ended:
        intake.take(10)
    said: list[str] = []
    items_from([path], said=said)
    assert said and intake.said == said
