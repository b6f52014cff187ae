"""`read` and `search`: the files of an item's workspace, as they are when they are asked for."""

import asyncio

from prefect_governor.flows.agent.showing import Excerpts
from prefect_governor.flows.agent.tools import Tool, tool_of
from prefect_governor.flows.tools.bench import Bench

_MOST_FOUND = 20


def read_tool(bench: Bench) -> Tool:
    async def read(
        name: str, first: int = 1, last: int | None = None, page: int | None = None
    ) -> Excerpts:
        """Read lines `first` to `last` of a file of your workspace, or a page of it, with line
        numbers, to cite as [name:first-last]."""

        def extract() -> Excerpts:
            corpus = bench.file(name)
            return Excerpts([corpus.read(name, first=first, last=last, page=page)])

        return await asyncio.to_thread(extract)

    return tool_of(read)


def search_tool(bench: Bench) -> Tool:
    async def search(query: str, files: list[str] | None = None, most: int = 6) -> Excerpts:
        """Search the files of your workspace by keywords. Gives the best passages with the name of
        the file and line numbers, to cite as [name:first-last]. `files` limits it to names or
        patterns."""

        def found() -> Excerpts:
            extracts = bench.files().search(
                query, within=files or (), most=max(1, min(most, _MOST_FOUND))
            )
            return Excerpts(extracts, instead="nothing in the workspace says that")

        return await asyncio.to_thread(found)

    return tool_of(search)
