"""`prefect-governor publish`: the reports that Prefect's server has not got yet."""

import sys

import click

from prefect_governor.blocks.secrets.exits import scrubbed
from prefect_governor.flows.cli.terminal.command_line import CONTEXT, FAILED, UsageProblem


@click.command("publish", context_settings=CONTEXT)
@click.argument("run", required=False)
def publish_command(run: str | None) -> None:
    """Write a run's report to Prefect's server, where that was away or the run's process died.

    RUN is a flow run's id, or the beginning of it. Without it: what waits is listed. The next run
    of this machine writes what waits too, each once.

    \b
    Examples:
      prefect-governor publish
      prefect-governor publish 0190f2a4

    \b
    Exit status: 0, 1 where something is not written, 2 usage.
    """
    sys.exit(_listed() if run is None else _published(run))


def _listed() -> int:
    from prefect_governor.flows.publications.keeping import is_held, waiting

    found = waiting()
    for each in found:
        what = each.end.name if each.end is not None else "its report"
        if is_held(each.name):
            what = "its process is at it"
        elif not each.artifacts:
            what = "its process died"
        where = f"; all of it is in {each.files[0]}" if each.files else ""
        click.echo(scrubbed(f"{each.run_id}  attempt {each.attempt}: {what}{where}"))
    if found:
        click.echo("write one with `prefect-governor publish RUN`", err=True)
    else:
        click.echo("nothing waits to be written")
    return 0


def _published(run: str) -> int:
    from prefect_governor.flows.publications.keeping import waiting
    from prefect_governor.flows.server.server import ensure_server, run_url, use_server

    if not run or not any(each.run_id.startswith(run) for each in waiting()):
        raise UsageProblem(
            f"publish {run}: no report of such a run waits here; `prefect-governor publish` lists"
            " those that do"
        )
    info = ensure_server(on_progress=lambda line: click.echo(line, err=True))
    use_server(info)
    from prefect_governor.flows.recovery.sweep import publish_waiting

    failed = False
    for swept in publish_waiting(run, any_server=True):
        run_id, attempt = swept.publication.run_id, swept.publication.attempt
        failed = failed or not swept.written
        page = f": {run_url(info.ui_url, run_id)}" if swept.written else ""
        click.echo(scrubbed(f"{run_id}  attempt {attempt}: {swept.said}{page}"))
    return FAILED if failed else 0
