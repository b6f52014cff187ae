"""`python -m tests.integration.endings.program`: a run in a process of its own, which may be ended.
Reads its options as JSON from the command's last word, and tells its run's id and its end.

`flow` names what runs, by default `fan_out`, which tells its items too. `patience` is how long it
waits for a server that is away, in seconds.
"""

import json
import sys
from typing import Any

from prefect_governor import RunFailed, fan_out, research
from prefect_governor.flows.publications import attempt
from prefect_governor.flows.run.control import Control, current_control
from tests.talk import tell


def main() -> None:
    options = json.loads(sys.argv[-1])
    attempt.PATIENCE_SECONDS = options.pop("patience", attempt.PATIENCE_SECONDS)
    current_control.set(Control(started=tell, told=lambda item: tell(item.key)))
    flow: Any = {"fan_out": fan_out, "research": research}[options.pop("flow", "fan_out")]
    try:
        flow(**options)
    except RunFailed:
        tell("failed")
    except BaseException as error:
        tell(type(error).__name__)
        raise
    else:
        tell("ended")


if __name__ == "__main__":
    main()
