"""What a request to Bedrock's Converse may hold: what its bytes bound, what is refused and why.

A field, a block or a tool that stands in no table here is refused by name: it might be one that
costs. The names are those of
docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html.
"""

from collections.abc import Mapping

FIELDS = frozenset(
    {"messages", "system", "inferenceConfig", "toolConfig", "additionalModelRequestFields",
     "additionalModelResponseFieldPaths", "requestMetadata", "performanceConfig", "serviceTier",
     "outputConfig"}
)  # fmt: skip
# docs.aws.amazon.com/bedrock/latest/userguide/guardrails-how.html: what a guardrail evaluates is
# charged by its policies, beside the model and in its place.
GUARDED = "what a guardrail evaluates is billed beside the tokens"
REFUSED_FIELDS: Mapping[str, str] = {
    "guardrailConfig": GUARDED,
    "promptVariables": "the prompt stands at the provider, of a length that nobody sees here",
}
LIMIT = "maxTokens"
INFERENCE_FIELDS = frozenset({LIMIT, "temperature", "topP", "stopSequences"})
OUTPUT_FIELDS = frozenset({"textFormat", "effort"})
# Of each vendor's own parameters, those that change how an answer is sampled or reasoned, within
# `maxTokens`. What sets another limit, or asks for a tool, has no place here.
# docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
ADDITIONAL_FIELDS = frozenset(
    {"thinking", "top_k", "topK", "k", "anthropic_beta", "output_config", "tool_choice",
     "reasoning_effort", "reasoning", "reasoning_config", "reasoningConfig", "inferenceConfig",
     "seed", "frequency_penalty", "presence_penalty", "random_seed", "safe_prompt"}
)  # fmt: skip
REFUSED_ADDITIONAL: Mapping[str, str] = {
    **dict.fromkeys(
        ("max_tokens", "maxTokens", "max_completion_tokens", "max_gen_len", "max_new_tokens",
         "max_tokens_to_sample", "maxTokenCount"),
        f"a second limit may go around `inferenceConfig.{LIMIT}`. Set that",
    ),
    "tools": "the provider writes their descriptions, of a length that is not known here. Use "
    "`toolConfig`",
    "mcp_servers": "what tools at the provider read has a length that nobody sees here",
    "context_management": "what it compacts is billed beside the answer",
    "amazon-bedrock-guardrailConfig": GUARDED,
    "documents": "they have no rule here. Put them into the messages",
    "n": "several answers have no bound here",
    "num_generations": "several answers have no bound here",
}  # fmt: skip
# Nova's own, inside of the fields above.
ADDITIONAL_INFERENCE_FIELDS = frozenset({"topK", "top_k"})

# docs.aws.amazon.com/bedrock/latest/userguide/latency-optimized-inference.html
STANDARD_LATENCY = "standard"
# docs.aws.amazon.com/bedrock/latest/userguide/service-tiers-inference.html: a request without a
# tier is served at the standard one.
STANDARD_TIER = "default"

# Blocks whose bytes bound them, and what stands in each.
BYTE_BLOCKS = frozenset({"text", "toolUse", "reasoningContent", "citationsContent"})
CACHE_POINT = "cachePoint"
HOLDERS = frozenset({"toolResult", "searchResult"})
# docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolResultContentBlock.html
JSON_BLOCK = "json"
UNSEEN_BLOCKS: Mapping[str, str] = {
    "video": "a video's tokens are not bounded by its bytes",
    "audio": "audio's tokens are not bounded by its bytes",
}
REFUSED_BLOCKS: Mapping[str, str] = {
    "guardContent": GUARDED,
    "toolAddition": "a tool that is added in the conversation has no rule here",
    "toolRemoval": "a tool that is removed in the conversation has no rule here",
}
UNSEEN_DOCUMENTS: Mapping[str, str] = {
    "bytes": "a file's pages may be billed as images beside their text",
    "s3Location": "a document in S3 has a length that nobody sees here",
}
# Sources of documents whose bytes bound them.
DOCUMENT_TEXT = "text"
DOCUMENT_CONTENT = "content"
TOOL = "toolSpec"
REFUSED_TOOLS: Mapping[str, str] = {
    "systemTool": "the provider runs it and bills what it does and reads",
}
# What each vendor writes about tools into the prompt, see `anthropic.rules`: 159 to 530 tokens.
TOOLS_PROMPT_TOKENS = 1024
FORMAT_PROMPT_TOKENS = 1024

# What a request asks for by its headers, in lower case:
# docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html
GUARDRAIL_HEADER = "x-amzn-bedrock-guardrailidentifier"
LATENCY_HEADER = "x-amzn-bedrock-performanceconfig-latency"
TIER_HEADER = "x-amzn-bedrock-service-tier"
# What stands in the body of a request for Anthropic's messages beside these:
# docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html
INVOKE_FIELDS = frozenset({"anthropic_version", "anthropic_beta"})
