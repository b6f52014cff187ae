"""What is read of each document, what is left out of it, and what is said."""

import sys
from pathlib import PurePath

import pytest

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.flows.items.documents.extraction import document_of
from tests.samples.documents import samples


@pytest.mark.parametrize("name", sorted(samples()))
def test_a_document_says_what_a_person_reads_in_it_and_no_bytes(name: str) -> None:
    sample = samples()[name]
    try:
        document = document_of(name, sample.data, suffix=PurePath(name).suffix)
    except ItemFailed as error:
        assert sample.failure is not None, str(error)
        assert sample.failure in str(error)
        return
    assert sample.failure is None, document.text[:200]
    assert [each for each in sample.sent if each not in document.text] == [], document.text[:900]
    assert [each for each in sample.unsent if each in document.text] == []
    said = "; ".join(document.notes)
    assert sample.note in said if sample.note else said == ""


def test_a_system_that_is_too_old_for_the_library_is_told_of_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As an import that fails leaves it.
    monkeypatch.setitem(sys.modules, "office_oxide", None)
    data = samples()["report.docx"].data
    with pytest.raises(ItemFailed, match=r"office-oxide, which reads it.*glibc 2\.34"):
        document_of("report.docx", data, suffix=".docx")
