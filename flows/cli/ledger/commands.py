"""`prefect-governor ledger …`: parses, calls, prints. Imports nothing heavy before it has to."""

from pathlib import Path

import click

from prefect_governor.flows.cli.terminal.command_line import CONTEXT, Group, option

_GOVERNOR = option(
    "--governor",
    metavar="NAME",
    help="The ledger of this saved Governor. [default: the one of governors that name none]",
)
_DRY_RUN = option("--dry-run", is_flag=True, help="Say what it would do; change nothing.")
_JSON = option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group(cls=Group, context_settings=CONTEXT)
def ledger() -> None:
    """Where all that was spent is kept: how much of it, where, and what if it is lost.

    \b
    Examples:
      prefect-governor ledger compact --dry-run
      prefect-governor ledger move --to postgresql://user:password@host/database
      prefect-governor ledger backup /backups/ledger.sqlite
      prefect-governor ledger rebuild llm-team --from costs.csv --dry-run
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


@ledger.command("move", context_settings=CONTEXT)
@option(
    "--to",
    required=True,
    metavar="URL|PATH",
    help="postgresql://user:password@host/database (?schema= names the schema), or a file.",
)
@option("--cancel", "cancelled", is_flag=True, help="A move that was cut short: let it be here.")
@_GOVERNOR
@_DRY_RUN
@_JSON
def ledger_move(
    to: str, cancelled: bool, governor: str | None, dry_run: bool, as_json: bool
) -> None:
    """Move the whole ledger to a PostgreSQL, or back into a file, under its own id.

    Refused while processes are at work in it: they are named. From the first moment on nothing is
    spent from the old one, which is kept as it was and says where it went; the new one is there all
    at once, and only if it comes to the same, to the nano-dollar. Cut short, run it again: it goes
    on. Rates begin anew, as after a reboot.

    \b
    Examples:
      prefect-governor ledger move --dry-run --to postgresql://user@host/database
      prefect-governor ledger move --to postgresql://user:password@host/database

    A password is better told by the variable than by an option, which other users can see.
    """
    from prefect_governor.flows.cli.ledger.move import move_ledger

    move_ledger(to=to, governor=governor, dry_run=dry_run, cancelled=cancelled, as_json=as_json)


@ledger.command("backup", context_settings=CONTEXT)
@click.argument("path", type=click.Path(path_type=Path))
@_JSON
def ledger_backup(path: Path, as_json: bool) -> None:
    """Copy this machine's ledger to PATH, as it is at one instant, while runs go on.

    Of a ledger on PostgreSQL: `pg_dump --schema=prefect_governor`.

    \b
    Examples:
      prefect-governor ledger backup /backups/ledger-$(date +%F).sqlite
    """
    from prefect_governor.flows.cli.ledger.backups import back_up_ledger

    back_up_ledger(path, as_json=as_json)


@ledger.command("restore", context_settings=CONTEXT)
@click.argument("path", type=click.Path(path_type=Path))
# Without variables: what was spent is said anew each time.
@click.option(
    "--charge",
    "charged",
    multiple=True,
    metavar="NAME=USD",
    help="What a budget spent after the backup, at the most. Once for each that has a ceiling.",
)
@click.option(
    "--charge-tokens",
    "charged_tokens",
    multiple=True,
    metavar="NAME=N",
    help="Likewise, of a ceiling in tokens.",
)
@option("--reason", metavar="TEXT", help="Why; kept in the audit.")
@_DRY_RUN
@_JSON
def ledger_restore(
    path: Path,
    charged: tuple[str, ...],
    charged_tokens: tuple[str, ...],
    reason: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put a backup in place of this machine's ledger, which is kept beside it.

    What was spent after the backup is not in it, and would be spent a second time. So it is to be
    said of every budget that has a ceiling, and is charged to its window of now. `ledger rebuild`
    charges what the provider's export of costs shows beyond that.

    \b
    Examples:
      prefect-governor ledger restore ledger.sqlite --dry-run
      prefect-governor ledger restore ledger.sqlite --charge llm-team=1.50
    """
    from prefect_governor.flows.cli.ledger.backups import restore_ledger

    restore_ledger(
        path,
        charged=charged,
        charged_tokens=charged_tokens,
        reason=reason,
        dry_run=dry_run,
        as_json=as_json,
    )


@ledger.command("rebuild", context_settings=CONTEXT)
@click.argument("name")
@option(
    "--from",
    "export",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What was billed, by the day: CSV with day, usd and perhaps model; OpenAI's or Anthropic's"
    " export of costs, CSV or JSON.",
)
@click.option("--lost", is_flag=True, help="The ledger that this budget had is lost: begin anew.")
@option("--reason", metavar="TEXT", help="Why; kept in the audit.")
@_DRY_RUN
@_JSON
def ledger_rebuild(
    name: str, export: Path, lost: bool, reason: str | None, dry_run: bool, as_json: bool
) -> None:
    """Charge a budget what a provider's export shows and the ledger does not know.

    NAME is a saved Governor's or Budget's; those above it are charged with it, each in the window
    of that day. Of each day (UTC) it is what was billed beyond what is spent here, so asking again
    charges nothing more. The export is to hold what this budget paid for, no more.

    With --lost the ledger of this process becomes that of the budget, once it is charged.

    \b
    Examples:
      prefect-governor ledger rebuild llm-team --from costs.csv --dry-run
      prefect-governor ledger rebuild llm-team --from costs.csv --lost
    """
    from prefect_governor.flows.cli.ledger.rebuild import rebuild_ledger

    rebuild_ledger(name, export, lost=lost, reason=reason, dry_run=dry_run, as_json=as_json)
