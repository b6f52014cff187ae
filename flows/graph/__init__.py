"""The graph of a research run: its plan, and what of it may start now. Pure."""
