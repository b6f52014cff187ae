"""Bytes in a text, looked for by expressions that anybody's text is held against."""

import time

from prefect_governor.flows.items.documents.formats.embedded import without_embedded


def test_spaces_after_a_data_uri_take_no_longer_than_other_text() -> None:
    # Some 100 s where each space may be of either of two runs, while no other thread goes on.
    text = "data:;base64," + " " * 50_000 + "!"
    began = time.process_time()
    assert without_embedded(text) == (text, None)
    assert time.process_time() - began < 2
