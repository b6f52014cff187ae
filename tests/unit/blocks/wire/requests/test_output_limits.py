"""What a governor or a client says of the length of answers: for requests that name no limit, and,
as a ceiling, for those that name more."""

import json
from dataclasses import replace
from typing import Any

import pytest

from prefect_governor import Governor
from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.errors import ConfigurationError, NotBounded, OverBudget
from prefect_governor.blocks.records.accepted import Accepted
from prefect_governor.blocks.records.output import AS_ASKED, OutputTerms, output_terms
from prefect_governor.blocks.terms.governor import GovernorTerms
from prefect_governor.blocks.wire.dialects import DIALECTS
from prefect_governor.blocks.wire.dialects.anthropic.messages import AnthropicMessages
from prefect_governor.blocks.wire.dialects.bedrock.converse import Converse
from prefect_governor.blocks.wire.dialects.bedrock.invoke import InvokeAnthropic
from prefect_governor.blocks.wire.dialects.cohere.chat import CohereChat
from prefect_governor.blocks.wire.dialects.cohere.embed import CohereEmbed
from prefect_governor.blocks.wire.dialects.gemini.embed import GeminiEmbed
from prefect_governor.blocks.wire.dialects.gemini.generate import Gemini
from prefect_governor.blocks.wire.dialects.ollama import Ollama
from prefect_governor.blocks.wire.dialects.ollama_embed import OllamaEmbed
from prefect_governor.blocks.wire.dialects.openai.chat import OpenAIChat
from prefect_governor.blocks.wire.dialects.openai.embeddings import OpenAIEmbeddings
from prefect_governor.blocks.wire.dialects.openai.responses import OpenAIResponses
from prefect_governor.blocks.wire.dialects.rerank import Rerank
from prefect_governor.blocks.wire.requests.output_limits import limited
from prefect_governor.blocks.wire.requests.plans import CallPlan, Dialect
from tests.unit.blocks.wire.transports import MakeWire, ok
from tests.unit.fakes import (
    FakeDesk,
    FakeGoverning,
    chat_events,
    chat_request,
    event_stream,
)
from tests.unit.prices import PRICE, priced

HELLO = [{"role": "user", "content": "hello"}]
BLOCKS = [{"role": "user", "content": [{"text": "hello"}]}]
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
DEFAULT, CEILING = OutputTerms(50), OutputTerms(50, 50)

# A family, its model, a request without a limit, where a limit stands in it, and its path.
Family = tuple[Dialect, str, dict[str, Any], tuple[str, ...], str]
FAMILIES: list[Family] = [
    (OpenAIChat(), "gpt-4o-mini", {"messages": HELLO}, ("max_completion_tokens",), ""),
    (OpenAIChat(), "mistral/mistral-small-latest", {"messages": HELLO}, ("max_tokens",), ""),
    (OpenAIResponses(), "gpt-5", {"input": "hello"}, ("max_output_tokens",), ""),
    (AnthropicMessages(), "claude-sonnet-4-5", {"messages": HELLO}, ("max_tokens",), ""),
    (Gemini(), "gemini/gemini-2.5-flash-lite", CONTENTS, ("generationConfig", "maxOutputTokens"),
     "/v1beta/models/gemini-2.5-flash-lite:generateContent"),
    (Ollama(), "ollama/llama3.1", {"messages": HELLO}, ("options", "num_predict"), ""),
    (Converse(), f"bedrock/{CLAUDE}", {"messages": BLOCKS}, ("inferenceConfig", "maxTokens"),
     f"/model/{CLAUDE}/converse"),
    (InvokeAnthropic(), f"bedrock/{CLAUDE}",
     {"messages": HELLO, "anthropic_version": "bedrock-2023-05-31"}, ("max_tokens",),
     f"/model/{CLAUDE}/invoke"),
    (CohereChat(), "cohere_chat/command-r-08-2024", {"messages": HELLO}, ("max_tokens",), ""),
]  # fmt: skip
EACH = pytest.mark.parametrize("family", FAMILIES, ids=[f"{each[0].name} {each[1]}"
                                                        for each in FAMILIES])  # fmt: skip


def within(value: int, path: tuple[str, ...]) -> dict[str, Any]:
    for name in reversed(path[1:]):
        value = {name: value}  # type: ignore[assignment]
    return {path[0]: value}


def plan(
    family: Family, output: OutputTerms, *, accepted: Accepted | None = None, **fields: Any
) -> CallPlan:
    dialect, model, body, _, path = family
    provider, _, name = model.rpartition("/")
    sent = fields if path else {"model": name, **fields}
    asked = dialect.open(json.dumps({**body, **sent}).encode(), path=path)
    asked = replace(asked, provider=provider or None, accepted=accepted or Accepted())
    asked, price, _ = limited(dialect, asked, priced(model), output)
    return dialect.plan(asked, price=price, encoding=None)


def limit_of(made: CallPlan, path: tuple[str, ...]) -> int:
    found: Any = json.loads(made.body)
    for name in path:
        found = found[name]
    assert found == made.output_limit == made.output_tokens
    return int(found)


def test_every_family_that_writes_answers_says_where_their_limit_stands() -> None:
    silent = (OpenAIEmbeddings, GeminiEmbed, OllamaEmbed, CohereEmbed, Rerank)
    assert [each.name for each in DIALECTS if not each.output_fields] == [
        each.name for each in DIALECTS if isinstance(each, silent)
    ]
    assert {type(family[0]) for family in FAMILIES} <= {type(each) for each in DIALECTS}


@EACH
def test_request_without_a_limit_has_the_one_that_was_said(family: Family) -> None:
    assert limit_of(plan(family, DEFAULT), family[3]) == 50
    assert limit_of(plan(family, CEILING), family[3]) == 50


@EACH
def test_limit_that_a_request_names_is_lowered_by_a_ceiling_alone(family: Family) -> None:
    for named in (20, 70):
        more = within(named, family[3])
        assert limit_of(plan(family, DEFAULT, **more), family[3]) == named
        assert limit_of(plan(family, CEILING, **more), family[3]) == min(named, 50)


@EACH
def test_limit_of_the_client_library_is_none_that_was_named(family: Family) -> None:
    more, library = within(70, family[3]), Accepted(no_limit=True)
    assert limit_of(plan(family, DEFAULT, accepted=library, **more), family[3]) == 50
    assert limit_of(plan(family, AS_ASKED, accepted=library, **more), family[3]) == 70


@EACH
def test_default_is_not_above_what_the_model_writes(family: Family) -> None:
    alone = plan(family, AS_ASKED).output_tokens
    assert plan(family, OutputTerms(10**9)).output_tokens == alone


def test_models_whose_own_limit_nobody_knows_are_bounded_by_it() -> None:
    asked = OpenAIChat().open(json.dumps({"model": "mine", "messages": HELLO}).encode())
    with pytest.raises(NotBounded, match=r"max_output_tokens of the Governor"):
        OpenAIChat().plan(asked, price=PRICE, encoding=None)
    asked, price, given = limited(OpenAIChat(), asked, PRICE, DEFAULT)
    assert given
    assert OpenAIChat().plan(asked, price=price, encoding=None).output_tokens == 50


# Several answers, thoughts

CHAT = FAMILIES[0]
THINKING: list[tuple[Family, dict[str, Any]]] = [
    (FAMILIES[3], {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
    (CHAT, {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
    (CHAT, {"extra_body": {"google": {"thinking_config": {"thinking_budget": 2000}}}}),
    (FAMILIES[4], {"generationConfig": {"thinkingConfig": {"thinkingBudget": 2000}}}),
    (FAMILIES[6], {"additionalModelRequestFields":
        {"thinking": {"type": "enabled", "budget_tokens": 2000}}}),
]  # fmt: skip


def test_limit_is_for_each_of_several_answers() -> None:
    for output in (DEFAULT, CEILING):
        made = plan(CHAT, output, n=3)
        assert (json.loads(made.body)["max_completion_tokens"], made.output_tokens) == (50, 150)
    made = plan(CHAT, CEILING, n=3, max_tokens=70)
    assert (json.loads(made.body)["max_tokens"], made.output_tokens) == (50, 150)


def test_both_names_of_a_limit_are_lowered() -> None:
    made = plan(CHAT, CEILING, max_tokens=70, max_completion_tokens=90)
    sent = json.loads(made.body)
    assert (sent["max_tokens"], sent["max_completion_tokens"]) == (50, 50)


@pytest.mark.parametrize(("family", "fields"), THINKING)
def test_thoughts_that_are_asked_for_do_not_eat_the_answer(
    family: Family, fields: dict[str, Any]
) -> None:
    assert plan(family, DEFAULT, **fields).output_tokens == 2050


@pytest.mark.parametrize(("family", "fields"), THINKING)
def test_thoughts_above_a_ceiling_are_refused_with_the_fix(
    family: Family, fields: dict[str, Any]
) -> None:
    with pytest.raises(NotBounded, match=r"2,000 tokens aside .* 50 .*raise max_output_tokens"):
        plan(family, CEILING, **fields)


# Who says it


def sent(made: Any) -> list[Any]:
    names = ("max_tokens", "max_completion_tokens")
    return [next(b[each] for each in names if b.get(each)) for b in made.provider.bodies]


async def test_client_says_it_for_its_calls_and_a_governors_ceiling_holds_beside(
    wire: MakeWire,
) -> None:
    made = wire(ok(), governing=FakeGoverning(output=CEILING))
    with scope(Scope(made.governing)):
        for output in (OutputTerms(20), OutputTerms(900, 900), AS_ASKED):
            await made.post(chat_request(max_tokens=None), output=output)
        await made.post(chat_request(max_tokens=30), output=OutputTerms(20))
        await made.post(chat_request(max_tokens=30), output=OutputTerms(20, 20))
    assert sent(made) == [20, 50, 50, 30, 20]


async def test_streams_are_held_to_it_too(wire: MakeWire) -> None:
    made = wire(lambda: event_stream(chat_events()), governing=FakeGoverning(output=CEILING))
    with scope(Scope(made.governing)):
        await made.post(chat_request(max_tokens=None, stream=True))
        await made.post(chat_request(max_tokens=70, stream=True))
    assert sent(made) == [50, 50]


async def test_limit_that_was_said_is_not_undercut_as_a_models_own_is(wire: MakeWire) -> None:
    poor = FakeGoverning(desk=FakeDesk(ceiling_nano=400 * 600), output=OutputTerms(5000))
    made = wire(ok(), governing=poor)
    with scope(Scope(made.governing)), pytest.raises(OverBudget) as refused:
        await made.post(chat_request(max_tokens=None))
    assert "set max_tokens" not in str(refused.value)
    assert not made.provider.requests


async def test_what_is_only_observed_is_sent_as_it_was_asked_for(wire: MakeWire) -> None:
    made = wire(ok(), governing=FakeGoverning(observe=True, output=CEILING))
    with scope(Scope(made.governing)):
        await made.post(chat_request(max_tokens=70))
    assert sent(made) == [70]


@pytest.mark.parametrize(("tokens", "ceiling"), [(None, True), (0, False), (-1, True)])
def test_what_says_nothing_is_a_mistake(tokens: Any, ceiling: bool) -> None:
    with pytest.raises(ConfigurationError, match="max_output_tokens"):
        output_terms(tokens, ceiling)
    with pytest.raises(ConfigurationError, match="max_output_tokens"):
        Governor.local("wrong", max_usd=1, max_output_tokens=tokens, output_ceiling=ceiling)
    with pytest.raises(ValueError, match="max_output_tokens"):
        GovernorTerms.model_validate(
            {"budget": {"max_usd": 1}, "max_output_tokens": tokens, "output_ceiling": ceiling}
        )
