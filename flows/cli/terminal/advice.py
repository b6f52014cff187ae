"""What a person does next with a run that is not complete, and what it will cost. Pure."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from prefect_governor.blocks.errors import bad_kind
from prefect_governor.blocks.money.usd import show_usd, to_nano

if TYPE_CHECKING:
    from prefect_governor.flows.report.model import ItemReport, Report

# As `subagent.verdicts` has it.
CONTEXT_FULL = "context was full"
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
    bad_items = [item for item in left if bad_kind(item.reason) is not None]
    bad = [item.reason or "" for item in bad_items] + _of_the_lead(report)
    missing = [item for item in left if bad_kind(item.reason) is None]
    if missing or not bad:
        said = _cost(missing, report.items)
        yield f"to go on: {resume}  (pays only for what is missing{said})"
    if bad:
        kinds = {bad_kind(reason) for reason in bad}
        with_what, most = "", ""
        if any(_by_the_cap(reason) for reason in bad):
            with_what = f" --max-output-tokens {2 * most_tokens}"
            # Longer answers cost more than those that were cut.
            most = ", and as much again for longer answers"
        if kinds <= {"filtered", "refused"}:
            # The same model is likely to say the same.
            with_what = " --model OTHER"
        what = f"{len(bad_items):,} with a bad answer" if bad_items else "the lead"
        said = _cost(left, report.items)
        anew = f"{resume} --retry-failed{with_what}"
        yield f"to ask {what} anew: {anew}  (pays for those{said}{most})"


def _by_the_cap(reason: str) -> bool:
    return bad_kind(reason) == "cut" and CONTEXT_FULL not in reason


def _of_the_lead(report: "Report") -> list[str]:
    """The bad answers of a research's lead, without what they were for."""
    found = []
    for text in (report.reason or "", *report.notes):
        for prefix in _OF_THE_LEAD:
            if text.startswith(prefix) and bad_kind(reason := text.removeprefix(prefix)):
                found.append(reason)
    return found


def _cost(items: "Sequence[ItemReport]", all_items: "Sequence[ItemReport]") -> str:
    """About what it costs to ask these: each what it cost, or what the others did on average."""
    known = [item.usd for item in all_items if item.calls]
    if not items or not known:
        return ""
    mean = sum(known, Decimal(0)) / len(known)
    about = sum((item.usd if item.calls else mean for item in items), Decimal(0))
    count = "1 item" if len(items) == 1 else f"{len(items):,} items"
    return f": {count}, about {show_usd(to_nano(about.quantize(Decimal('1e-9'))))}"
