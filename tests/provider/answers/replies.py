"""What the provider answers: words by the prompt's hash, a schema's instance, tools, a script."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import orjson

from tests.provider.answers import obeyer
from tests.provider.answers.reader import Reader
from tests.provider.answers.schema import minimal
from tests.provider.books.tokens import count_text, cut_text, encoding_name, scaled
from tests.provider.config import Config, FaultKind, Reply, Rule, Seconds
from tests.provider.families.chat import ChatRequest

# One token each, alone and after a space, in cl100k_base and o200k_base.
WORDS = re.findall(
    r"\w+",
    "the of and to in is that for it as was with be by on not he his but at are this have from or "
    "had an they which one you were all her she there would their we him been has when who will no "
    "more if out so up said what its about than into them can only other time new some could these",
)


@dataclass(slots=True)
class Call:
    """One tool call of a reply."""

    id: str
    name: str
    arguments: str


@dataclass(slots=True)
class Choice:
    """One of the `n` choices, with the output tokens billed for it."""

    text: str | None
    finish_reason: str
    tokens: int
    calls: list[Call] = field(default_factory=list)
    refusal: str | None = None
    blocked: str | None = None


@dataclass(slots=True)
class Answer:
    """A whole reply. With `script`, what the script says beside the text; `thoughts` are as the
    request's `thinks`."""

    choices: list[Choice]
    script: Reply | None = None
    thoughts: str | None = None

    @property
    def output_tokens(self) -> int:
        return sum(choice.tokens for choice in self.choices)

    @property
    def fault(self) -> FaultKind | None:
        return self.script.fault if self.script else None

    @property
    def latency(self) -> Seconds | None:
        return self.script.latency_seconds if self.script else None


class Writer:
    """Answers requests by one config. Remembers how far each script entry has been consumed."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._factor = Fraction(str(config.token_factor))
        self._script = [(re.compile(rule.match), rule, rule.replies()) for rule in config.script]
        self._used: Counter[int] = Counter()
        self._reader = Reader() if config.reads else None

    def answer(self, request: ChatRequest, limit: int) -> Answer:
        """The reply, each choice within `limit` output tokens as this provider counts them."""
        read = self._read(request, limit)
        if read is not None:
            return Answer([read] * request.choices)
        reply = self._scripted(request)
        if reply is not None and (reply.refusal or reply.blocked):
            tokens = count_text(reply.refusal or "", encoding_name(request.model))
            said = Choice(
                None,
                reply.finish_reason or "stop",
                min(limit, scaled(tokens, self._factor)),
                refusal=reply.refusal,
                blocked=reply.blocked,
            )
            return Answer([said] * request.choices, reply)
        if reply is not None and (reply.text is not None or reply.body or reply.status != 200):
            choice = self._cut(request, reply.text or "", limit, reply.finish_reason)
            return Answer([choice] * request.choices, reply)
        wanted = self._tool_calls(request, reply)
        if wanted:
            choice = self._call_tools(request, wanted, limit)
            return Answer([choice] * request.choices, reply)
        choices = [self._write(request, limit, index) for index in range(request.choices)]
        return Answer(choices, reply)

    def _read(self, request: ChatRequest, limit: int) -> Choice | None:
        """What a model that reads says, or one that obeys, where this is one and knows what to
        say."""
        if self._reader is not None:
            text, calls = self._reader.reply(request.messages)
        elif self._config.obeys:
            text, calls = obeyer.reply(request)
        else:
            return None
        if calls:
            return self._call_tools(request, calls, limit)
        return None if text is None else self._cut(request, text, limit, None)

    def _scripted(self, request: ChatRequest) -> Reply | None:
        text = request.last_user_text
        for index, (pattern, rule, replies) in enumerate(self._script):
            found = pattern.search(text)
            if found:
                return self._next(request, index, rule, replies, found)
        return None

    def _next(
        self,
        request: ChatRequest,
        index: int,
        rule: Rule,
        replies: list[Reply],
        found: re.Match[str],
    ) -> Reply:
        turn = request.turn if rule.by == "turn" else self._used[index]
        self._used[index] += 1
        reply = replies[min(turn, len(replies) - 1)]
        if rule.expand and reply.text is not None:
            return reply.model_copy(update={"text": found.expand(reply.text)})
        return reply

    def _write(self, request: ChatRequest, limit: int, index: int) -> Choice:
        """Generated text (or the schema's instance); the same for the same prompt and index."""
        rng = random.Random(int(request.prompt_hash[:16], 16) + index)
        if request.schema is not None:
            filler = " ".join(rng.choices(WORDS, k=3))
            instance = minimal(request.schema, filler=filler)
            return self._cut(request, orjson.dumps(instance).decode(), limit, None)
        wanted = self._config.output_tokens
        if wanted == "max":
            tokens = limit
        else:
            tokens = wanted if isinstance(wanted, int) else rng.randint(*wanted)
        billed = min(tokens, limit)
        text = " ".join(rng.choices(WORDS, k=max(1, int(billed / self._factor))))
        return Choice(text, "stop" if tokens <= limit else "length", billed)

    def _cut(
        self, request: ChatRequest, text: str, limit: int, finish_reason: str | None
    ) -> Choice:
        """A given text, billed by its tokens and cut where they pass the limit."""
        encoding_of = encoding_name(request.model)
        billed = scaled(count_text(text, encoding_of), self._factor)
        if billed <= limit:
            return Choice(text, finish_reason or "stop", billed)
        return Choice(cut_text(text, encoding_of, int(limit / self._factor)), "length", limit)

    def _tool_calls(self, request: ChatRequest, reply: Reply | None) -> list[tuple[str, str]]:
        """(name, arguments as JSON) of each call to make, [] for an answer in words."""
        if reply is not None and reply.tool_calls:
            return [(call.name, _arguments(call.arguments)) for call in reply.tool_calls]
        choice = request.body.get("tool_choice", "auto")
        if not request.tools or choice == "none":
            return []
        functions = [tool["function"] for tool in request.tools]
        forced = choice != "auto"
        if isinstance(choice, dict):
            name = choice.get("function", {}).get("name")
            functions = [function for function in functions if function["name"] == name]
        count = self._config.tool_calls if request.turn < self._config.tool_turns else 0
        if forced:
            count = max(1, count)
        if request.body.get("parallel_tool_calls") is False:
            count = min(1, count)
        filler = " ".join(random.Random(request.prompt_hash).choices(WORDS, k=2))
        found: list[tuple[str, str]] = []
        for index in range(count if functions else 0):
            function = functions[index % len(functions)]
            arguments = minimal(
                function.get("parameters") or {"type": "object"}, filler=f"{filler} {index}"
            )
            found.append((function["name"], orjson.dumps(arguments).decode()))
        return found

    def _call_tools(
        self, request: ChatRequest, wanted: list[tuple[str, str]], limit: int
    ) -> Choice:
        """Tool calls within the limit: the one that passes it is cut, those after it are lost."""
        encoding_of = encoding_name(request.model)
        room = int(limit / self._factor)
        used = 0
        calls: list[Call] = []
        for index, (name, arguments) in enumerate(wanted):
            tokens = count_text(name, encoding_of) + count_text(arguments, encoding_of)
            call_id = f"call_{request.prompt_hash[:16]}{index}"
            if used + tokens > room:
                left = max(0, room - used - count_text(name, encoding_of))
                calls.append(Call(call_id, name, cut_text(arguments, encoding_of, left)))
                return Choice(None, "length", limit, calls)
            used += tokens
            calls.append(Call(call_id, name, arguments))
        return Choice(None, "tool_calls", min(limit, scaled(used, self._factor)), calls)


def _arguments(arguments: dict[str, Any] | str) -> str:
    return arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
