"""Broken setups, each really broken, for the doctor: the right line, and what mends it."""
