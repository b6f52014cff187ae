"""Tests that interrupt at a step, by an exception out of a profile function."""

import sys

import pytest

# What raises from a profile function leaves broken frames in the first releases of 3.11, Debian's
# too, which crash it at the next collection.
BREAKS = pytest.mark.skipif(
    (3, 11) <= sys.version_info < (3, 11, 4), reason="Python 3.11.0 to 3.11.3 crashes by the test"
)
