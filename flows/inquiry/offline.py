"""What stands in for the lead and its agents where only the offline model is there: rules.

The offline model quotes; it neither plans nor calls tools. So the question is cut where it is cut
already, and each part is asked of the documents that a search of the corpus finds.
"""

import re
from functools import partial

from prefect_governor.flows.graph.plan import Plan, PlanTask
from prefect_governor.flows.inquiry.prompts import Message

PREFIX = "offline/"
BY_RULE = (
    "planned by rule: the offline model neither plans nor calls tools; each part of the question"
    " was asked of the documents that a search found, and the answers are quotes"
)
# Documents that one question is asked of.
MOST_DOCUMENTS = 2

_CUT = re.compile(r"(?<=[?;])\s+|\n+")
_LEAD = re.compile(r"^From (?P<key>.+), [^,]+?(?:;.*)?:(?P<rest>.*)$")
_PLACE = re.compile(r'(?P<before>^- |" )L(?P<first>\d+)(?:-(?P<last>\d+))?(?=:| \()')


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


def document_messages(objective: str, documents: dict[str, str]) -> list[Message]:
    """One question of several documents, by name."""
    texts = [f'<document key="{name}">\n{text}\n</document>' for name, text in documents.items()]
    return [{"role": "user", "content": "\n\n".join([objective, *texts])}]


def cited(answer: str) -> str:
    """The offline model's places, `L12-14`, as citations of the document they are in."""
    key: str | None = None
    lines = []
    for line in answer.split("\n"):
        lead = _LEAD.match(line)
        if lead is not None:
            key = lead["key"]
        elif key is not None:
            line = _PLACE.sub(partial(_citation, key), line)
        lines.append(line)
    return "\n".join(lines)


def _citation(key: str, match: "re.Match[str]") -> str:
    first, last = match["first"], match["last"] or match["first"]
    return f"{match['before']}[{key}:{first}-{last}]"
