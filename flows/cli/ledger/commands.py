"""`prefect-governor ledger …`: parses, calls, prints. Imports nothing heavy before it has to."""

import click

from prefect_governor.flows.cli.terminal.command_line import CONTEXT, Group, option

_GOVERNOR = option(
    "--governor",
    metavar="NAME",
    help="The ledger of this saved Governor. [default: PREFECT_GOVERNOR_LEDGER_URL's, else this"
    " machine's]",
)
_DRY_RUN = option("--dry-run", is_flag=True, help="Say what it would do; change nothing.")
_JSON = option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group(cls=Group, context_settings=CONTEXT)
def ledger() -> None:
    """Where all that was spent is kept: how much of it, where, and what if it is lost.

    \b
    Examples:
      prefect-governor ledger compact --dry-run
    """


@ledger.command("compact", context_settings=CONTEXT)
@option(
    "--older-than",
    default="90d",
    show_default=True,
    metavar="AGE",
    help="Sum calls that are older (30m, 24h, 90d, 2w), or of before a date or time.",
)
@option(
    "--replies-older-than",
    metavar="AGE",
    help="What runs keep to be gone on with is removed where their last call is older. [default: as"
    " --older-than]",
)
@_GOVERNOR
@_DRY_RUN
@_JSON
def ledger_compact(
    older_than: str,
    replies_older_than: str | None,
    governor: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Sum old calls, by the quarter of an hour and by flow, deployment, task, tags, model and user.

    `budget show`, `--by`, `--since`, the page of money and the forecast say the same as before, to
    the nano-dollar; of a time within a quarter that is summed, `--since` counts all of it. Calls in
    flight or unconfirmed are never summed, nor those of a run that can still be gone on with, nor
    what was changed by hand. Runs go on meanwhile: a call waits for some milliseconds at the most.

    \b
    Examples:
      prefect-governor ledger compact
      prefect-governor ledger compact --older-than 30d --replies-older-than 180d
      prefect-governor ledger compact --dry-run --json
    """
    from prefect_governor.flows.cli.ledger.compact import compact_ledger

    compact_ledger(
        older_than=older_than,
        replies_older_than=replies_older_than,
        governor=governor,
        dry_run=dry_run,
        as_json=as_json,
    )
