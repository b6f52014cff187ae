"""The Responses API, embeddings and the usage export: what is said is what is billed."""

from __future__ import annotations

import csv
import io
import math
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import httpx
import openai
import orjson
import pytest

from tests.provider.books.tokens import count_text
from tests.provider.process import ProviderError, ProviderProcess

MINI_INPUT, MINI_CACHED, MINI_OUTPUT = 150, 75, 600
SMALL_INPUT = 20
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}}


def body(text: Any = "hi there", **fields: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "input": text, "max_output_tokens": 50, **fields}


def embeds(given: Any = "hi there", **fields: Any) -> dict[str, Any]:
    return {"model": "text-embedding-3-small", "input": given, **fields}


def post(client: httpx.Client, path: str, fields: dict[str, Any]) -> dict[str, Any]:
    reply = client.post(path, json=fields)
    assert reply.status_code == 200, reply.text
    parsed: dict[str, Any] = orjson.loads(reply.content)
    return parsed


def told(reply: httpx.Response) -> list[dict[str, Any]]:
    """A stream's events; each names itself twice, and they are numbered."""
    found = []
    for at, block in enumerate(each for each in reply.text.split("\n\n") if each):
        name, data = block.split("\n")
        event = orjson.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == at
        found.append(event)
    return found


# Responses


def test_plain_bill_is_the_usage_at_the_price(judge: ProviderProcess, client: httpx.Client) -> None:
    reply = post(client, "/responses", body())
    usage = reply["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (3 + 4 + 2, 24)
    assert usage["total_tokens"] == 33
    assert (reply["status"], reply["output"][0]["type"]) == ("completed", "message")
    assert judge.stats()["billed_nano"] == 9 * MINI_INPUT + 24 * MINI_OUTPUT


def test_the_same_conversation_costs_what_it_costs_as_a_chat(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi there"}]
    chat = post(
        client,
        "/chat/completions",
        {"model": "gpt-4o-mini", "messages": messages, "max_tokens": 50},
    )
    parts = [{"type": "input_text", "text": "hi there"}]
    post(client, "/responses", body([{"role": "user", "content": parts}], instructions="be brief"))
    for fields in (body(instructions="be brief"), body(messages)):
        reply = post(client, "/responses", fields)
        assert reply["output"][0]["content"][0]["text"] == chat["choices"][0]["message"]["content"]
    assert len({record["billed_nano"] for record in judge.log()}) == 1


def test_stream_ends_with_the_response_which_alone_has_the_usage(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    plain = post(client, "/responses", body())
    events = told(client.post("/responses", json=body(stream=True)))
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert events[-1]["response"]["usage"] == plain["usage"]
    assert all(event["response"]["usage"] is None for event in events[:-1] if "response" in event)
    text = "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")
    assert text == plain["output"][0]["content"][0]["text"]
    first, second = judge.log()
    assert first["billed_nano"] == second["billed_nano"] > 0


@pytest.mark.parametrize("stream", [False, True])
def test_answer_that_passes_its_limit_is_incomplete_and_billed_to_the_limit(
    judge: ProviderProcess, client: httpx.Client, stream: bool
) -> None:
    judge.renew(output_tokens=100)
    reply = client.post("/responses", json=body("x", max_output_tokens=16, stream=stream))
    if stream:
        last = told(reply)[-1]
        assert last["type"] == "response.incomplete"
        response = last["response"]
    else:
        response = reply.json()
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["usage"]["output_tokens"] == 16


def test_cached_input_tier_and_factor_are_said_and_billed(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    judge.renew(cached_fraction=0.5, output_tokens=1, token_factor=1.5)
    reply = post(client, "/responses", body(service_tier="priority"))
    assert reply["service_tier"] == "priority"
    assert reply["usage"]["input_tokens"] == 14
    assert reply["usage"]["input_tokens_details"]["cached_tokens"] == 7
    assert judge.stats()["billed_nano"] == 7 * 250 + 7 * 125 + 1000


def test_tools_are_called_and_their_outputs_continue_the_turn(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    judge.renew(tool_calls=2)
    reply = post(client, "/responses", body("go", tools=[TOOL]))
    calls = reply["output"]
    assert [call["type"] for call in calls] == ["function_call"] * 2
    outputs = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": "42"}
        for call in calls
    ]
    items = [{"role": "user", "content": "go"}, *calls, *outputs]
    again = post(client, "/responses", body(items, tools=[TOOL]))
    assert again["output"][0]["type"] == "message"
    assert again["usage"]["input_tokens"] > reply["usage"]["input_tokens"]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"model": "gpt-9"}, 404),
        ({"input": None}, 400),
        ({"input": ["text"]}, 400),
        ({"input": [{"type": "item_reference", "id": "x"}]}, 400),
        ({"max_output_tokens": 15}, 400),
        ({"previous_response_id": "resp_1"}, 400),
        ({"tools": [{"type": "web_search"}]}, 400),
        ({"service_tier": "flex"}, 400),
    ],
)
def test_bad_response_call_is_refused_and_not_billed(
    judge: ProviderProcess, client: httpx.Client, fields: dict[str, Any], status: int
) -> None:
    assert client.post("/responses", json={**body(), **fields}).status_code == status
    assert judge.stats()["billed_nano"] == 0


@pytest.mark.parametrize("fault", ["no_usage", "cut_stream", "drop_stream", "malformed_json"])
def test_faulty_stream_is_billed_and_has_no_usage_to_settle_by(
    judge: ProviderProcess, client: httpx.Client, fault: str
) -> None:
    judge.renew(faults={"at": {1: fault}})
    try:
        text = client.post("/responses", json=body(stream=True)).text
    except httpx.RemoteProtocolError:
        text = ""
    stats = judge.settled_stats()
    assert stats["faults"][fault] == 1
    assert stats["billed_calls"] == 1
    assert ('"input_tokens":' in text) == (fault == "malformed_json")


def test_openai_sdk_reads_responses_plain_and_streamed(judge: ProviderProcess) -> None:
    with openai.OpenAI(base_url=judge.api_base, api_key="x", max_retries=0) as sdk:
        plain = sdk.responses.create(**body())
        assert plain.output_text
        events = list(sdk.responses.create(**body(stream=True)))
        assert events[-1].type == "response.completed"
        assert events[-1].response.output_text == plain.output_text
        assert events[-1].response.usage == plain.usage


# Embeddings


def test_embeddings_bill_their_input_alone(judge: ProviderProcess, client: httpx.Client) -> None:
    texts = ["the budget of the team", "a ceiling", "hi"]
    reply = post(client, "/embeddings", embeds(texts))
    tokens = sum(count_text(text, "cl100k_base") for text in texts)
    assert reply["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    assert [each["index"] for each in reply["data"]] == [0, 1, 2]
    assert len({tuple(each["embedding"]) for each in reply["data"]}) == 3
    stats = judge.stats()
    assert (stats["billed_nano"], stats["output_tokens"]) == (tokens * SMALL_INPUT, 0)


def test_tokens_are_billed_by_their_number_and_the_factor(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    judge.renew(token_factor=1.5, cached_fraction=0.5)
    reply = post(client, "/embeddings", embeds([[1, 2, 3], [4, 5]]))
    assert reply["usage"]["prompt_tokens"] == math.ceil(5 * 1.5)
    assert judge.stats()["billed_nano"] == 8 * SMALL_INPUT


@pytest.mark.parametrize("given", [None, "", [], [""], [[]], 3, ["a", 3], [1.5], [True], {}])
def test_bad_embedding_call_is_refused_and_not_billed(
    judge: ProviderProcess, client: httpx.Client, given: Any
) -> None:
    assert client.post("/embeddings", json=embeds(given)).status_code == 400
    assert judge.stats()["billed_nano"] == 0


def test_token_limits_hold_for_every_path(judge: ProviderProcess, client: httpx.Client) -> None:
    judge.renew(limits={"requests_per_minute": 2})
    for path, fields in (("/embeddings", embeds()), ("/responses", body())):
        assert client.post(path, json=fields).status_code == 200
    assert client.post("/embeddings", json=embeds()).status_code == 429
    assert judge.stats()["throttled"] == 1


def test_openai_sdk_reads_embeddings(judge: ProviderProcess) -> None:
    with openai.OpenAI(base_url=judge.api_base, api_key="x", max_retries=0) as sdk:
        reply = sdk.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
        assert len(reply.data) == 2
        assert reply.usage.prompt_tokens == 2


# The export


def test_export_has_a_row_for_each_billed_call_and_sums_to_the_bill(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    judge.renew(cached_fraction=0.5, faults={"at": {3: "error_500", 4: "error_500_billed"}})
    before = datetime.now(timezone.utc)
    client.post("/responses", json=body(), headers={"x-client-request-id": "mine-1"})
    client.post("/embeddings", json=embeds(), headers={"x-client-request-id": "mine-2"})
    client.post("/responses", json=body(), headers={"x-client-request-id": "unbilled"})
    client.post("/responses", json=body(service_tier="priority"))
    exported = judge.usage_export()
    found = list(csv.DictReader(io.StringIO(exported)))
    assert [row["request_id"] for row in found[:2]] == ["mine-1", "mine-2"]
    assert found[2]["request_id"].startswith("req_")
    assert [record["request_id"] for record in judge.log()] == ["mine-1", "mine-2", "unbilled", ""]
    stats = judge.stats()
    assert len(found) == stats["billed_calls"] == 3
    assert sum(Decimal(row["cost_usd"]) for row in found) * 10**9 == stats["billed_nano"]
    assert sum(int(row["input_tokens"]) for row in found) == stats["input_tokens"]
    assert sum(int(row["cached_input_tokens"]) for row in found) == stats["cached_tokens"] > 0
    assert [row["service_tier"] for row in found] == ["default", "default", "priority"]
    assert all(before <= datetime.fromisoformat(row["time"]) for row in found)
    lines = [orjson.loads(line) for line in judge.usage_export("jsonl").splitlines()]
    assert [{key: str(value) for key, value in line.items()} for line in lines] == found


def test_export_of_another_format_is_an_error(judge: ProviderProcess) -> None:
    with pytest.raises(ProviderError, match="xml"):
        judge.usage_export("xml")  # type: ignore[arg-type]


def test_cost_of_a_fraction_of_a_cent_is_written_in_full(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    post(client, "/embeddings", embeds("hi"))
    assert judge.usage_export().splitlines()[1].split(",")[7] == "0.000000020"
