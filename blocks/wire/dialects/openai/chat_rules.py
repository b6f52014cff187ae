"""What a chat completion's request may hold: what its bytes bound, what is refused and why.

A field, a part or a tool that stands in no table here is refused by name: it might be one that
costs.
"""

from collections.abc import Mapping

MAX_TOKENS_FIELDS = ("max_completion_tokens", "max_tokens")
# Who holds an answer and its thoughts together to `max_completion_tokens`, and calls `max_tokens`
# old or refuses it for models that reason (platform.openai.com/docs/api-reference/chat/create,
# learn.microsoft.com/azure/ai-foundry/openai/how-to/reasoning, docs.x.ai/docs/api-reference,
# console.groq.com/docs/api-reference, inference-docs.cerebras.ai/api-reference). The others have
# `max_tokens` alone, which holds both.
COMPLETION_LIMITS = frozenset({"openai", "azure", "azure_ai", "xai", "groq", "cerebras"})
# Who says in a stream's last chunk what it used, and refuses a request that asks for it
# (docs.mistral.ai/api, chat: a field that is not known there is "extra_forbidden").
USAGE_UNASKED = frozenset({"mistral", "codestral"})
# Fields that hold text which the provider may count as input. Messages are counted by part.
COUNTED_FIELDS = frozenset(
    {"tools", "functions", "tool_choice", "function_call", "response_format", "guided_json",
     "guided_regex", "guided_choice", "guided_grammar", "structured_outputs", "documents",
     "chat_template", "chat_template_kwargs", "stop", "stop_token_ids", "bad_words", "grammar"}
)  # fmt: skip
# Fields that change no bound.
PLAIN_FIELDS = frozenset(
    {"model", "messages", "n", "best_of", "stream", "stream_options", "service_tier", "temperature",
     "top_p", "top_k", "top_a", "min_p", "min_tokens", "frequency_penalty", "presence_penalty",
     "repetition_penalty", "length_penalty", "seed", "logit_bias", "logprobs", "top_logprobs",
     "prompt_logprobs", "user", "metadata", "safety_identifier", "prompt_cache_key",
     "prompt_cache_retention", "parallel_tool_calls", "reasoning_effort", "reasoning", "thinking",
     "verbosity", "store", "ignore_eos", "skip_special_tokens", "spaces_between_special_tokens",
     "include_stop_str_in_output", "add_generation_prompt", "continue_final_message",
     "truncate_prompt_tokens", "safe_prompt", "random_seed", "safety_settings",
     "safety_model", "reasoning_format", "include_reasoning", "disable_tool_validation",
     "enable_thinking", "include", "usage", "priority", "request_id", "return_token_ids",
     *MAX_TOKENS_FIELDS}
)  # fmt: skip
REFUSED_FIELDS: Mapping[str, str] = {
    "web_search_options": "a hosted search is billed by the query and reads pages of any length",
    "audio": "audio output has a price of its own",
    "prediction": "rejected prediction tokens are billed beyond max_tokens",
    "models": "it lets the provider choose a dearer model",
    "route": "it lets the provider choose a dearer model",
    "fallbacks": "it lets the provider choose a dearer model",
    "plugins": "a plugin is billed beside the tokens",
    "previous_response_id": "an earlier response by id has a length that nobody sees here",
    "search_parameters": "a hosted search is billed beside the tokens",
    "compound_custom": "hosted tools are billed beside the tokens",
}
REFUSED_PARTS: Mapping[str, str] = {
    "input_image": "an image's tokens are not bounded by its bytes",
    "input_audio": "audio's tokens are not bounded by its bytes",
    "video_url": "a video's tokens are not bounded by its bytes",
    "file": "a file's tokens are not bounded by the request's bytes",
}
# In the request or behind a URL, it costs the most that the model takes any image for: `images`.
IMAGE_PART = "image_url"
IMAGE_DETAILS = (None, "low", "high", "auto")
TEXT_PARTS: Mapping[str, str] = {"text": "text", "refusal": "refusal", "thinking": "thinking"}
LOCAL_TOOLS = frozenset({"function", "custom"})
