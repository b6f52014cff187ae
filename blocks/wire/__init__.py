"""The httpx transports in which every call is admitted and settled."""
