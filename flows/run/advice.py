"""What a person does next with a run that is not complete, and what it will cost. Pure."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import TypeVar

from prefect_governor.blocks.errors import bad_kind
from prefect_governor.blocks.money.usd import show_usd, to_nano
from prefect_governor.flows.report.model import Advice, ItemReport, Report
from prefect_governor.flows.report.shown.amounts import usd
from prefect_governor.flows.report.shown.spending import THIS_RUN

R = TypeVar("R", bound=Report)

# As `subagent.verdicts` has it.
CONTEXT_FULL = "context was full"
# As `blocks.ledger.decision.purse` has it.
_NEEDS = re.compile(
    r"needs \$?(?P<need>[\d.,]*\d)(?P<unit> tokens)?, \$?(?P<left>[\d.,]*\d)(?: tokens)? of the \S+"
    r"(?: tokens)? ceiling of budget (['\"])(?P<budget>.+?)\4 is left \("
)
# The least that a ceiling is raised by, in US dollars and in tokens.
_LEAST = (Decimal("1e-9"), Decimal(1))
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
    raises = [_raised(each, missing, report, resume=resume) for each in _refusals(missing)]
    yield from raises
    own = any(each.command.startswith(resume) for each in raises)
    # A ceiling of the run's own is raised as it goes on.
    if (missing or not bad) and not own:
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


@dataclass(frozen=True)
class _Refusal:
    """What one budget had too little of, for so many items: the most that one call of theirs may
    take, and what was left, in US dollars or in tokens."""

    budget: str
    in_tokens: bool
    items: int
    need: Decimal
    all_needs: Decimal
    left: Decimal


def _refusals(items: Sequence[ItemReport]) -> list[_Refusal]:
    """By budget, that which refused most first, as the reasons of items tell of it."""
    found: dict[tuple[str, bool], list[tuple[Decimal, Decimal]]] = {}
    for item in items:
        told = _NEEDS.search(item.reason or "") if item.state == "over_budget" else None
        if told is not None:
            key = (told["budget"], told["unit"] == " tokens")
            found.setdefault(key, []).append((_number(told["need"]), _number(told["left"])))
    made = [
        _Refusal(
            budget,
            in_tokens,
            len(told),
            max(need for need, _ in told),
            sum((need for need, _ in told), Decimal(0)),
            min(left for _, left in told),
        )
        for (budget, in_tokens), told in found.items()
    ]
    return sorted(made, key=lambda each: -each.items)


def _number(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))


def _raised(
    refusal: _Refusal, missing: Sequence[ItemReport], report: Report, *, resume: str
) -> Advice:
    """The command that raises the ceiling which refused, by what is missing.

    That is what those that succeeded took on average for each, where any did, else the most that a
    call of each may take; and room for the most that a single call may take beside what it will.
    """
    in_tokens = refusal.in_tokens
    done = [_taken(item, in_tokens) for item in report.items if item.state == "succeeded"]
    done = [each for each in done if each]
    if done:
        mean = sum(done, Decimal(0)) / len(done)
        more, spare = mean * len(missing), max(Decimal(0), refusal.need - mean)
        by = f"by what {_items(len(done))} took on average"
    else:
        more, spare = refusal.all_needs * len(missing) / refusal.items, Decimal(0)
        by = "by the most that a call of each may take"
    step = _rounded_up(max(more + spare - refusal.left, _LEAST[in_tokens]), in_tokens)
    about = f"{int(more):,} tokens" if in_tokens else usd(more)
    return Advice(
        what=f"{_items(refusal.items)} {'was' if refusal.items == 1 else 'were'} refused: about"
        f" {about} more finishes the {_items(len(missing))} that"
        f" {'is' if len(missing) == 1 else 'are'} missing",
        command=_raising(refusal, step, report, resume=resume),
        price=f"{by}; with room for the most that one call may take",
    )


def _raising(refusal: _Refusal, step: Decimal, report: Report, *, resume: str) -> str:
    if refusal.budget != THIS_RUN:
        tokens = " --tokens" if refusal.in_tokens else ""
        name = shlex.quote(refusal.budget)
        return f"prefect-governor budget raise {name}{tokens} +{step.normalize():f}"
    if refusal.in_tokens:
        taken = sum((_taken(item, True) for item in report.items), Decimal(0))
        return f"{resume} --max-total-tokens {(taken + refusal.left + step).normalize():f}"
    ceiling = report.budget.ceiling_usd
    base = report.run_usd + refusal.left if ceiling is None else ceiling
    return f"{resume} --max-usd {(base + step).normalize():f}"


def _taken(item: ItemReport, in_tokens: bool) -> Decimal:
    return Decimal(item.tokens.input + item.tokens.output) if in_tokens else item.usd


def _rounded_up(amount: Decimal, in_tokens: bool) -> Decimal:
    """With two digits that count, so that it can be read and typed."""
    place = amount.adjusted() - 1
    unit = Decimal(1).scaleb(max(0, place) if in_tokens else max(-9, place))
    return (amount / unit).to_integral_value(ROUND_CEILING) * unit


def _items(count: int) -> str:
    return f"{count:,} item{'s' * (count != 1)}"


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
    return f": {_items(len(items))}, about {show_usd(to_nano(about.quantize(Decimal('1e-9'))))}"
