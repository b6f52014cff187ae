"""What was measured last, a file a framework in the cache folder: a page holds all of them, whoever
measured which."""

from __future__ import annotations

import json
from dataclasses import asdict

from tests.frameworks.environments import cache
from tests.frameworks.measured import Measured


def keep(key: str, lines: list[Measured], *, on: str) -> None:
    """`on` is the day, as a text."""
    folder = cache() / "measured"
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"on": on, "lines": [asdict(each) for each in lines]}, indent=1)
    (folder / f"{key}.json").write_text(text)


def kept(key: str) -> tuple[str, list[Measured]] | None:
    """The day and the lines; None where it was never measured, or is of another shape."""
    path = cache() / "measured" / f"{key}.json"
    try:
        found = json.loads(path.read_text())
        return str(found["on"]), [Measured(**each) for each in found["lines"]]
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return None
