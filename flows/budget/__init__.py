"""`prefect-governor budget`: what is spent and by whom, the ceiling, and calls that nobody
confirmed."""
