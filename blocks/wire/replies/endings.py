"""How an answer ended, from the names that providers have for it. Pure.

One table: an API family and the reason that it gives, to what that is for whoever asked. A reason
that is not in it is `fine` where something was said, so that a new name of a provider's breaks
nothing, and `empty` where nothing was. The names are the providers' own, as they document them:

- Chat completions, `choices[].finish_reason` and `message.refusal`:
  https://platform.openai.com/docs/api-reference/chat/object and
  https://platform.openai.com/docs/guides/structured-outputs#refusals. Of those who speak it too:
  `model_length` and `error`, https://docs.mistral.ai/api/#tag/chat; `insufficient_system_resource`,
  https://api-docs.deepseek.com/api/create-chat-completion; `error`,
  https://openrouter.ai/docs/api/reference/errors-and-debugging; `sensitive` and `network_error`,
  https://docs.z.ai/api-reference/llm/chat-completion.
- Responses, `status`, `incomplete_details.reason` and parts of the type `refusal`:
  https://platform.openai.com/docs/api-reference/responses/object.
- Anthropic's messages, `stop_reason`:
  https://docs.claude.com/en/api/handling-stop-reasons.
- Gemini, `candidates[].finishReason` and `promptFeedback.blockReason`:
  https://ai.google.dev/api/generate-content#FinishReason and #BlockReason.
- Ollama, `done_reason`: https://github.com/ollama/ollama/blob/main/docs/api.md.
- Cohere, `finish_reason`: https://docs.cohere.com/reference/chat and, of its first version,
  https://docs.cohere.com/reference/chat-v1.
- Bedrock's Converse, `stopReason`:
  https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

# What became of an answer: it ended by itself; it stopped at `max_tokens` or where the context was
# full; the provider's filter held it back; the model declined; there is nothing in it; the provider
# gave it up half-way, or the model called a tool in a way that nobody can read.
Kind = Literal["fine", "cut", "filtered", "refused", "empty", "broken"]
Family = Literal["chat", "responses", "messages", "gemini", "ollama", "cohere", "converse"]

ENDINGS: Mapping[Family, Mapping[str, Kind]] = {
    "chat": {
        "stop": "fine",
        "tool_calls": "fine",
        "function_call": "fine",
        "length": "cut",
        "model_length": "cut",
        "content_filter": "filtered",
        "sensitive": "filtered",
        "error": "broken",
        "network_error": "broken",
        "insufficient_system_resource": "broken",
    },
    "responses": {
        "completed": "fine",
        "max_output_tokens": "cut",
        "content_filter": "filtered",
        # Incomplete, and nothing says why.
        "incomplete": "broken",
        "failed": "broken",
        "cancelled": "broken",
    },
    "messages": {
        "end_turn": "fine",
        "stop_sequence": "fine",
        "tool_use": "fine",
        "max_tokens": "cut",
        "model_context_window_exceeded": "cut",
        "refusal": "refused",
        # Of tools that the provider runs: there is more to come, for whoever asks on.
        "pause_turn": "broken",
    },
    "gemini": {
        "STOP": "fine",
        "MAX_TOKENS": "cut",
        "SAFETY": "filtered",
        "RECITATION": "filtered",
        "LANGUAGE": "filtered",
        "BLOCKLIST": "filtered",
        "PROHIBITED_CONTENT": "filtered",
        "SPII": "filtered",
        "IMAGE_SAFETY": "filtered",
        "IMAGE_PROHIBITED_CONTENT": "filtered",
        "IMAGE_RECITATION": "filtered",
        "OTHER": "broken",
        "IMAGE_OTHER": "broken",
        "NO_IMAGE": "broken",
        "MALFORMED_FUNCTION_CALL": "broken",
        "UNEXPECTED_TOOL_CALL": "broken",
        "TOO_MANY_TOOL_CALLS": "broken",
        "MISSING_THOUGHT_SIGNATURE": "broken",
        "MALFORMED_RESPONSE": "broken",
    },
    "ollama": {
        "stop": "fine",
        "length": "cut",
        # The model was loaded or unloaded, and asked nothing.
        "load": "empty",
        "unload": "empty",
    },
    "cohere": {
        "COMPLETE": "fine",
        "STOP_SEQUENCE": "fine",
        "TOOL_CALL": "fine",
        "MAX_TOKENS": "cut",
        "ERROR_LIMIT": "cut",
        "ERROR_TOXIC": "filtered",
        "ERROR": "broken",
        "TIMEOUT": "broken",
        "USER_CANCEL": "broken",
    },
    "converse": {
        "end_turn": "fine",
        "stop_sequence": "fine",
        "tool_use": "fine",
        "max_tokens": "cut",
        "model_context_window_exceeded": "cut",
        "guardrail_intervened": "filtered",
        "content_filtered": "filtered",
        "malformed_model_output": "broken",
        "malformed_tool_use": "broken",
    },
}
# Cut, and no larger `max_tokens` would have helped: the context was full.
CONTEXT_FULL = frozenset({"model_length", "model_context_window_exceeded", "ERROR_LIMIT"})


@dataclass(frozen=True, slots=True)
class Ending:
    """How an answer ended. `said` is the provider's own word for it, such as `length`."""

    kind: Kind
    said: str = ""

    @property
    def context_full(self) -> bool:
        """Whether it was cut where the model's context ends, which no `max_tokens` moves."""
        return self.kind == "cut" and self.said in CONTEXT_FULL


def is_cut(family: Family, reason: Any) -> bool:
    """Whether an answer of this family with this reason did not end by itself, for its length."""
    return isinstance(reason, str) and ENDINGS[family].get(reason) == "cut"


def ending(family: Family, reason: Any, *, says: bool, refusal: bool = False) -> Ending:
    """How an answer ended.

    Args:
        reason: the provider's word for it; anything else counts as none.
        says: whether there is anything in it, words or the call of a tool.
        refusal: the reply holds a refusal beside its reason, as OpenAI's do.
    """
    said = reason if isinstance(reason, str) else ""
    if refusal:
        return Ending("refused", "refusal")
    kind = ENDINGS[family].get(said, "fine")
    return Ending("empty" if kind == "fine" and not says else kind, said)


def blocked(reason: str) -> Ending:
    """Of a prompt that Gemini's filter let pass to no model (`promptFeedback.blockReason`)."""
    return Ending("filtered", reason)


def has_words(content: Any) -> bool:
    """Whether a message's content, a text or a list of parts, holds more than white space. Thoughts
    are no answer."""
    if isinstance(content, str):
        return bool(content.strip())
    if not isinstance(content, list):
        return False
    return any(
        isinstance(part, dict) and isinstance(part.get("text"), str) and part["text"].strip()
        for part in content
        if not (isinstance(part, dict) and part.get("thought"))
    )
