"""`digest`: what changed in the sources since the last time is asked anew, and told."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from prefect.client.schemas.objects import FlowRun
from prefect.runtime import deployment
from prefect.utilities.urls import url_for

from prefect_governor.blocks.errors import ConfigurationError, RunFailed
from prefect_governor.blocks.money.usd import Money
from prefect_governor.blocks.prefect_internals.waiting import result_of
from prefect_governor.flows.digest.changes import compare, remembered
from prefect_governor.flows.digest.delivering import (
    check_block_names,
    check_blocks,
    publish,
    tell,
    write_file,
)
from prefect_governor.flows.digest.page import message, page
from prefect_governor.flows.digest.told import Series, present_keys, series_desk
from prefect_governor.flows.fan_out_flow import fan_out
from prefect_governor.flows.forms.digest import DIGEST
from prefect_governor.flows.forms.shape import shape
from prefect_governor.flows.report.keys import artifact_key
from prefect_governor.flows.report.model import Report
from prefect_governor.flows.report.publish import conclude
from prefect_governor.flows.run.control import current_control
from prefect_governor.flows.run.flow import ready_flow, this_run
from prefect_governor.flows.run.naming import hash_of


@ready_flow(name="digest", persist_result=False, validate_parameters=False)
def digest(
    *,
    ask: str,
    sources: list[str],
    folder: str | None = None,
    name: str | None = None,
    notify: Sequence[str] = (),
    out: str | None = None,
    schema: Any = None,
    governor: str | None = None,
    model: str = "auto",
    max_usd: Money | None = None,
    max_total_tokens: int | None = None,
    max_output_tokens: int | None = None,
    max_concurrent: int | None = None,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    timeout_seconds: float | None = None,
    min_success: float = 0.0,
    reading: Any = None,
) -> Report:
    """Ask about what changed in the sources since the last digest, keep the rest, and tell what is
    new, changed and removed. The first one asks about everything.

    An item is asked about anew where its text, the question, the schema or the model is another
    than in any digest before; every other answer is kept and costs nothing. Nobody is notified
    where there is nothing to tell.

    Args:
        ask: what each sub-agent is to answer about its item.
        sources: files, folders and globs to read items from, as `fan_out` has them.
        folder: what `sources` are relative to. Defaults to the working directory.
        name: of the digest: those of one name, in one ledger, go on with one another. Defaults to
            the deployment; without one, to the folder and the sources.
        notify: saved notification blocks that are told, by type and name: "slack-webhook/team".
        out: a Markdown file that the digest is written to, on the machine that runs it.
        schema, governor, model, max_usd, max_total_tokens, max_output_tokens, max_concurrent,
            requests_per_minute, tokens_per_minute, timeout_seconds, min_success, reading: as
            `fan_out` has them; the ceilings are of each digest.

    Returns:
        Called, the `Report` of this digest's fan-out over all items.

    Raises:
        ConfigurationError: before anything is spent.
        RunFailed: nothing succeeded, or less than `min_success`; it is told all the same.
    """
    told_to = check_block_names(notify)
    result_of(check_blocks(told_to))
    if not sources:
        raise ConfigurationError("a digest is of sources: name files, folders or globs")
    here = this_run("digest")
    series = Series(_series(here.flow_run, name, folder, sources), series_desk(governor))
    told = series.told()
    present = present_keys(sources, folder=folder, reading=reading, told=told)
    token = current_control.set(replace(here.control, kept_as=None, answers_as=series.name))
    try:
        report = fan_out(
            ask=ask,
            sources=sources,
            folder=folder,
            schema=schema,
            governor=governor,
            model=model,
            max_usd=max_usd,
            max_total_tokens=max_total_tokens,
            max_output_tokens=max_output_tokens,
            max_concurrent=max_concurrent,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            timeout_seconds=timeout_seconds,
            min_success=min_success,
            reading=reading,
        )
    except RunFailed as error:
        report = cast(Report, error.report)
    finally:
        current_control.reset(token)
    changes = compare(told, report, present=present)
    headline = changes.headline()
    problems = []
    if out is not None:
        whole = page(changes, report, ask=ask, most=len(report.items) + len(told))
        problems.append(write_file(Path(folder or "") / out, whole))
    if told_to and changes.any:
        link = url_for("flow-run", obj_id=here.flow_run.id)
        body = message(changes, report, link=link)
        problems += result_of(tell(told_to, subject=f"{_title(name)}: {headline}", body=body))
    undelivered = [each for each in problems if each is not None]
    failed = result_of(
        publish(
            artifact_key("digest", "" if _title(name) == "digest" else _title(name)),
            description=headline,
            text=page(changes, report, ask=ask, undelivered=undelivered),
            flow_run_id=here.flow_run.id,
        )
    )
    undelivered += [failed] if failed else []
    # Not before: what was told nowhere is told again.
    ways = 1 + (out is not None) + (len(told_to) if changes.any else 0)
    if len(undelivered) < ways:
        series.remember(remembered(told, changes))
    state = conclude(report)
    state.message = "; ".join([headline, *undelivered, state.message or ""])
    # Prefect gives the report of the state to whoever calls the flow.
    return cast(Report, state)


shape(digest, DIGEST)


def _series(flow_run: FlowRun, name: str | None, folder: str | None, sources: list[str]) -> str:
    """What the digests that go on with one another are called in a ledger."""
    if name is not None:
        return f"digest/{name}"
    if flow_run.deployment_id is not None:
        return f"digest/{flow_run.deployment_id}"
    return f"digest/{hash_of(str(Path(folder or '').absolute()), sorted(sources))}"


def _title(name: str | None) -> str:
    """What people know it as."""
    return name or deployment.name or "digest"
