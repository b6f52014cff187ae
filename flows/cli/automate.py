"""`prefect-governor automate …`: makes Prefect Automations that act on a budget's events."""

from collections.abc import Callable

import click

from prefect_governor.flows.cli.terminal.command_line import CONTEXT, Group, option

_KINDS = ["share-spent", "over-budget", "unconfirmed", "document-invalid", "circuit-breaker"]
_POOL = "Work pool whose worker runs it. Default: {}, where there is one."


@click.group(cls=Group, context_settings=CONTEXT)
def automate() -> None:
    """Make Automations: hold deployments back, ask for a raise, notify.

    They act on the events of governors and budgets, in Prefect's server, whether or not anything
    of ours runs. Making one again replaces it; `prefect automation delete` takes it away.

    \b
    Examples:
      prefect-governor automate hold llm-team fan-out/nightly-docs --at 95
      prefect-governor automate ask llm-team --at-most 50
      prefect-governor automate notify slack-webhook/team
    """


@automate.command("hold", context_settings=CONTEXT)
@click.argument("budget")
@click.argument("deployments", nargs=-1, required=True, metavar="FLOW/DEPLOYMENT...")
@option("--at", type=int, default=80, show_default=True, help="Percent: 50, 80, 95 or 100.")
@option("--pool", help=_POOL.format("that of the deployments"))
def hold_command(budget: str, deployments: tuple[str, ...], at: int, pool: str | None) -> None:
    """Pause deployments at a share of BUDGET, and let them run again.

    They run again a minute after the budget's next window opens, and when its ceiling is raised.
    BUDGET is the name of a saved Budget block, or of a Governor with a budget of its own. What a
    person paused stays paused. A worker of the pool must run.
    """

    def make() -> list[str]:
        from prefect_governor.flows.automations.automations import hold

        return hold(budget, deployments, at=at, pool=pool)

    _made(make)


@automate.command("ask", context_settings=CONTEXT)
@click.argument("budget")
@option("--pool", help=_POOL.format("the only one"))
@option("--at-most", metavar="USD", help="The highest ceiling that an answer may set.")
def ask_command(budget: str, pool: str | None, at_most: str | None) -> None:
    """Ask a person for a raise when BUDGET refuses calls, and raise it by the answer.

    A flow run of its own is suspended until somebody answers with Resume on its page, up to a day;
    what waits for money goes on within 5 s of the raise. It asks once, and no more in a window for
    which the answer was to leave the ceiling as it is.
    """

    def make() -> list[str]:
        from prefect_governor.flows.automations.automations import ask

        return ask(budget, pool=pool, at_most_usd=at_most)

    _made(make)


@automate.command("notify", context_settings=CONTEXT)
@click.argument("block", metavar="TYPE/NAME")
@option("--on", "events", type=click.Choice(_KINDS), multiple=True, help="Default: all of them.")
@option("--budget", help="Of this Budget or Governor alone. Default: of any.")
@option("--at", type=int, default=80, show_default=True, help="Of share-spent: 50, 80, 95 or 100.")
def notify_command(block: str, events: tuple[str, ...], budget: str | None, at: int) -> None:
    """Have a saved notification block, such as slack-webhook/team, told what happens.

    \b
    share-spent        so many percent of a ceiling are spent or unconfirmed
    over-budget        a call was refused, or paused, for want of money
    unconfirmed        nobody knows what a call was billed
    document-invalid   a block does not validate: the last good ceiling holds
    circuit-breaker    a run stopped itself: a dead key, a spent quota
    """

    def make() -> list[str]:
        from prefect_governor.flows.automations.automations import notify

        return notify(block, events=events or _KINDS, budget=budget, at=at)

    _made(make)


def _made(make: Callable[[], list[str]]) -> None:
    """Print what was made, on a server that is found or started."""
    from prefect_governor.flows.cli.terminal.terminal import say
    from prefect_governor.flows.server.server import ensure_server, use_server

    use_server(ensure_server(on_progress=say))
    for line in make():
        click.echo(line)
