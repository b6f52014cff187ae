"""Broken documents are read or fail by name, in time."""

from collections import Counter
from itertools import islice

from tests.samples.mutated import outcomes


def test_documents_that_are_broken_at_random_are_read_or_fail_by_name() -> None:
    counts = Counter(islice(outcomes(20), 200))
    print(dict(counts))
    assert set(counts) == {"failed by name", "read"}
    assert min(counts.values()) > 20
