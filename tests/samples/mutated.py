"""Inputs that are broken at random: each is read, or refused by name in time.

`./run python -m tests.samples.mutated 600` does so for ten minutes and prints what came of them:
documents, tables, texts in many encodings, lists, schemas and answers, broken byte by byte, and
schemas, answers and tables that Hypothesis draws. CI does for seconds, in
tests/unit/flows/items/documents/test_mutated.py; what of broken files is sent to a provider, and
that nothing is of what was refused, is tried in tests/integration/cli/inputs/test_mutated.py.
"""

import faulthandler
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePath
from types import FrameType

from prefect_governor.blocks.errors import ConfigurationError, ItemFailed
from prefect_governor.flows.answers.shape import read_schema, shape_of
from prefect_governor.flows.items.documents.workers import read_document
from prefect_governor.flows.items.encodings.lines import lines_in, piped_text
from prefect_governor.flows.items.extraction import read_text
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.skipped import Skipped
from prefect_governor.flows.items.sources import resolve_sources
from tests.integration.cli.inputs.tables import FOUND
from tests.integration.cli.inputs.texts import DECLARED, LEGACY, PLAIN
from tests.samples.answers import ANSWERS, PERSON, SCHEMAS
from tests.samples.documents import samples
from tests.samples.drawn import drawn
from tests.samples.mutating import mutated

# Of CPU for one: what takes longer is stuck, or nearly.
SECONDS = 30
# By the clock, on a machine however busy: what does not even hear that its time is over.
_STUCK_SECONDS = 300
_LARGEST = 200_000


class TooSlow(BaseException):
    """An input took more CPU than any may."""


@dataclass(frozen=True)
class Kind:
    """Inputs of one kind by name, and what becomes of one: "read", or how it is refused."""

    inputs: Mapping[str, bytes]
    take: Callable[[str, bytes], str]


def kinds(folder: Path) -> dict[str, Kind]:
    """All that a run is given from outside. Files are written to `folder`."""
    documents = {name: each.data for name, each in samples().items() if len(each.data) < _LARGEST}
    texts = {each.name: each.raw for each in (*LEGACY, *DECLARED, *PLAIN)}
    schema = shape_of(PERSON)
    assert schema is not None

    def table(name: str, data: bytes) -> str:
        return _table(folder, name, data)

    def text(name: str, data: bytes) -> str:
        return _text(folder, name, data)

    def shape(name: str, data: bytes) -> str:
        path = folder / "schema.json"
        path.write_bytes(data)
        return _refused(lambda: read_schema(path))

    def answer(name: str, data: bytes) -> str:
        try:
            schema.read(data.decode(errors="replace"))
        except ValueError as error:
            assert str(error), name
            return "refused"
        return "read"

    return {
        "documents": Kind(documents, _document),
        "tables": Kind({each.name: each.data for each in FOUND}, table),
        "texts": Kind(texts, text),
        "lists": Kind({name: data.replace(b". ", b"\n") for name, data in texts.items()}, _list),
        "schemas": Kind(SCHEMAS, shape),
        "answers": Kind(ANSWERS, answer),
    }


def outcomes(seed: int, *only: str) -> Iterator[str]:
    """What became of one broken input after the other, of each kind and sample in turn, without an
    end. Raises AssertionError for what is sent that is no text, TooSlow for what takes too long,
    and whatever else an input makes its reading raise."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        there = {
            name: each for name, each in kinds(Path(folder)).items() if not only or name in only
        }
        orders = {name: sorted(each.inputs) for name, each in there.items()}
        for at in count():
            for name, kind in there.items():
                which = orders[name][at % len(orders[name])]
                data = mutated(kind.inputs[which], chance)
                with _kept_if_wrong(which, data), _in_time():
                    came = kind.take(which, data)
                yield f"{name}: {came}"


def _document(name: str, data: bytes) -> str:
    try:
        document = read_document(name, data, suffix=PurePath(name).suffix, seconds=SECONDS)
    except ItemFailed as error:
        reason = str(error)
        assert reason and "\n" not in reason, (name, reason)
        if "of CPU" in reason:
            return "too slow"
        return "crashed its reader" if "the process that read it" in reason else "refused"
    _check_text(name, document.text)
    return "read"


def _table(folder: Path, name: str, data: bytes) -> str:
    """Named and found, for neither may stop where the other reads on."""
    path = folder / "in" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    found: list[list[Item]] = []
    try:
        for source in (path, path.parent):
            skipped: list[Skipped] = []
            try:
                found.append(resolve_sources([str(source)], cwd=folder, skipped=skipped, said=[]))
            except ConfigurationError as error:
                assert str(error) and "\n" not in str(error), (name, str(error))
    finally:
        path.unlink()
    for item in (each for items in found for each in items):
        assert item.key.isprintable() or not item.key.isascii(), (name, item.key)
        if item.text is not None:
            item.text.encode()
    return "read" if found else "refused"


def _text(folder: Path, name: str, data: bytes) -> str:
    path = folder / name
    path.write_bytes(data)
    try:
        document = read_text(Item(key=name, source=str(path)))
    except ItemFailed as error:
        assert str(error) and "\n" not in str(error), (name, str(error))
        return "refused"
    finally:
        path.unlink()
    _check_text(name, document.text)
    return "read"


def _list(name: str, data: bytes) -> str:
    def items() -> None:
        for at, line in lines_in(piped_text(data, name="stdin")):
            Item(key=f"line-{at}", text=line)

    return _refused(items)


def _refused(work: Callable[[], object]) -> str:
    try:
        work()
    except ConfigurationError as error:
        assert str(error), work
        return "refused"
    return "read"


def _check_text(name: str, text: str) -> None:
    assert text.strip(), name
    assert "\0" not in text, name
    text.encode()


@contextmanager
def _in_time() -> Iterator[None]:
    """Raises TooSlow where the code inside takes more CPU of this process than any input may."""

    def over(_: int, frame: FrameType | None) -> None:
        raise TooSlow(f"more than {SECONDS} s of CPU, in {frame}")

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def _kept_if_wrong(name: str, data: bytes) -> Iterator[None]:
    """What broke the reading is kept where it can be tried again."""
    try:
        yield
    except BaseException:
        with tempfile.NamedTemporaryFile(
            prefix="broke-", suffix=f"-{PurePath(name).name}", delete=False
        ) as kept:
            kept.write(data)
        print(f"what broke it is kept in {kept.name}", flush=True)
        raise


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 2**32
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    counts: Counter[str] = Counter()
    # In turns: what is broken, and some of each kind that Hypothesis draws.
    broken, rounds = outcomes(seed), count(seed)
    while (spent := time.monotonic() - began) < seconds:
        until = spent + min(20.0, seconds / 10)
        while time.monotonic() - began < until:
            faulthandler.dump_traceback_later(_STUCK_SECONDS, exit=True)
            counts[next(broken)] += 1
        faulthandler.cancel_dump_traceback_later()
        # Hypothesis makes its inputs too: it has more time than one of them.
        counts.update(drawn(next(rounds), 0))
        print(f"{time.monotonic() - began:.0f} s: {counts.total():,} inputs", flush=True)
    print(f"{counts.total():,} inputs in {seconds:g} s:")
    for outcome, number in sorted(counts.items()):
        print(f"  {outcome}: {number:,}")


if __name__ == "__main__":
    main()
