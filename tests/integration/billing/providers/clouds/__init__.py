"""Clouds that serve the models of others."""
