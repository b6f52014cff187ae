"""Sandboxes on a real Docker engine."""
