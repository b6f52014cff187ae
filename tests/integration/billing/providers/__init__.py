"""The rows of each provider: a file each, with its `PROVIDER`. A new file is found by itself."""
