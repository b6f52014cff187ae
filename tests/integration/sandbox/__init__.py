"""Sandboxes: hostile programs, and what becomes of them."""
