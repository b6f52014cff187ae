"""What a sub-agent with tools is told. Pure.

What stands in its item is marked as what its tools bring is: as data.
"""

import hashlib
from typing import Any

from prefect_governor.flows.agent.marking import RULE, marked
from prefect_governor.flows.subagent.prompt import COMBINE, Message, shape_text

_SYSTEM = (
    "You answer one question about one item, with tools. Use only what the item and the tools say,"
    " and say so where they do not hold the answer. Make several calls at once where they do not"
    " need each other. Answer in words, without a call, once you know."
)
_WORKSPACE = (
    "You have a workspace of your own, a folder with the item's files; names are relative to it."
    " Cite lines that were shown to you as [name:first-last]."
)

# Names what is asked with: another wording is another question.
VERSION = hashlib.sha256("\n".join((_SYSTEM, _WORKSPACE, RULE)).encode()).hexdigest()


def tool_messages(
    ask: str,
    *,
    source: str,
    text: str,
    schema: dict[str, Any] | None,
    workspace: bool,
) -> list[Message]:
    """The messages of a sub-agent's first call. `source` says what the text is."""
    system = " ".join([_SYSTEM, *([_WORKSPACE] if workspace else []), RULE])
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": f"{ask}{shape_text(schema)}\n\n{marked(text, source=source)}"},
    ]


def combining_tool_messages(
    ask: str, *, source: str, answers: list[str], schema: dict[str, Any] | None, workspace: bool
) -> list[Message]:
    """The messages that make one answer of those for a text's parts."""
    joined = "\n\n".join(f"Part {at}:\n{answer}" for at, answer in enumerate(answers, start=1))
    messages = tool_messages(ask, source=source, text=joined, schema=schema, workspace=workspace)
    messages[-1]["content"] += f"\n\n{COMBINE}"
    return messages
