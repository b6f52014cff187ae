"""Task runners on clusters of this machine: `./run --group engines pytest -n 0 -m engines`."""
