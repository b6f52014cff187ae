"""Keys that are planted wherever a run may come upon one, and all that is written, searched."""

import base64
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from prefect_governor.blocks.machine.home import state_folder

# Where each comes from.
PLACES = (
    "environment", "cloud", "address", "profile", "model_block", "argument", "ledger_password"
)  # fmt: skip


def planted() -> dict[str, str]:
    """A key for each place, with letters that JSON and URLs write otherwise."""
    return {
        # A header holds ASCII alone.
        place: f'Pk/{uuid.uuid4().hex[:16]}+"{at}\\' + ("é" if place.startswith("ledger") else "")
        for at, place in enumerate(PLACES)
    }


def told(keys: dict[str, str]) -> str:
    """All of them, as a text that somebody wrote."""
    return "; ".join(f"{place} is {key}" for place, key in keys.items())


def forms(key: str) -> dict[str, str]:
    """How it may be found again. Written apart from the package's own forms."""
    raw = key.encode()
    return {
        "plain": key,
        "json": json.dumps(key)[1:-1],
        "json as it stands": json.dumps(key, ensure_ascii=False)[1:-1],
        "json in json": json.dumps(json.dumps(key))[3:-3],
        "url": quote(key, safe=""),
        "python": repr(key)[1:-1],
        "hex": raw.hex(),
        **{
            # The letters in the middle, which what is around it does not change.
            f"base64 after {at}": base64.b64encode(b"x" * at + raw + b"xxx").decode()[4:20]
            for at in range(3)
        },
    }


def found(keys: dict[str, str], texts: dict[str, bytes]) -> tuple[list[str], int]:
    """Where any is, and how many places were searched."""
    sought = [
        (place, form, text.encode())
        for place, key in keys.items()
        for form, text in forms(key).items()
    ]
    hits: list[str] = []
    searched = 0
    for name, data in [*texts.items(), *_files()]:
        searched += 1
        hits += [f"{place} in {form} in {name}" for place, form, text in sought if text in data]
    return hits, searched


def _files() -> Iterator[tuple[str, bytes]]:
    """Every file under PREFECT_HOME: Prefect's database with its logs, artifacts and states; its
    results; our ledger with its replies, run files."""
    home = state_folder().parent
    for path in sorted(home.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(home)), _read(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        # A lock that its owner has taken away meanwhile.
        return b""
