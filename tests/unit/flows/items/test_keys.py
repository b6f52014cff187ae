"""Keys are claimed once, however many there are."""

import sqlite3
import threading

import pytest

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.items import keys as room
from prefect_governor.flows.items.keys import Keys, check_keys


@pytest.mark.parametrize("most", [2, 1_000])
def test_a_key_is_its_first_place_s_whether_it_is_held_or_in_a_file(most: int) -> None:
    names = ["a", "b", "ü" * 300, "c'; DROP TABLE keys", "", "e"]
    with Keys(most=most) as keys:
        assert [keys.claim(name, f"t.csv:{at}") for at, name in enumerate(names)] == [None] * 6
        assert keys.claim("b", "u.csv:9") == "t.csv:1"
        assert [keys.place_of(name) for name in (*names, "x")] == [
            *(f"t.csv:{at}" for at in range(6)),
            None,
        ]


def test_another_thread_goes_on_with_them() -> None:
    with Keys(most=1) as keys:
        for name in "ab":
            keys.claim(name, name)
        found: list[str | None] = []
        thread = threading.Thread(target=lambda: found.append(keys.claim("a", "x")))
        thread.start()
        thread.join()
    assert found == ["a"]


def test_a_file_that_cannot_be_written_is_told_by_what_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(_: dict[str, str]) -> sqlite3.Connection:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(room, "_file_of", full)
    with (
        Keys(most=1) as keys,
        pytest.raises(ConfigurationError, match=r"disk is full\): set SQLITE_TMPDIR"),
    ):
        for name in "ab":
            keys.claim(name, name)


def test_a_key_that_comes_twice_is_refused() -> None:
    check_keys(["a", "b"])
    with pytest.raises(ConfigurationError, match="'a'"):
        check_keys(["a", "b", "a"])
