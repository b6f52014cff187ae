"""Documents that are broken at random: each is read, or fails by name.

`./run python -m tests.samples.mutated 600` does so for ten minutes and prints what came of them;
CI does for seconds, in tests/unit/flows/items/documents/test_mutated.py.
"""

import io
import random
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePath

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.flows.items.documents.workers import read_document
from tests.samples.documents import samples

# Of CPU for one: what takes longer is stuck, or nearly.
SECONDS = 30
_LARGEST = 200_000


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The bytes with some of them changed, cut, doubled or zeroed; of a zip those of a member."""
    if data.startswith(b"PK\x03\x04") and chance.random() < 0.7:
        try:
            return _with_member(data, chance)
        except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, OSError):
            pass
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        if not found:
            break
        at = chance.randrange(len(found))
        length = min(len(found) - at, chance.choice((1, 4, 40, 400)))
        match chance.randrange(6):
            case 0:
                found[at] = chance.randrange(256)
            case 1:
                del found[at : at + length]
            case 2:
                found[at:at] = found[at : at + length] * chance.choice((1, 3, 100))
            case 3:
                found[at : at + length] = bytes(length)
            case 4:
                found[at : at + length] = chance.randbytes(length)
            case _:
                del found[at:]
    return bytes(found)


def _with_member(data: bytes, chance: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {each.filename: archive.read(each) for each in archive.infolist()}
    name = chance.choice(sorted(members))
    members[name] = mutated(members[name], chance)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for each, content in members.items():
            archive.writestr(each, content)
    return file.getvalue()


def outcomes(seed: int) -> Iterator[str]:
    """What became of one broken document after the other, of each sample in turn, without an end.
    Raises AssertionError for what is sent that is no text, and whatever else a document makes the
    reading raise."""
    chance = random.Random(seed)
    table = [(name, each) for name, each in sorted(samples().items()) if len(each.data) < _LARGEST]
    while True:
        for name, sample in table:
            yield _outcome(name, mutated(sample.data, chance))


def _outcome(name: str, data: bytes) -> str:
    try:
        document = read_document(name, data, suffix=PurePath(name).suffix, seconds=SECONDS)
    except ItemFailed as error:
        reason = str(error)
        assert reason and "\n" not in reason, (name, reason)
        if "of CPU" in reason:
            return "too slow"
        return "crashed its reader" if "the process that read it" in reason else "failed by name"
    assert document.text.strip(), name
    assert "\0" not in document.text, name
    document.text.encode()
    return "read"


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 2**32
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    counts: Counter[str] = Counter()
    for outcome in outcomes(seed):
        counts[outcome] += 1
        if time.monotonic() - began > seconds:
            break
    print(f"{sum(counts.values()):,} documents in {seconds:g} s:", dict(counts))


if __name__ == "__main__":
    main()
