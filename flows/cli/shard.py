"""`python -m prefect_governor.flows.cli.shard FOLDER NUMBER`: a shard of a run, as a process of the
run's own machine. The run's process starts it and holds the other end of its standard input."""

import gc
import os
import sys
import threading
from pathlib import Path
from typing import Any

from prefect_governor.blocks.errors import GovernorError, RunFailed
from prefect_governor.blocks.machine.stops import Stop
from prefect_governor.blocks.secrets.exits import scrubbed
from prefect_governor.flows.cli.terminal.session import set_quiet

# The exit status where the shard could not work at all.
REFUSED = 2


def main(folder: str, number: str) -> int:
    """Run the shard. Returns the exit status: 0 however its items ended, which it has told."""
    set_quiet()
    from prefect_governor.flows.run.control import Control, current_control
    from prefect_governor.flows.shards.plan import read_plan
    from prefect_governor.flows.shards.planning import parameters_of

    gc.freeze()
    control = Control()
    current_control.set(control)
    threading.Thread(target=_end_with_the_run, args=(control.stop,), daemon=True).start()
    try:
        plan = read_plan(Path(folder))
        flow = _flow(plan.flow).with_options(flow_run_name=f"{plan.name} shard {number}")
        flow(**parameters_of(plan, int(number)))
    except RunFailed:
        # Each of its items has said so.
        return 0
    except GovernorError as error:
        print(scrubbed(str(error)), file=sys.stderr)
        return REFUSED
    return 0


def _flow(name: str) -> Any:
    from prefect_governor.flows.shards.plan import RESEARCH

    if name == RESEARCH:
        from prefect_governor.flows.research_flow import research

        return research
    from prefect_governor.flows.fan_out_flow import fan_out

    return fan_out


def _end_with_the_run(stop: Stop) -> None:
    """Where the run's process is gone, nothing more begins: whoever goes on with the run starts
    its own."""
    # Not `sys.stdin`: a thread that reads there when the process ends has it aborted.
    while os.read(0, 1):
        pass
    stop.set("the process of the run has ended")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
