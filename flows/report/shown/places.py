"""Where a file is, for whoever may be at another machine. Pure."""


def on_host(host: str, path: str) -> str:
    """A path that only one machine has, with that machine: "on worker-1: /runs/results.jsonl"."""
    return f"on {host}: {path}"
