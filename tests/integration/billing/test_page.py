"""docs/reference/bounds.md says what the table does."""

from tests.integration.billing.page import PAGE, written


def test_the_page_is_made_of_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == written(), (
        "the table has changed: ./run python -m tests.integration.billing.page"
    )
