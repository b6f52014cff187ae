"""What tools said to an item's agent, kept in the ledger."""

import asyncio
import json
from collections.abc import Mapping

from typing_extensions import Self

from prefect_governor.blocks.context.waits import wait_async
from prefect_governor.blocks.work.runtime import Runtime
from prefect_governor.flows.agent.evidence import Evidence
from prefect_governor.flows.agent.keeping import Elapsed, Keeping, Result
from prefect_governor.flows.agent.showing import Told
from prefect_governor.flows.agent.tools import Tool


class KeptInLedger(Keeping):
    """Of one item of a run. `answered_from` names what the item's answer depends on: what tools
    said of other files, or were called for another question, is nothing to this one."""

    def __init__(
        self,
        runtime: Runtime,
        place: str,
        answered_from: str,
        records: Mapping[tuple[str, str], str],
    ) -> None:
        self._runtime = runtime
        self._place = place
        self._answered_from = answered_from
        self._records = records

    @classmethod
    async def of(cls, runtime: Runtime, run: str, item: str, answered_from: str) -> Self:
        """With what an earlier attempt of the run kept for the item. Raises LedgerUnavailable."""
        place = f"tools/{run}/{item}"
        records = await asyncio.to_thread(runtime.desk.store.read_items, place)
        return cls(runtime, place, answered_from, records)

    def kept(self, name: str) -> Result | None:
        record = self._records.get((self._answered_from, name))
        if record is None:
            return None
        found = json.loads(record)
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
            }
        )
        await wait_async(
            self._runtime.desk.write(
                lambda batch: batch.rows.put_item(self._place, self._answered_from, name, record)
            )
        )
