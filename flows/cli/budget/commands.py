"""`prefect-governor budget …`: parses, calls, prints. Imports nothing heavy before it has to."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from prefect_governor.flows.cli.terminal.command_line import (
    CONTEXT,
    F,
    Group,
    UsageProblem,
    option,
)

# An amount to lower by, such as -5, is no option.
_AMOUNTS = CONTEXT | {"ignore_unknown_options": True}
_REASON = "Why; kept in the audit."


@click.group(cls=Group, context_settings=CONTEXT)
def budget() -> None:
    """What was spent, by whom, how much is left, and how much may be spent.

    \b
    Examples:
      prefect-governor budget show llm-team --by model
      prefect-governor budget raise llm-team +5 --reason "the quarterly review"
      prefect-governor budget reconcile llm-team --from usage.csv --dry-run
    """


@budget.command("show", context_settings=CONTEXT)
@click.argument("name", required=False)
@option(
    "--by",
    type=click.Choice(["flow", "deployment", "task", "tag", "model", "user"]),
    help="Who spent it: a line for each.",
)
@option(
    "--since",
    metavar="WHEN",
    help="Break down what was spent since then, whatever the window: an age (30m, 24h, 7d, 2w) or a"
    " date or time (2026-01-31, 2026-01-31T09:00).",
)
@option("--audit", is_flag=True, help="Also what people changed by hand, and why.")
@option("--unconfirmed", is_flag=True, help="List each call whose outcome nobody knows.")
@option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@option("--watch", is_flag=True, help="Show it again every 2 s, until Ctrl-C.")
def budget_show(name: str | None, watch: bool, **options: Any) -> None:
    """Show a ceiling, and what of it is spent, unconfirmed, reserved, allocated and left; which
    calls hold it, since when, for whom, and what waits for it.

    NAME is a saved Governor's or Budget's, or local/NAME for `Governor.local(NAME, ...)`. The
    budgets above it are shown with it. Without a NAME: all that are saved, a line each.

    \b
    Examples:
      prefect-governor budget show
      prefect-governor budget show llm-team
      prefect-governor budget show llm-team --by tag --since 7d --csv
      prefect-governor budget show llm-team --watch
      prefect-governor budget show local/scratch --json
    """
    from prefect_governor.flows.cli.budget.show import show_budget, watch_budget

    if name is None:
        _check_of_all(watch=watch, **options)
        from prefect_governor.flows.cli.budget.all import show_all

        click.echo(show_all(as_json=options["as_json"], as_csv=options["as_csv"]))
    elif watch:
        watch_budget(name, **options)
    else:
        click.echo(show_budget(name, **options))


def _check_of_all(*, as_json: bool, as_csv: bool, **options: Any) -> None:
    if asked := [name for name, value in options.items() if value]:
        raise UsageProblem(
            f"--{asked[0]} is of one budget: name it, as in `budget show NAME --{asked[0]}`;"
            " `budget show` alone lists them"
        )


def _changing(way: str) -> Callable[[F], F]:
    """The arguments that `raise` and `lower` share."""

    def decorate(function: F) -> F:
        for each in (
            option("--reason", metavar="TEXT", help=_REASON),
            option("--tokens", metavar="N", help=f"{way} the ceiling in total tokens."),
            click.argument("amount", required=False, metavar="[X]"),
            click.argument("name"),
        ):
            function = each(function)
        return function

    return decorate


@budget.command("raise", context_settings=_AMOUNTS)
@_changing("Raise")
def budget_raise(name: str, amount: str | None, tokens: str | None, reason: str | None) -> None:
    """Raise a ceiling to X USD, or by +X. What waits for it goes on.

    NAME is a saved Governor's or Budget's. The block's document is edited, and the ledger follows
    at once: running flows need no restart.

    \b
    Examples:
      prefect-governor budget raise llm-team 20
      prefect-governor budget raise llm-team +5 --reason "the quarterly review"
      prefect-governor budget raise llm-team --tokens +1000000
    """
    from prefect_governor.flows.cli.budget.change import change_budget

    change_budget("raise", name, amount, tokens=tokens, reason=reason)


@budget.command("lower", context_settings=_AMOUNTS)
@_changing("Lower")
def budget_lower(name: str, amount: str | None, tokens: str | None, reason: str | None) -> None:
    """Lower a ceiling to X USD, or by -X. Calls in flight end as they would have.

    Below what is spent, nothing more is admitted in this window.

    \b
    Examples:
      prefect-governor budget lower llm-team 2
      prefect-governor budget lower llm-team -0.50 --reason "nothing more today"
    """
    from prefect_governor.flows.cli.budget.change import change_budget

    change_budget("lower", name, amount, tokens=tokens, reason=reason)


@budget.command("reconcile", context_settings=CONTEXT)
@click.argument("name")
@option(
    "--from",
    "export",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A provider's usage export, .csv or .jsonl, a row a call.",
)
@option(
    "--complete-until",
    metavar="TIME",
    help="The export holds all that was billed until then: calls that were unconfirmed by then and"
    " are not in it were not billed.",
)
@option("--call", metavar="ID", help="One call, by hand: its id as listed, or a start of it.")
@option("--usd", metavar="X", help="What that call was billed.")
@option("--void", is_flag=True, help="That call was not billed.")
@option("--reason", metavar="TEXT", help=_REASON)
@option("--dry-run", is_flag=True, help="Say what it would do; change nothing.")
@option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def budget_reconcile(name: str, **options: Any) -> None:
    """List calls whose outcome nobody knows, and resolve them by evidence.

    They stay charged at their bound until then. A row of an export settles the call that it names
    by its request id (x-client-request-id is the call's id) at its cost, or at its tokens' price.
    What is resolved, or in flight, is never touched. Every change is one row of the audit.

    \b
    Examples:
      prefect-governor budget reconcile llm-team
      prefect-governor budget reconcile llm-team --from usage.csv --dry-run
      prefect-governor budget reconcile llm-team --from usage.csv
      prefect-governor budget reconcile llm-team --call 3f2a --usd 0.0031
      prefect-governor budget reconcile llm-team --call 3f2a --void

    \b
    Exit status: 0 done, 3 something that the export says was left alone, 2 usage.
    """
    from prefect_governor.flows.cli.budget.reconcile import reconcile_budget

    sys.exit(reconcile_budget(name, **options))
