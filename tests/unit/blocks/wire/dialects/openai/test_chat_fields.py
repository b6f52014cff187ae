"""The fields of a chat completion that each family documents: each stands in one table, and one
that nobody knows passes by the caller's word alone."""

import json
from dataclasses import replace
from typing import Any

import pytest

import prefect_governor.blocks.wire.dialects.openai.chat_rules as rules
from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.records.accepted import Accepted
from prefect_governor.blocks.wire.dialects.openai.chat import OpenAIChat
from prefect_governor.blocks.wire.requests.plans import CallPlan
from tests.unit.fakes import chat_request
from tests.unit.prices import priced

DIALECT = OpenAIChat()


def plan(*allowed: str, encoding: Any = "o200k_base", **fields: Any) -> CallPlan:
    asked = DIALECT.open(json.dumps(chat_request(**fields)).encode())
    asked = replace(asked, accepted=Accepted(frozenset(allowed)))
    return DIALECT.plan(asked, price=priced("gpt-4o-mini"), encoding=encoding)


# Written out, apart from the tables of the code: what each family's documents name, by the page.
DOCUMENTED: dict[str, str] = {
    # platform.openai.com/docs/api-reference/chat/create, as openai 2.54 types it
    "openai": """audio frequency_penalty function_call functions logit_bias logprobs
        max_completion_tokens max_tokens messages metadata modalities model moderation n
        parallel_tool_calls prediction presence_penalty prompt_cache_key prompt_cache_options
        prompt_cache_retention reasoning_effort response_format safety_identifier seed
        service_tier stop store stream stream_options temperature tool_choice tools top_logprobs
        top_p user verbosity web_search_options""",
    # openrouter.ai/docs/api/reference/overview; `provider` and `transforms` choose who serves it
    "openrouter": """plugins session_id trace models route debug image_config cache_control
        top_k top_a min_p repetition_penalty reasoning include_reasoning usage""",
    # docs.vllm.ai, OpenAI-compatible server
    "vllm": """thinking_token_budget include_reasoning use_beam_search top_k min_p
        repetition_penalty watermarking length_penalty stop_token_ids include_stop_str_in_output
        ignore_eos min_tokens skip_special_tokens spaces_between_special_tokens
        truncate_prompt_tokens truncation_side prompt_logprobs logprob_token_ids
        allowed_token_ids bad_words echo add_generation_prompt continue_final_message
        add_special_tokens documents chat_template
        chat_template_kwargs media_io_kwargs mm_processor_kwargs structured_outputs priority
        request_id session_id return_tokens_as_token_ids return_token_ids
        routed_experts_prompt_start return_token_offsets return_prompt_text return_mm_kwargs
        cache_salt kv_transfer_params ec_transfer_params vllm_xargs repetition_detection
        stream_interval guided_json guided_regex guided_choice guided_grammar best_of""",
    # console.groq.com/docs/api-reference
    "groq": """citation_options compound_custom disable_tool_validation documents exclude_domains
        include_domains include_reasoning reasoning_format search_settings service_tier""",
    # docs.x.ai/docs/api-reference
    "xai": """deferred search_parameters reasoning_effort web_search_options""",
    # api-docs.deepseek.com/api/create-chat-completion
    "deepseek": """thinking reasoning_effort""",
    # alibabacloud.com/help/en/model-studio/qwen-api-reference
    "qwen": """enable_thinking thinking_budget enable_search search_options top_k repetition_penalty
        enable_code_interpreter vl_high_resolution_images translation_options incremental_output""",
    # docs.mistral.ai/api
    "mistral": """random_seed safe_prompt prompt_mode prediction""",
    # docs.fireworks.ai/api-reference/post-chatcompletions, as LiteLLM has it
    "fireworks": """context_length_exceeded_behavior echo echo_last ignore_eos mirostat_lr
        mirostat_target perf_metrics_in_response prompt_cache_isolation_key prompt_truncate_len
        raw_output return_token_ids safe_tokenization sampling_mask speculation typical_p""",
    # ai.google.dev/gemini-api/docs/openai
    "gemini": """extra_body""",
}
TABLES = {
    "plain": rules.PLAIN_FIELDS,
    "counted": rules.COUNTED_FIELDS,
    "read": rules.READ_FIELDS,
    "refused": rules.REFUSED_FIELDS.keys(),
    "unseen": rules.UNSEEN_FIELDS.keys(),
}


@pytest.mark.parametrize("family", DOCUMENTED)
def test_every_field_that_a_family_documents_stands_in_one_table(family: str) -> None:
    for name in DOCUMENTED[family].split():
        found = [table for table, names in TABLES.items() if name in names]
        assert len(found) == 1, (name, found)


@pytest.mark.parametrize("name", sorted(rules.REFUSED_FIELDS))
def test_field_that_costs_is_refused_by_name_whatever_is_allowed(name: str) -> None:
    with pytest.raises(NotBounded, match=f"`{name}`"):
        plan(name, **{name: {"x": 1}})
    # What is off asks for nothing.
    assert plan(**{name: False})
    assert plan(**{name: None})


def test_field_that_nobody_knows_is_refused_by_name_with_what_lets_it_pass() -> None:
    with pytest.raises(NotBounded, match=r"`next_years`.*allow_fields=\['next_years'\]"):
        plan(next_years=1)
    with pytest.raises(NotBounded, match="`other`"):
        plan("next_years", next_years=1, other=2)


@pytest.mark.parametrize("encoding", [None, "o200k_base"])
def test_field_that_the_caller_allows_passes_and_its_text_is_counted(encoding: str | None) -> None:
    bare = plan(encoding=encoding)
    made = plan("next_years", encoding=encoding, next_years="word " * 500)
    assert json.loads(made.body)["next_years"] == "word " * 500
    assert made.input_tokens >= bare.input_tokens + 500


def test_what_gemini_reads_beside_openais_fields_is_known_by_name() -> None:
    google = {"thinking_config": {"thinking_budget": 1024}, "thought_tag_marker": "think"}
    assert plan(extra_body={"google": google})
    with pytest.raises(NotBounded, match=r"`extra_body.google.next_years`"):
        plan(extra_body={"google": {"next_years": 1}})
    others: list[Any] = [{"openai": {}}, {"google": 5}, "x", {"google": {}, "x": 1}]
    for other in others:
        with pytest.raises(NotBounded, match="extra_body"):
            plan(extra_body=other)


def test_cache_that_is_asked_for_is_bounded_at_its_dearest_write() -> None:
    price = replace(priced("claude-sonnet-4-5"), provider="openrouter")
    body = chat_request(cache_control={"type": "ephemeral"})
    asked = DIALECT.open(json.dumps(body).encode())
    assert DIALECT.plan(asked, price=price, encoding=None).cache_writes
