"""Clients of model APIs."""
