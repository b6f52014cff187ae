"""The table of documents: a file, what of it is sent to a model, what is not, and what is said."""

from collections.abc import Mapping
from functools import cache

from tests.samples import office_files, text_files
from tests.samples.sample import Sample


@cache
def samples() -> Mapping[str, Sample]:
    """All of them, by name."""
    found = [
        *office_files.pdf_files(),
        *office_files.word_files(),
        *office_files.slides_files(),
        *office_files.open_files(),
        *text_files.mail_files(),
        *text_files.pages_files(),
        *text_files.texts_files(),
        *text_files.binary_files(),
    ]
    table = {each.name: each for each in found}
    assert len(table) == len(found)
    return table
