"""Frameworks of agents, chains and pipelines."""
