"""What a person does next with a run that is not complete, and what it will cost. Pure."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TypeVar

from prefect_governor.blocks.errors import bad_kind
from prefect_governor.blocks.money.usd import show_usd, to_nano
from prefect_governor.flows.report.model import Advice, ItemReport, Report

R = TypeVar("R", bound=Report)

# As `subagent.verdicts` has it.
CONTEXT_FULL = "context was full"
_OF_THE_LEAD = ("no plan: ", "the synthesis failed: ")


def advised(report: R, *, command: str, most_tokens: int) -> R:
    """The report with the commands that go on with its run, a ready flow's.

    `command` is the program's, `most_tokens` what an answer was allowed.
    """
    advice = list(_going_on(report, command=command, most_tokens=most_tokens))
    return report.model_copy(update={"advice": advice})


def _going_on(report: Report, *, command: str, most_tokens: int) -> Iterator[Advice]:
    """Each with what it asks and about what that costs, by what such items cost so far.

    A bad answer that was paid for is kept: gone on with, or retried in Prefect's UI, the run hands
    it out again, and asks it anew where it is told to.
    """
    if report.outcome == "complete" or not report.resumable:
        return
    resume = f"prefect-governor {command} --resume {report.run_id}"
    left = [item for item in report.items if item.state != "succeeded"]
    bad_items = [item for item in left if bad_kind(item.reason) is not None]
    bad = [item.reason or "" for item in bad_items] + _of_the_lead(report)
    missing = [item for item in left if bad_kind(item.reason) is None]
    if missing or not bad:
        said = _cost(missing, report.items)
        yield Advice(what="to go on", command=resume, price=f"pays only for what is missing{said}")
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
        yield Advice(
            what=f"to ask {what} anew",
            command=f"{resume} --retry-failed{with_what}",
            price=f"pays for those{said}{most}",
        )


def _by_the_cap(reason: str) -> bool:
    return bad_kind(reason) == "cut" and CONTEXT_FULL not in reason


def _of_the_lead(report: Report) -> list[str]:
    """The bad answers of a research's lead, without what they were for."""
    found = []
    for text in (report.reason or "", *report.notes):
        for prefix in _OF_THE_LEAD:
            if text.startswith(prefix) and bad_kind(reason := text.removeprefix(prefix)):
                found.append(reason)
    return found


def _cost(items: Sequence[ItemReport], all_items: Sequence[ItemReport]) -> str:
    """About what it costs to ask these: each what it cost, or what the others did on average."""
    known = [item.usd for item in all_items if item.calls]
    if not items or not known:
        return ""
    mean = sum(known, Decimal(0)) / len(known)
    about = sum((item.usd if item.calls else mean for item in items), Decimal(0))
    count = "1 item" if len(items) == 1 else f"{len(items):,} items"
    return f": {count}, about {show_usd(to_nano(about.quantize(Decimal('1e-9'))))}"
