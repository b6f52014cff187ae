"""`prefect-governor research`, once its arguments are parsed."""

import json
from typing import TYPE_CHECKING, Any

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.machine.text import check_whole
from prefect_governor.blocks.money.usd import parse_usd
from prefect_governor.flows.cli.terminal.command_line import working_folder
from prefect_governor.flows.cli.terminal.outputs import STDOUT
from prefect_governor.flows.cli.terminal.session import run_command, set_quiet

if TYPE_CHECKING:
    from prefect_governor.flows.cli.terminal.options import Told
    from prefect_governor.flows.deep_research.request import Inquiry

COMMAND = "research"


def run_research(question: str | None, told: "Told") -> int:
    """Run a research and print its answer; with `dry_run`, what it would be. Returns the exit
    status.

    Raises ConfigurationError for anything wrong with what was given, before anything starts.
    """
    check_whole(question or "", "the question")
    if told.out == STDOUT:
        raise ConfigurationError("the answer is printed in any case: name a file with --out")
    set_quiet()
    from prefect_governor.flows.deep_research.forecast import forecast, may_start, print_forecast
    from prefect_governor.flows.deep_research.request import (
        DEFAULT_MAX_ROUNDS,
        DEFAULT_MAX_TASKS,
        check_tools_are_called,
        make_inquiry,
    )
    from prefect_governor.flows.shards.asked import SHARED, asked_for, check_can_be_imported
    from prefect_governor.flows.shards.deployed import check_deployment

    parameters: dict[str, Any] = {
        "question": question,
        "folder": working_folder(),
        **told.parameters,
    }
    for name in ("corpus", "tools", "allow_hosts", "deny_hosts"):
        parameters[name] = list(parameters[name])
    for name in ("plan", "mcp"):
        given = parameters[name]
        parameters[name] = None if given is None else str(given)
    for name, default in (("max_tasks", DEFAULT_MAX_TASKS), ("max_rounds", DEFAULT_MAX_ROUNDS)):
        if parameters[name] is None:
            parameters[name] = default
    above = None
    if told.ask_above_usd is not None:
        above = parse_usd(told.ask_above_usd, name="--ask-above-usd")

    def make(**parameters: Any) -> "Inquiry":
        asked = asked_for(**{name: parameters.pop(name, None) for name in SHARED})
        if asked is not None:
            check_can_be_imported(parameters["tools"], parameters.get("agent"))
            if asked.deployment is not None:
                check_deployment(asked.deployment, COMMAND)
        return make_inquiry(**parameters)

    def show(inquiry: "Inquiry") -> None:
        check_tools_are_called(inquiry)
        # A server that does not answer is told of by a look as well.
        _ = inquiry.kit.mcp.offers
        expected = forecast(inquiry)
        print(json.dumps(expected.to_json())) if told.as_json else print_forecast(expected)

    def starts(inquiry: "Inquiry") -> bool:
        check_tools_are_called(inquiry)
        return told.yes or may_start(forecast(inquiry), above)

    def flow() -> Any:
        from prefect_governor.flows.research_flow import research

        return research

    return run_command(
        COMMAND,
        parameters,
        told,
        make=make,
        show=show,
        may_start=starts,
        flow=flow,
    )
