"""Bedrock's Converse: the model in the path, the bound, and what is refused by name."""

import importlib.util
import json
from dataclasses import replace
from typing import Any

import pytest

from prefect_governor.blocks.errors import ConfigurationError, NotBounded
from prefect_governor.blocks.records.accepted import Accepted
from prefect_governor.blocks.wire.dialects import dialect_of, is_free
from prefect_governor.blocks.wire.dialects.bedrock.converse import Converse
from prefect_governor.blocks.wire.requests.plans import CallPlan
from tests.unit.blocks.wire.dialects.exchange import planned
from tests.unit.prices import priced

CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "us.amazon.nova-lite-v1:0"
MESSAGES = [{"role": "user", "content": [{"text": "What is it?"}]}]


def path(model: str = CLAUDE, verb: str = "converse") -> str:
    return f"/model/{model}/{verb}"


def converse(
    *, model: str = CLAUDE, verb: str = "converse", limit: int | None = 50, **fields: Any
) -> CallPlan:
    config = {} if limit is None else {"inferenceConfig": {"maxTokens": limit}}
    body = {"messages": MESSAGES, **config, **fields}
    return planned(Converse(), body, model=f"bedrock/{model}", path=path(model, verb))


@pytest.mark.parametrize(
    ("where", "model", "streamed"),
    [
        (path(), CLAUDE, False),
        (path(verb="converse-stream"), CLAUDE, True),
        ("/gateway" + path("global.amazon.nova-2-lite-v1:0"), "global.amazon.nova-2-lite-v1:0",
         False),
        (path("arn:aws:bedrock:us-east-1:1:inference-profile/us.x.y"),
         "arn:aws:bedrock:us-east-1:1:inference-profile/us.x.y", False),
    ],
)  # fmt: skip
def test_model_stands_in_the_path(where: str, model: str, streamed: bool) -> None:
    assert isinstance(dialect_of("POST", where), Converse)
    asked = Converse().open(b'{"messages": []}', path=where)
    assert (asked.model, asked.streamed) == (model, streamed)


def test_prompt_that_stands_at_the_provider_is_refused() -> None:
    with pytest.raises(NotBounded, match="prompt"):
        Converse().open(b"{}", path=path("arn:aws:bedrock:us-east-1:1:prompt/ABC:1"))


def test_counting_tokens_is_free() -> None:
    assert is_free("POST", path(verb="count-tokens"))
    assert not is_free("POST", path())


def test_bound_is_the_bytes_and_the_limit() -> None:
    made = converse(system=[{"text": "Be brief."}])
    assert len(made.body) < made.input_tokens < len(made.body) + 120
    assert (made.output_tokens, made.output_limit, made.least_output_tokens) == (50, 50, 1)
    assert (made.service_tier, made.cache_writes, made.own_limit) == ("default", False, False)
    assert converse(verb="converse-stream").least_output_tokens == 1
    fitted = Converse().refit(made, 12)
    assert json.loads(fitted.body)["inferenceConfig"]["maxTokens"] == 12
    assert fitted.output_tokens == fitted.output_limit == 12


def test_models_own_limit_is_written_into_a_request_without_one() -> None:
    made = converse(limit=None)
    assert made.own_limit
    limit = priced(CLAUDE).max_output_tokens
    assert made.output_tokens == json.loads(made.body)["inferenceConfig"]["maxTokens"] == limit


def test_thoughts_are_within_the_limit_or_beside_it() -> None:
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    within = converse(limit=2000, additionalModelRequestFields=thinking)
    assert (within.output_tokens, within.least_output_tokens) == (2000, 1025)
    beside = converse(limit=1000, additionalModelRequestFields=thinking)
    assert (beside.output_tokens, beside.output_limit) == (2024, None)


def test_cache_point_is_bounded_at_the_dearest_write() -> None:
    price = priced(CLAUDE)
    system = [{"text": "Be brief."}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    made = converse(system=system)
    assert made.cache_writes
    assert made.bound(price).nano > converse(system=system[:1]).bound(price).nano * 1.5


def test_service_tier_is_priced_or_refused() -> None:
    made = converse(model="deepseek.v3.2", serviceTier={"type": "priority"})
    assert made.service_tier == "priority"
    with pytest.raises(NotBounded, match=r"serviceTier.type.*'reserved'"):
        converse(serviceTier={"type": "reserved"})


def more(**fields: Any) -> dict[str, Any]:
    return {"additionalModelRequestFields": fields}


def block(**content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [content]}]}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"guardrailConfig": {"guardrailIdentifier": "g"}}, "guardrailConfig"),
        ({"promptVariables": {"a": {"text": "b"}}}, "promptVariables"),
        ({"performanceConfig": {"latency": "optimized"}}, "performanceConfig.latency"),
        ({"nobodyKnows": 1}, "nobodyKnows"),
        ({"inferenceConfig": {"maxTokens": 5, "maxOutputs": 9}}, "inferenceConfig.maxOutputs"),
        ({"inferenceConfig": {"maxTokens": 0}}, "maxTokens"),
        (more(max_tokens=10**6), "additionalModelRequestFields.max_tokens"),
        (more(maxTokens=10**6), "additionalModelRequestFields.maxTokens"),
        (more(inferenceConfig={"maxTokens": 10**6}), "inferenceConfig.maxTokens"),
        (more(inferenceConfig={"max_new_tokens": 10**6}), "inferenceConfig.max_new_tokens"),
        (more(tools=[{"type": "computer_20250124"}]), "additionalModelRequestFields.tools"),
        (more(unheard_of=1), "unheard_of"),
        (block(guardContent={"text": {"text": "a"}}), "guardContent"),
        (block(video={"format": "mp4", "source": {"bytes": "AA=="}}), "video"),
        (block(audio={"format": "mp3", "source": {"bytes": "AA=="}}), "audio"),
        (block(document={"name": "d", "source": {"bytes": "AA=="}}), "a document from 'bytes'"),
        (block(document={"name": "d", "source": {"text": "a"}, "citations": {"enabled": True}}),
         "citations"),
        (block(toolResult={"toolUseId": "1", "content": [{"video": {}}]}), "video"),
        (block(nextYears={}), "nextYears"),
        ({"toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]}}, "systemTool"),
        ({"messages": "hello"}, "messages"),
    ],
)  # fmt: skip
def test_what_has_no_bound_is_refused_by_name(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(NotBounded) as refused:
        converse(**fields)
    assert named in str(refused.value)


def test_image_is_bounded_by_the_models_rule_and_not_by_its_bytes() -> None:
    picture = block(image={"format": "png", "source": {"bytes": "A" * 200_000}})
    assert 1600 < converse(**picture).input_tokens < 8000
    with pytest.raises(NotBounded, match="image"):
        converse(model=NOVA, **picture)


def test_what_nobody_sees_is_bounded_by_the_context_where_it_is_accepted() -> None:
    body = {**block(document={"name": "d", "source": {"bytes": "AA=="}}),
            "inferenceConfig": {"maxTokens": 5}}  # fmt: skip
    asked = Converse().open(json.dumps(body).encode(), path=path())
    asked = replace(asked, accepted=Accepted(unseen=True))
    made = Converse().plan(asked, price=priced(CLAUDE), encoding=None)
    assert made.input_tokens >= 200_000


def test_tools_and_documents_that_are_text_are_their_bytes() -> None:
    tool = {"toolSpec": {"name": "find", "inputSchema": {"json": {"type": "object"}}}}
    blocks = [
        {"document": {"name": "d", "format": "txt", "source": {"text": "word " * 40}}},
        {"toolUse": {"toolUseId": "1", "name": "find", "input": {}}},
        {"toolResult": {"toolUseId": "1", "content": [{"json": {"a": 1}}, {"text": "x"}]}},
        {"reasoningContent": {"reasoningText": {"text": "so", "signature": "s"}}},
    ]
    made = converse(
        messages=[{"role": "user", "content": blocks}],
        toolConfig={"tools": [tool], "toolChoice": {"auto": {}}},
        outputConfig={"textFormat": {"type": "json_schema"}},
        requestMetadata={"team": "a"},
    )
    assert len(made.body) + 2048 < made.input_tokens < len(made.body) + 2400


def test_stream_that_nothing_installed_reads_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "prefect_governor.blocks.wire.replies.event_stream.find_spec",
        lambda name: None if name == "botocore" else found(name),
    )
    with pytest.raises(ConfigurationError, match=r"pip install 'prefect-governor\[bedrock\]'"):
        converse(verb="converse-stream")
    converse()
