"""A loop that has no time left is known by how late it comes, whatever else it does."""

import asyncio

from prefect_governor.flows.runner.lag import Lag, Late


def test_a_loop_is_as_late_as_what_it_is_busy_with() -> None:
    now = [0.0]
    lag = Lag(clock=lambda: now[0])
    loop = asyncio.new_event_loop()

    async def a_turn() -> None:
        await asyncio.sleep(0)

    def busy(seconds: float) -> None:
        now[0] += seconds

    try:
        lag.ask(loop)
        loop.run_until_complete(a_turn())
        assert lag.late == Late(1, 0.0)
        loop.call_soon(busy, 0.5)
        lag.ask(loop)
        # One that has not come to the last question is not asked again.
        lag.ask(loop)
        loop.run_until_complete(a_turn())
        assert lag.late == Late(2, 0.5)
        assert lag.late.mean == 0.25 and lag.late.since(Late(1, 0.0)).mean == 0.5
    finally:
        loop.close()
    lag.ask(loop)
    lag.ask(loop)
    assert lag.late.probes == 2 and Late().mean == 0.0
