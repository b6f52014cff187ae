"""What stands in for the lead and its agents where only the offline model is there: rules.

The offline model quotes; it neither plans nor calls tools. So the question is cut where it is cut
already, and each part is answered with the passages that a search of the corpus finds.
"""

import re

from prefect_governor.flows.deep_research.plan.plan import Plan, PlanTask

BY_RULE = (
    "planned by rule: the offline model neither plans nor calls tools; each part of the question"
    " was answered with quotes of the passages that a search found"
)
_CUT = re.compile(r"(?<=[?;])\s+|\n+")


def plan_by_rule(question: str) -> Plan:
    """A task for each question that stands in the text; they depend on nothing."""
    parts = [part.strip(" ;") for part in _CUT.split(question.strip()) if part.strip(" ;?")]
    return Plan(
        tasks=tuple(
            PlanTask(id=f"q{at}", objective=part)
            for at, part in enumerate(parts or [question.strip()], start=1)
        )
    )
