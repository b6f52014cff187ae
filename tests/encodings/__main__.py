"""Prints how much of the samples is read right, by size, by encoding and by language.

`./run python -m tests.encodings` measures what is used; with `charset-normalizer` the detector that
was used before. Exit status 1 where less than 98% is right at 1 KB and above.
"""

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.flows.items.encodings import decoded
from tests.encodings.samples import SIZES, Sample, samples
from tests.encodings.texts import LANGUAGES, texts
from tests.frameworks.environments import NotInstalled

_ENOUGH = 0.98
_LEAST_SIZE = 1_000

Reader = Callable[[bytes], tuple[str | None, bool]]


def ours(raw: bytes) -> tuple[str | None, bool]:
    """The text, and whether something was said of it."""
    try:
        found = decoded(raw)
    except ItemFailed:
        return None, True
    return found.text, found.note is not None


def normalizer(raw: bytes) -> tuple[str | None, bool]:
    """As it was before, without what was said."""
    from charset_normalizer import from_bytes

    best = from_bytes(raw).best()
    return (None if best is None else str(best)), True


def main() -> int:
    read = normalizer if "charset-normalizer" in sys.argv[1:] else ours
    try:
        found = texts()
    except NotInstalled as error:
        print(f"the texts cannot be had: {error}")
        return 1
    began = time.process_time()
    right: dict[tuple[str, int], Counter[bool]] = defaultdict(Counter)
    silent = 0
    for sample in _all(found):
        text, said = read(sample.raw)
        good = text == sample.text
        silent += not good and not said
        for name in ("all", f"in {sample.encoding}", f"of {sample.language}"):
            right[name, sample.size][good] += 1
    _print(right)
    print(f"\n{silent} wrong without a word; {time.process_time() - began:.1f} s of CPU")
    enough = all(_share(right["all", size]) >= _ENOUGH for size in SIZES if size >= _LEAST_SIZE)
    return 0 if enough and not silent else 1


def _all(found: dict[str, list[str]]) -> Iterator[Sample]:
    for language, (encodings, _) in LANGUAGES.items():
        for encoding in encodings:
            yield from samples(language, encoding, found[language])


def _print(right: dict[tuple[str, int], Counter[bool]]) -> None:
    names = list(dict.fromkeys(name for name, _ in right))
    print("".join([f"{'right':<16}", *(f"{f'{size:,} B':>16}" for size in SIZES)]))
    for name in ["all", *sorted(each for each in names if each != "all")]:
        cells = (right.get((name, size), Counter()) for size in SIZES)
        print(f"{name:<16}" + "".join(f"{_cell(each):>16}" for each in cells))


def _cell(found: "Counter[bool]") -> str:
    total = found.total()
    return f"{found[True]}/{total} {_share(found):.1%}" if total else "-"


def _share(found: "Counter[bool]") -> float:
    return found[True] / found.total() if found.total() else 1.0


if __name__ == "__main__":
    sys.exit(main())
