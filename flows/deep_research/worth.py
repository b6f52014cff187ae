"""Whether a plan is worth its agents: its cost as a multiple of one agent doing all of it."""

from collections.abc import Mapping

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.figures.figures import item_figures
from prefect_governor.blocks.prices.prices import UsageParts, cost_usd
from prefect_governor.blocks.prices.tokens import count_tokens, encoding_of
from prefect_governor.flows.agent.offline import is_offline
from prefect_governor.flows.deep_research.finding import Finding
from prefect_governor.flows.deep_research.plan.plan import Effort, Plan
from prefect_governor.flows.deep_research.request import Inquiry
from prefect_governor.flows.deep_research.study import Study

# Calls that one agent makes, by effort: a fact is 3 to 10, a comparison more.
CALLS: dict[Effort, int] = {"fact": 4, "comparison": 8, "investigation": 12}
# Without the model's own tokenizer, tokens are taken to be this many bytes.
_BYTES_PER_TOKEN = 4


def expected_multiple(inquiry: Inquiry, plan: Plan) -> float:
    """The calls that a plan takes, over those of one agent that works on the whole question.

    Calls stand for cost, as every agent reads about as much a call. The lone agent is taken to need
    as many as the plan's largest task, and one more for each further task: it has read the corpus
    by then.
    """
    efforts = [CALLS[task.effort] for task in plan.tasks]
    lead = 1 + inquiry.max_rounds + (inquiry.plan is None)
    if len(efforts) == 1 or is_offline(inquiry.model.name):
        # Nobody plans, and nobody writes a synthesis.
        lead = 0
    return round((sum(efforts) + lead) / (max(efforts) + len(efforts) - 1), 3)


def check_worth(inquiry: Inquiry, plan: Plan) -> float:
    """The expected multiple. Raises ConfigurationError above the run's `max_cost_multiple`, before
    a sub-agent spends."""
    expected = expected_multiple(inquiry, plan)
    if inquiry.max_cost_multiple is not None and expected > inquiry.max_cost_multiple:
        raise ConfigurationError(
            f"the plan would cost about {expected:.1f} times what one agent doing all of it costs,"
            f" over max_cost_multiple {inquiry.max_cost_multiple:g}: ask a narrower question, lower"
            " max_tasks, or raise it"
        )
    return expected


def cost_multiple(study: Study, findings: Mapping[str, Finding], answer: str) -> float | None:
    """What the run was billed, over what one agent would be that reads every line which was
    retrieved once, is told the question once, and writes the answer. None where nothing was."""
    model = study.inquiry.model
    price = model.price_of(model.name)
    spent = item_figures(study.runtime, "item", {"run_id": study.kept_as})
    billed = sum(each.usd_nano for each in spent.values())
    if price is None or not billed:
        return None
    lines = {
        (source, line)
        for finding in findings.values()
        for source, ranges in finding.evidence.items()
        for first, last in ranges
        for line in range(first, last + 1)
    }
    read = "\n".join(study.line(source, line) for source, line in sorted(lines))
    once = UsageParts(
        tokens_of(model.name, study.inquiry.question) + tokens_of(model.name, read),
        tokens_of(model.name, answer),
    )
    alone = cost_usd(price, once)
    return round(billed / 1e9 / float(alone), 3) if alone else None


def tokens_of(model: str, text: str) -> int:
    """Tokens of a text, by the model's own tokenizer where it is known."""
    encoding = encoding_of(model)
    if encoding is None:
        return len(text.encode()) // _BYTES_PER_TOKEN
    return count_tokens(text, encoding)
