"""A model that reads: it plans known questions, searches, and answers from what tools showed.

It stands for a lead and its agents that make no mistakes, so that whatever is missing in an answer
was lost by the harness. It knows the questions of `riddles`, and nothing of their facts.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from tests.provider.answers.riddles import Riddle, make_world

_OBJECTIVE = re.compile(r"Your task: What is the (?P<relation>[\w ]+?) of (?P<subject>.+)\?")
_AFTER = re.compile(r"the answer of task (\w+)")
_RESULT = re.compile(r'<result task="(?P<task>[^"]+)">\n(?P<text>.*?)\n</result>', re.DOTALL)
_HEADER = re.compile(r"^\[(?P<source>[^\[\]]+):\d+-\d+\]")
_CITATION = re.compile(r"\s*\[[^\[\]]+:\d+(?:-\d+)?\]")
# Of a lead's round: the first task that asks for a manager, in the plan's order.
_MANAGER = re.compile(r"^- (?P<task>\w+) \(What is the manager of", re.MULTILINE)
_MORE = "what follows"
_NOTHING = "It is not to be found."


class Reader:
    """Replies to the prompts of `flows/inquiry`; None for all others."""

    def __init__(self) -> None:
        self._riddles: dict[str, Riddle] = {
            riddle.question: riddle for riddle in make_world().riddles
        }

    def reply(self, messages: list[dict[str, Any]]) -> tuple[str | None, list[tuple[str, str]]]:
        """Text, or tool calls (name, arguments as JSON). (None, []) for what it does not know."""
        system = str(messages[0].get("content") or "")
        user = str(messages[1].get("content") or "") if len(messages) > 1 else ""
        if system.startswith("You lead a research team"):
            return self._plan(user), []
        if system.startswith("Some of your sub-agents"):
            return _round(user), []
        if system.startswith("You answer one question"):
            return _agent(user, messages[2:])
        if system.startswith("You write the answer"):
            return self._synthesis(user), []
        return None, []

    def _plan(self, question: str) -> str | None:
        riddle = self._riddles.get(question.strip())
        if riddle is None:
            return None
        tasks = [
            {
                "id": hop.id,
                "objective": hop.objective,
                "depends_on": [hop.after] if hop.after else [],
            }
            for hop in riddle.hops
        ]
        return orjson.dumps({"tasks": tasks}).decode()

    def _synthesis(self, user: str) -> str:
        question = user.split("\n")[0].removeprefix("Question: ").strip()
        riddle = self._riddles.get(question)
        results = {each["task"]: each["text"].split("\n\n", 1)[-1] for each in
                   _RESULT.finditer(user)}  # fmt: skip
        needed = {hop.after for hop in riddle.hops} if riddle else set()
        last = [task for task in results if task not in needed]
        return "; ".join(results[task] for task in last) or _NOTHING


def _round(user: str) -> str:
    """Where the question asks what follows, where the first manager lives; else nothing new."""
    question, _, told = user.partition("\n\n")
    manager = _MANAGER.search(told)
    if _MORE not in question or manager is None:
        return '{"add": [], "cancel": []}'
    objective = f"What is the home town of the answer of task {manager['task']}?"
    more = {"id": "more", "objective": objective, "depends_on": [manager["task"]]}
    return orjson.dumps({"add": [more], "cancel": []}).decode()


def _agent(user: str, later: list[dict[str, Any]]) -> tuple[str | None, list[tuple[str, str]]]:
    found = _OBJECTIVE.search(user)
    if found is None:
        return None, []
    relation, subject = found["relation"], found["subject"]
    results = {each["task"]: each["text"] for each in _RESULT.finditer(user)}
    after = _AFTER.fullmatch(subject)
    if after is not None:
        if after[1] not in results:
            return _NOTHING, []
        subject = _CITATION.sub("", results[after[1]]).strip(" .")
    said = [str(each.get("content")) for each in later if each.get("role") == "tool"]
    if not said:
        # Two at once: what a lone search would miss, the other finds.
        queries = [f"{relation} of {subject}", subject]
        return None, [("search_corpus", orjson.dumps({"query": each, "most": 12}).decode())
                      for each in queries]  # fmt: skip
    sentence = re.compile(
        rf"^\s*(\d+)  The {re.escape(relation)} of {re.escape(subject)} is (.+)\.$"
    )
    for text in said:
        source = ""
        for line in text.split("\n"):
            header = _HEADER.match(line)
            if header is not None:
                source = header["source"]
            fact = sentence.match(line)
            if fact is not None:
                return f"{fact[2]} [{source}:{fact[1]}]", []
    return _NOTHING, []
