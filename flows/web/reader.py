"""A process that takes the text out of one page, and is ended where that takes too long.

Parsers of HTML and PDF can be made to work for hours on 200 KB, or to fill the memory; a thread
cannot be ended. So they run here: a page in on stdin, one JSON object out, nothing of the
environment, bounded memory.
"""

import itertools
import json
import os
import sys

import anyio

from prefect_governor.blocks.limits.resources import cores
from prefect_governor.flows.items.documents.formats.document import Document
from prefect_governor.flows.web import extractor
from prefect_governor.flows.web.network.guard import NotFetched
from prefect_governor.flows.web.turns import Turns

_MOST_MEMORY_MIB = 1_024
# Of pages that are read at once, over all event loops: more would take each other's time.
AT_ONCE = max(2, cores())
_TURNS = Turns()
_places = itertools.cycle(map(str, range(AT_ONCE)))


async def read_in_process(url: str, data: bytes, *, suffix: str, seconds: float) -> Document:
    """`document_of` in a process of its own, once there is a place for one. Raises NotFetched where
    there is no text, or none in time."""
    bounds = [str(max(1, round(seconds))), str(_MOST_MEMORY_MIB)]
    command = [sys.executable, "-m", extractor.__name__, suffix, *bounds]
    # From its code to its cores: nothing that a page could be after.
    environment = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        async with _TURNS.of(next(_places)):
            with anyio.fail_after(seconds):
                done = await anyio.run_process(
                    command, input=data, env=environment, cwd="/", check=False,
                    start_new_session=True,
                )  # fmt: skip
    except TimeoutError:
        raise NotFetched(f"its text could not be read in {seconds:g} s") from None
    try:
        told = json.loads(done.stdout)
    except ValueError:
        raise NotFetched(f"its text could not be read: {_how(done.returncode)}") from None
    if "error" in told:
        raise NotFetched(f"no text in it: {told['error']}")
    return Document(url, told["text"], told["kind"], tuple(told["pages"]))


def _how(status: int) -> str:
    what = f"by signal {-status}" if status < 0 else f"with status {status}"
    return f"the process that read it ended {what}"
