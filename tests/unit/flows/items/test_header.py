"""The names of columns: each once, however many are called the same."""

from prefect_governor.flows.items.tables.header import MOST_SAID, header_of


def test_each_name_stands_once_whatever_is_written() -> None:
    found = header_of(["a", "a", "", "a (2)", "a", "", "x"])
    assert found.names == ("a", "a (2)", "column 3", "a (2) (2)", "a (3)", "column 6", "x")
    assert "'a' names more than one column: one is 'a (3)'" in found.said


def test_a_row_of_nothing_but_commas_and_one_name_takes_no_minutes() -> None:
    many = 20_000
    found = header_of(["a"] * many + [""] * many + ["b"])
    assert len(set(found.names)) == 2 * many + 1
    assert len(found.said) == MOST_SAID + 1
    assert found.said[-1].startswith(f"{2 * many - 1 - MOST_SAID:,} more columns")
