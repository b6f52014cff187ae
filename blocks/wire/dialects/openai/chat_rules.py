"""What a chat completion's request may hold: what its bytes bound, what is refused and why.

A field, a part or a tool that stands in no table here is refused by name: it might be one that
costs.
"""

from collections.abc import Mapping

MAX_TOKENS_FIELDS = ("max_completion_tokens", "max_tokens")
# Who holds an answer and its thoughts together to `max_completion_tokens`, and calls `max_tokens`
# old or refuses it for models that reason (platform.openai.com/docs/api-reference/chat/create,
# learn.microsoft.com/azure/ai-foundry/openai/how-to/reasoning, docs.x.ai/docs/api-reference,
# console.groq.com/docs/api-reference, inference-docs.cerebras.ai/api-reference,
# docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-openai.html). The others have
# `max_tokens` alone, which holds both.
COMPLETION_LIMITS = frozenset({"openai", "azure", "azure_ai", "bedrock", "xai", "groq", "cerebras"})
# Who says in a stream's last chunk what it used, and refuses a request that asks for it
# (docs.mistral.ai/api, chat: a field that is not known there is "extra_forbidden").
USAGE_UNASKED = frozenset({"mistral", "codestral"})
# A row a family: what its documents name beside OpenAI's own, as of November 2026.
#
# Fields that hold text which the provider may count as input. Messages are counted by part.
COUNTED_FIELDS = frozenset(
    {
        # OpenAI: platform.openai.com/docs/api-reference/chat/create
        "tools", "functions", "tool_choice", "function_call", "response_format", "stop",
        # vLLM: docs.vllm.ai, OpenAI-compatible server, extra parameters
        "guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs",
        "documents", "chat_template_kwargs", "stop_token_ids", "bad_words", "vllm_xargs",
        # llama.cpp and SGLang: github.com/ggml-org/llama.cpp tools/server, docs.sglang.ai
        "grammar", "json_schema", "regex", "ebnf",
        # Qwen: alibabacloud.com/help/en/model-studio/qwen-api-reference
        "translation_options",
        # Fireworks: docs.fireworks.ai/api-reference/post-chatcompletions
        "speculation",
    }
)  # fmt: skip
# Fields that change no bound.
PLAIN_FIELDS = frozenset(
    {
        *MAX_TOKENS_FIELDS,
        # OpenAI. To moderate costs nothing (platform.openai.com/docs/guides/moderation).
        "model", "messages", "n", "stream", "stream_options", "service_tier", "temperature",
        "top_p", "frequency_penalty", "presence_penalty", "seed", "logit_bias", "logprobs",
        "top_logprobs", "user", "metadata", "safety_identifier", "prompt_cache_key",
        "prompt_cache_retention", "prompt_cache_options", "parallel_tool_calls",
        "reasoning_effort", "verbosity", "store", "moderation",
        # Azure: learn.microsoft.com/azure/ai-foundry/openai/reference-preview
        "user_security_context",
        # OpenRouter: openrouter.ai/docs/api/reference/overview. What asks for a cache is bounded
        # at its dearest write.
        "top_k", "top_a", "min_p", "repetition_penalty", "reasoning", "include_reasoning", "usage",
        "cache_control", "session_id", "trace", "debug",
        # vLLM
        "best_of", "use_beam_search", "min_tokens", "length_penalty", "prompt_logprobs",
        "ignore_eos", "skip_special_tokens", "spaces_between_special_tokens",
        "include_stop_str_in_output", "add_generation_prompt", "continue_final_message",
        "add_special_tokens", "truncate_prompt_tokens", "truncation_side", "allowed_token_ids",
        "logprob_token_ids", "thinking_token_budget", "watermarking", "echo", "priority",
        "request_id", "return_token_ids", "return_tokens_as_token_ids", "return_prompt_text",
        "return_token_offsets", "return_mm_kwargs", "routed_experts_prompt_start", "cache_salt",
        "kv_transfer_params", "ec_transfer_params", "media_io_kwargs", "mm_processor_kwargs",
        "repetition_detection", "stream_interval", "guided_decoding_backend",
        "guided_whitespace_pattern",
        # LM Studio, llama.cpp, SGLang: how a model of one's own is run
        "ttl", "draft_model", "cache_prompt", "id_slot", "n_keep", "n_probs", "mirostat",
        "mirostat_tau", "mirostat_eta", "typical_p", "repeat_penalty", "repeat_last_n",
        "dynatemp_range", "dynatemp_exponent", "samplers", "timings_per_token",
        "separate_reasoning", "stream_reasoning", "no_stop_trim",
        # Mistral: docs.mistral.ai/api
        "safe_prompt", "random_seed",
        # Groq: console.groq.com/docs/api-reference
        "reasoning_format", "disable_tool_validation",
        # Together: docs.together.ai/reference/chat-completions-1
        "safety_model", "context_length_exceeded_behavior",
        # DeepSeek, Z.ai and Moonshot: api-docs.deepseek.com, docs.z.ai/api-reference
        "thinking", "do_sample", "tool_stream", "user_id",
        # Qwen
        "enable_thinking", "thinking_budget", "preserve_thinking", "vl_high_resolution_images",
        "incremental_output", "result_format",
        # Fireworks
        "echo_last", "mirostat_lr", "mirostat_target", "perf_metrics_in_response",
        "prompt_cache_isolation_key", "prompt_truncate_len", "raw_output", "safe_tokenization",
        "sampling_mask",
        # Cerebras: inference-docs.cerebras.ai/api-reference/chat-completions
        "clear_thinking", "disable_reasoning",
        # Gemini: ai.google.dev/gemini-api/docs/openai
        "safety_settings", "include",
    }
)  # fmt: skip
# What Gemini's own part of a request (`extra_body.google`) may hold; a cache by name is unseen.
GOOGLE_FIELDS = frozenset(
    {"thinking_config", "thought_tag_marker", "safety_settings", "cached_content"}
)
# Where a budget of thoughts stands that count under the limit: Anthropic's, OpenRouter's, Gemini's.
THOUGHT_FIELDS = (
    ("thinking", "budget_tokens"),
    ("reasoning", "max_tokens"),
    ("extra_body", "google", "thinking_config", "thinking_budget"),
)
# Fields that are read by themselves.
READ_FIELDS = frozenset({"modalities", "prediction", "chat_template", "extra_body"})
_SEARCH = "a hosted search is billed beside the tokens and reads pages of any length"
_DEARER = "it lets the provider choose a dearer model"
REFUSED_FIELDS: Mapping[str, str] = {
    "web_search_options": "a hosted search is billed by the query and reads pages of any length",
    "audio": "audio output has a price of its own",
    "image_config": "an image as output has a price of its own",
    "models": _DEARER,
    "route": _DEARER,
    "fallbacks": _DEARER,
    "plugins": "a plugin is billed beside the tokens",
    "data_sources": "what it finds is read at any length, by more than one call of the model",
    "search_parameters": _SEARCH,
    "search_settings": _SEARCH,
    "include_domains": _SEARCH,
    "exclude_domains": _SEARCH,
    "enable_search": _SEARCH,
    "search_options": _SEARCH,
    "compound_custom": "hosted tools are billed beside the tokens",
    "enable_code_interpreter": "hosted tools are billed beside the tokens",
    "deferred": "what it costs is in no reply to this request",
}
# Fields that stand for text of a length that nobody sees, and what to send instead.
UNSEEN_FIELDS: Mapping[str, tuple[str, str]] = {
    "previous_response_id": (
        "an earlier response by id has a length that nobody sees here",
        "Send the conversation in `messages`",
    ),
    "prompt_mode": (
        "the provider writes a prompt of its own, of a length that is not known here",
        "Leave it out",
    ),
    "citation_options": (
        "the provider writes instructions of its own, of a length that is not known here",
        "Leave it out",
    ),
}
# Parts whose tokens their bytes do not bound.
UNSEEN_PARTS: Mapping[str, str] = {
    "input_audio": "audio's tokens are not bounded by its bytes",
    "audio_url": "audio's tokens are not bounded by its bytes",
    "video_url": "a video's tokens are not bounded by its bytes",
    "file": "a file's tokens are not bounded by the request's bytes",
    "document_url": "a document's tokens are not bounded by the request's bytes",
}
# Those of them that may be audio or video, which may be dearer than text.
AUDIO_PARTS = frozenset({"input_audio", "audio_url", "video_url", "file"})
REFUSED_PARTS: Mapping[str, str] = {
    "input_image": "an image's tokens are not bounded by its bytes",
}
# In the request or behind a URL, it costs the most that the model takes any image for: `images`.
IMAGE_PART = "image_url"
IMAGE_DETAILS = (None, "low", "high", "auto")
TEXT_PARTS: Mapping[str, str] = {"text": "text", "refusal": "refusal", "thinking": "thinking"}
LOCAL_TOOLS = frozenset({"function", "custom"})
