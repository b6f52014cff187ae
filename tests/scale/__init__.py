"""The promises at their full size: `./run pytest -m scale`, some minutes."""
