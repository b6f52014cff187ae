"""Broken documents are read or fail by name, in time."""

from tests.samples.mutated import try_all


def test_documents_that_are_broken_at_random_are_read_or_fail_by_name() -> None:
    counts = try_all(seconds=3, seed=20)
    print(dict(counts))
    assert counts["failed by name"] > 10
    assert counts["read"] > 10
    assert counts["too slow"] == 0
    assert counts["crashed its reader"] == 0
