"""What a person does next with a run that is not complete, and what it will cost. Pure."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from prefect_governor.blocks.errors import bad_kind
from prefect_governor.blocks.money.usd import show_usd, to_nano

if TYPE_CHECKING:
    from prefect_governor.flows.report.model import ItemReport, Report

_OF_THE_LEAD = ("no plan: ", "the synthesis failed: ")


def going_on(report: "Report", *, command: str, most_tokens: int) -> Iterator[str]:
    """The commands that go on with a run, each with what it asks and about what that costs, by what
    such items cost so far.

    A bad answer that was paid for is kept: gone on with, the run hands it out again, and asks it
    anew where it is told to. `most_tokens` is what an answer was allowed.
    """
    if report.outcome == "complete":
        return
    resume = f"prefect-governor {command} --resume {report.run_id}"
    left = [item for item in report.items if item.state != "succeeded"]
    bad = [item for item in left if bad_kind(item.reason) is not None]
    kinds = {bad_kind(item.reason) for item in bad} | {_of_the_lead(report)}
    kinds.discard(None)
    missing = [item for item in left if bad_kind(item.reason) is None]
    if missing or not kinds:
        said = _cost(missing, report.items)
        yield f"to go on: {resume}  (pays only for what is missing{said})"
    if kinds:
        longer = f" --max-output-tokens {2 * most_tokens}" if "cut" in kinds else ""
        what = f"{len(bad):,} with a bad answer" if bad else "the lead"
        # Longer answers cost more than those that were cut.
        most = " and as much again for longer answers" if longer else ""
        said = _cost(left, report.items)
        yield f"to ask {what} anew: {resume} --retry-failed{longer}  (pays for those{said}{most})"


def _of_the_lead(report: "Report") -> str | None:
    for text in (report.reason or "", *report.notes):
        for prefix in _OF_THE_LEAD:
            if text.startswith(prefix):
                return bad_kind(text.removeprefix(prefix))
    return None


def _cost(items: "Sequence[ItemReport]", all_items: "Sequence[ItemReport]") -> str:
    """About what it costs to ask these: each what it cost, or what the others did on average."""
    known = [item.usd for item in all_items if item.calls]
    if not items or not known:
        return ""
    mean = sum(known, Decimal(0)) / len(known)
    about = sum((item.usd if item.calls else mean for item in items), Decimal(0))
    count = "1 item" if len(items) == 1 else f"{len(items):,} items"
    return f": {count}, about {show_usd(to_nano(about.quantize(Decimal('1e-9'))))}"
