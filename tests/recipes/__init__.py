"""Agents of other libraries, as the docs show them: `./run --group recipes pytest -m recipes`."""
