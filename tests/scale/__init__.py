"""The promises at their full size: `./run pytest -n 0 -m scale`, some minutes."""
