"""Limits: the Limit model, rates, the lease on Prefect's global concurrency limits."""
