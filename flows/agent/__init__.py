"""A sub-agent of a research run: its tools, its corpus, its loop, and what it really retrieved."""
