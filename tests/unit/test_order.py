"""The long files of the tests, which begin first, are there."""

import pytest

from tests import ROOT
from tests.conftest import LONGEST


@pytest.mark.parametrize("name", LONGEST)
def test_a_file_that_is_to_begin_first_exists(name: str) -> None:
    """One that was renamed would begin last in silence."""
    assert (ROOT / "tests" / name).is_file()
