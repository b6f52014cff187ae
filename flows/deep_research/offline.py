"""What stands in for the lead and its agents where only the offline model is there: rules.

The offline model quotes; it neither plans nor calls tools. So the question is cut where it is cut
already, and each part is answered with the passages that a search of the corpus finds.
"""

import re
from collections.abc import Sequence

from prefect_governor.flows.agent.corpus import Extract
from prefect_governor.flows.deep_research.plan.plan import Plan, PlanTask
from prefect_governor.flows.deep_research.prompts import Message

PREFIX = "offline/"
BY_RULE = (
    "planned by rule: the offline model neither plans nor calls tools; each part of the question"
    " was answered with quotes of the passages that a search found"
)
# Passages of the corpus that one question is answered with.
MOST_PASSAGES = 8

_CUT = re.compile(r"(?<=[?;])\s+|\n+")


def is_offline(model: str) -> bool:
    return model.startswith(PREFIX)


def plan_by_rule(question: str) -> Plan:
    """A task for each question that stands in the text; they depend on nothing."""
    parts = [part.strip(" ;") for part in _CUT.split(question.strip()) if part.strip(" ;?")]
    return Plan(
        tasks=tuple(
            PlanTask(id=f"q{at}", objective=part)
            for at, part in enumerate(parts or [question.strip()], start=1)
        )
    )


def excerpt_messages(objective: str, excerpts: Sequence[Extract]) -> list[Message]:
    """One question of passages that a search found, named by their lines."""
    texts = [
        f'<document key="{each.source}:{each.first}-{each.last}">\n{each.text}\n</document>'
        for each in excerpts
    ]
    return [{"role": "user", "content": "\n\n".join([objective, *texts])}]
