"""A warm parent that has imported everything and opened nothing, and the runs that it forks.

`python -m tests.chaos.researcher` reads a JSON list a line and forks a child for it: `["cli",
argument, …]` is the command line, `["run", flow run id]` runs a flow run that is there, as a worker
does. It tells the child's process id, and its exit status (a signal's number, negative) once it
has ended.
"""

import json
import os
import sys
import traceback
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow

from prefect_governor.blocks.models.library.module import litellm
from prefect_governor.flows.cli.main import main as command_line
from prefect_governor.flows.research_flow import research
from tests.talk import tell


def _work(order: list[str]) -> None:
    kind, *rest = order
    if kind == "cli":
        command_line(rest, prog_name="prefect-governor")
        return
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(rest[0]))
    run_flow(research, flow_run=run, parameters=run.parameters, return_type="state")


def main() -> None:
    litellm()
    tell("ready")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            sys.stdin.close()
            status = 0
            try:
                _work(json.loads(line))
            except SystemExit as end:
                status = int(end.code or 0)
            except BaseException:
                traceback.print_exc()
                status = 70
            sys.stderr.flush()
            os._exit(status)
        tell(pid)
        _, status = os.waitpid(pid, 0)
        tell(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
