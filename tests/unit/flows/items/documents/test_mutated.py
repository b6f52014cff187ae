"""Broken inputs are read or refused by name, in time."""

from collections import Counter
from itertools import islice

from tests.samples.drawn import drawn
from tests.samples.mutated import outcomes


def test_documents_that_are_broken_at_random_are_read_or_fail_by_name() -> None:
    counts = Counter(islice(outcomes(20, "documents"), 200))
    print(dict(counts))
    assert set(counts) == {"documents: refused", "documents: read"}
    assert min(counts.values()) > 20


def test_whatever_else_is_broken_at_random_is_read_or_refused_by_name() -> None:
    others = ("tables", "texts", "lists", "schemas", "answers")
    counts = Counter(islice(outcomes(20, *others), 600))
    print(dict(counts))
    assert set(counts) == {f"{kind}: {came}" for kind in others for came in ("read", "refused")}


def test_what_nobody_would_write_is_read_or_refused_by_name() -> None:
    counts = drawn(20, 0.0)
    print(dict(counts))
    assert {each.split(":")[0] for each in counts} == {
        f"drawn {kind}" for kind in ("schema", "answer", "table", "rows", "text")
    }
    assert sum(counts.values()) >= 200
