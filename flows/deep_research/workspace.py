"""The workspace of a research agent that runs programs: copies of the corpus's files, and what it
writes itself.

What it writes is no source: lines of it are shown, and may not be cited. What stands in the corpus
is always read from the corpus, whatever became of the copy.
"""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.workspaces.bounds import Allowance, WorkspaceBounds, WorkspaceFull
from prefect_governor.flows.agent.corpus import Corpus
from prefect_governor.flows.agent.showing import Excerpts
from prefect_governor.flows.agent.tools import Tool, tool_of
from prefect_governor.flows.items.folders import folder_files, glob_files, has_magic, key_of
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.reading import AS_IT_IS
from prefect_governor.flows.tools.bench import Bench
from prefect_governor.flows.tools.kit import Kit

# Where the corpus's files are in it.
CORPUS = "corpus"
Files = tuple[tuple[str, Path], ...]


def corpus_files(
    sources: Sequence[str], items: Sequence[Item], base: Path, bounds: WorkspaceBounds
) -> Files:
    """The files of a corpus under their names in a workspace: those that are sources themselves,
    and those whose rows are.

    Raises ConfigurationError where they are more than it may hold.
    """
    found = {item.source: item.key for item in items if item.source is not None}
    if len(found) < len(items):
        for path in _named(sources, base):
            found.setdefault(os.path.normpath(path), key_of(path, base))
    allowance = Allowance(bounds)
    for source in found:
        try:
            size = os.stat(source).st_size
        except OSError:
            # Whoever reads the corpus says it.
            continue
        try:
            allowance.take(size=size, files=1)
        except WorkspaceFull as full:
            raise ConfigurationError(
                f"agents with programs have the corpus's files in their workspaces: {full}; or name"
                " fewer of them"
            ) from None
    return tuple((f"{CORPUS}/{key.lstrip('/')}", Path(source)) for source, key in found.items())


def _named(sources: Sequence[str], base: Path) -> Iterator[Path]:
    for source in sources:
        path = base / os.path.expanduser(source)
        if path.is_dir():
            yield from folder_files(path, source, base, [], AS_IT_IS)
        elif path.exists():
            yield path
        elif has_magic(source):
            yield from glob_files(source, base, [], AS_IT_IS)


def own_tools(kit: Kit, bench: Bench, corpus: Corpus) -> list[Tool]:
    """The tools of one agent's workspace. With a corpus `read` reads both."""
    found = []
    for tool in kit.on(bench):
        if tool.name in ("read", "search"):
            tool = replace(tool, function=_not_to_be_cited(tool.function))
        if tool.name == "read" and len(corpus):
            tool = _read_both(tool, corpus)
        found.append(tool)
    return found


def _not_to_be_cited(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **values: Any) -> Any:
        return replace(await function(*args, **values), citable=False)

    return call


def _read_both(own: Tool, corpus: Corpus) -> Tool:
    async def read(
        source: str, first: int = 1, last: int | None = None, page: int | None = None
    ) -> Excerpts:
        """Read lines `first` to `last` of a source of the corpus or of a file of your workspace, or
        a page of it, with line numbers. Lines of the corpus are cited as [source:first-last]."""
        name = source if source in corpus.names else source.removeprefix(f"{CORPUS}/")
        if name in corpus.names:
            return Excerpts([corpus.read(name, first=first, last=last, page=page)])
        shown: Excerpts = await own.function(source, first=first, last=last, page=page)
        return shown

    return tool_of(read)
