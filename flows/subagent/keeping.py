"""What tools said to an item's agent, kept in the ledger."""

import asyncio
import json
from collections.abc import Collection, Mapping
from typing import Any

from prefect_governor.blocks.context.waits import wait_async
from prefect_governor.blocks.work.runtime import Runtime
from prefect_governor.flows.agent.evidence import Evidence
from prefect_governor.flows.agent.keeping import Elapsed, Keeping, Result
from prefect_governor.flows.agent.showing import Told
from prefect_governor.flows.agent.tools import Tool
from prefect_governor.flows.tools.bench import Bench
from prefect_governor.flows.tools.snapshots import Snapshots

Records = Mapping[str, dict[str, Any]]


class KeptInLedger(Keeping):
    """Of one item of a run, at `place`. `answered_from` names what the item's answer depends on:
    what tools said of other files, or were called for another question, is nothing to this one.
    `records` are an earlier attempt's, by the names of calls."""

    def __init__(self, runtime: Runtime, place: str, answered_from: str, records: Records) -> None:
        self._runtime = runtime
        self._place = place
        self._answered_from = answered_from
        self._records = records

    def kept(self, name: str) -> Result | None:
        found = self._records.get(name)
        if found is None:
            return None
        return Result(Told(found["text"], Evidence.of_json(found["lines"])), found["seconds"])

    async def call(self, name: str, tool: Tool, arguments: str, elapsed: Elapsed) -> Result:
        result = Result(await tool.call(arguments), elapsed())
        await self.keep(name, result)
        return result

    async def keep(self, name: str, result: Result) -> None:
        record = json.dumps(
            {
                "text": result.told.text,
                "lines": result.told.lines.to_json(),
                "seconds": round(result.seconds, 3),
                **self._beside(),
            }
        )
        await wait_async(
            self._runtime.desk.write(
                lambda batch: batch.rows.put_item(self._place, self._answered_from, name, record)
            )
        )

    def _beside(self) -> dict[str, Any]:
        """What is kept with a result."""
        return {}


class KeptOnBench(KeptInLedger):
    """With the workspace as it was after each program, so that the agent's next call finds the
    files that it was told of. Calls of the tools `on_bench` have their turns."""

    def __init__(
        self,
        runtime: Runtime,
        place: str,
        answered_from: str,
        records: Records,
        *,
        bench: Bench,
        snapshots: Snapshots,
        on_bench: Collection[str],
    ) -> None:
        last = max((each["programs"] for each in records.values()), default=0)
        if last and not snapshots.has(last):
            # Another machine has it: what was told there does not hold here.
            records = {}
        super().__init__(runtime, place, answered_from, records)
        self._bench, self._snapshots, self._on_bench = bench, snapshots, on_bench
        self._saved = 0

    def kept(self, name: str) -> Result | None:
        found = self._records.get(name)
        if found is not None:
            self._saved = found["programs"]
            self._bench.return_to(found["programs"], found["runaways"])
        return super().kept(name)

    async def call(self, name: str, tool: Tool, arguments: str, elapsed: Elapsed) -> Result:
        if tool.name not in self._on_bench:
            return await super().call(name, tool, arguments, elapsed)
        bench, snapshots = self._bench, self._snapshots
        async with bench.turn:
            await asyncio.to_thread(bench.catch_up, snapshots)
            told = await tool.call(arguments)
            ran = bench.programs > self._saved
            if ran:
                await asyncio.to_thread(snapshots.save, bench.workspace, bench.programs)
                self._saved = bench.programs
            result = Result(told, elapsed())
            await self.keep(name, result)
            if ran:
                await asyncio.to_thread(snapshots.forget_before, self._saved)
            return result

    def _beside(self) -> dict[str, Any]:
        return {"programs": self._saved, "runaways": list(self._bench.runaways)}


def place_of(run: str, item: str) -> str:
    """Where what tools said to an item's agent is kept: a run's name for the ledger."""
    return f"tools/{run}/{item}"


async def read_records(runtime: Runtime, place: str, answered_from: str) -> Records:
    """What an earlier attempt kept at a place. Raises LedgerUnavailable."""
    found = await asyncio.to_thread(runtime.desk.store.read_items, place)
    return {name: json.loads(each) for (key, name), each in found.items() if key == answered_from}
