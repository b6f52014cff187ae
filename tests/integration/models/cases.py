"""The providers of the tested list: a model of each, and what the provider bills for it."""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tests.provider.process import ProviderProcess

HELLO: Any = [{"role": "user", "content": "hello there"}]
KEY = "sk-test-0123456789abcdef"
CLAUDE = "claude-sonnet-4-5"
# What its own SDK does not warn of.
CURRENT = "claude-sonnet-4-6"
PNG = "iVBORw0KGgo" * 4000


@dataclass(frozen=True)
class Case:
    """A provider's model, where its API stands below the provider's root, and what the provider
    bills for it, in USD a token; `given`: the file has no such price, a person gave it."""

    model: str
    base: str
    input: str
    output: str
    given: bool = False

    @property
    def bare(self) -> str:
        return self.model.partition("/")[2]


CASES = {
    each.model.partition("/")[0]: each
    for each in (
        Case("openai/gpt-4o-mini", "/v1", "0.00000015", "0.0000006"),
        # As a deployment in a data zone costs, which cannot be told from without.
        Case("azure/gpt-4.1-nano", "", "0.00000011", "0.00000044"),
        Case("anthropic/claude-sonnet-4-5", "", "0.000003", "0.000015"),
        Case("bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0", "", "0.0000011", "0.0000055"),
        Case("gemini/gemini-2.5-flash-lite", "/v1beta", "0.0000001", "0.0000004"),
        Case("ollama/llama3.1", "", "0", "0"),
        Case("ollama_chat/gemma-of-mine", "", "0", "0"),
        Case("groq/openai/gpt-oss-20b", "/v1", "0.000000075", "0.0000003"),
        Case("mistral/mistral-small-latest", "/v1", "0.00000015", "0.0000006"),
        Case("deepseek/deepseek-chat", "/v1", "0.00000028", "0.00000042"),
        Case("together_ai/mistralai/Mixtral-8x7B-Instruct-v0.1", "/v1", "0.0000006", "0.0000006"),
        Case("openrouter/openai/gpt-4o", "/v1", "0.0000025", "0.00001", given=True),
        Case("xai/grok-of-mine", "/v1", "0.0000003", "0.0000005", given=True),
        Case("hosted_vllm/served-of-mine", "/v1", "0.0000055", "0.0000000055", given=True),
        Case("lm_studio/local-of-mine", "/v1", "0.0000000055", "0.0000001", given=True),
        Case("vertex_ai/gemini-2.5-flash-lite", "", "0.0000001", "0.0000004"),
        Case("baseten/zai-org/GLM-5", "/v1", "0.00000095", "0.00000315"),
        Case("cerebras/qwen-3-32b", "/v1", "0.0000004", "0.0000008"),
        Case("cognition/swe-1.6", "/v1", "0.0000005", "0.0000025"),
        Case("crusoe/openai/gpt-oss-120b", "/v1", "0.0000008", "0.0000008"),
        Case("darkbloom/gemma-4-26b", "/v1", "0.00000003", "0.000000165"),
        Case("dashscope/glm-5.1", "/v1", "0.0000014", "0.0000044"),
        Case("deepinfra/tencent/Hy3", "/v1", "0.00000014", "0.00000058"),
        Case("fireworks_ai/accounts/fireworks/models/yi-6b", "/v1", "0.0000002", "0.0000002"),
        Case("friendliai/zai-org/GLM-5.3", "/v1", "0.00000126", "0.00000396"),
        Case("gmi/openai/gpt-5", "/v1", "0.00000125", "0.00001"),
        Case("hyperbolic/Qwen/QwQ-32B", "/v1", "0.0000002", "0.0000002"),
        Case("inception/mercury-2", "/v1", "0.00000025", "0.00000075"),
        Case("lambda_ai/lfm-7b", "/v1", "0.000000025", "0.00000004"),
        Case("libertai/qwen3.6-27b", "/v1", "0.00000015", "0.0000005"),
        Case("llamagate/qwen3-8b", "/v1", "0.00000004", "0.00000014"),
        Case("meta/muse-spark-1.1", "/v1", "0.00000125", "0.00000425"),
        Case("minimax/MiniMax-M2", "/v1", "0.0000003", "0.0000012"),
        Case("moonshot/kimi-k3", "/v1", "0.000003", "0.000015"),
        Case("nebius/Qwen/Qwen3-4B", "/v1", "0.00000008", "0.00000024"),
        Case("novita/tencent/hy3", "/v1", "0.00000014", "0.00000058"),
        Case("nscale/Qwen/Qwen2.5-Coder-3B-Instruct", "/v1", "0.00000001", "0.00000003"),
        Case("ovhcloud/Qwen3-32B", "/v1", "0.00000008", "0.00000023"),
        Case("pinstripes/ps/glm-4.5-air", "/v1", "0.000000125", "0.00000045"),
        Case("prism/deepseek-v4-flash", "/v1", "0.00000017", "0.00000021"),
        Case("qwen_ai_platform/glm-5.1", "/v1", "0.0000014", "0.0000044"),
        Case("qwencloud/glm-5.1", "/v1", "0.0000014", "0.0000044"),
        Case("sail/Qwen/Qwen3.6-35B-A3B", "/v1", "0.00000005", "0.0000004"),
        Case("sambanova/DeepSeek-R1", "/v1", "0.000005", "0.000007"),
        Case("scaleway/glm-5.2", "/v1", "0.0000018", "0.0000055"),
        Case("scx-ai/GLM-5.3", "/v1", "0.00000098", "0.00000308"),
        Case("tencent/glm-5.3", "/v1", "0.0000014", "0.0000044"),
        Case("tensormesh/Qwen/Qwen3.6-27B-FP8", "/v1", "0.00000032", "0.0000032"),
        Case("volcengine/doubao-seed-2-1-pro-260628", "/v1", "0.0000008625", "0.0000043125"),
        Case("wandb/zai-org/GLM-5.2", "/v1", "0.00000062", "0.00000242"),
        Case("xiaomi_mimo/mimo-v2.6-pro", "/v1", "0.000000435", "0.00000087"),
        Case("zai/glm-5", "/v1", "0.000001", "0.0000032"),
    )
}

VERTEX_CLAUDE = Case("vertex_ai/claude-haiku-4-5", "", "0.000001", "0.000005")

PRICES = {
    case.bare: {"input": case.input, "output": case.output}
    for case in (*CASES.values(), VERTEX_CLAUDE)
    if case.bare != CLAUDE
}

# OpenRouter states in its replies what it billed.
ROUTES = {CASES["openrouter"].bare: [PRICES[CASES["openrouter"].bare]]}


def root(provider: ProviderProcess) -> str:
    return provider.api_base.removesuffix("/v1")


def reached(case: Case, provider: ProviderProcess) -> dict[str, Any]:
    """How LiteLLM is told where a case's API stands, and by whose key."""
    told: dict[str, Any] = {"api_base": root(provider) + case.base, "api_key": KEY}
    if case.model.startswith("vertex_ai/"):
        told |= {"api_key": service_account(provider), "vertex_location": "global"}
    return told


def service_account(provider: ProviderProcess, **more: str) -> str:
    """A service account of Google's whose tokens the provider gives, as the JSON of its file."""
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "a-project",
            "private_key_id": "1",
            "private_key": _private_key(),
            "client_email": "caller@a-project.iam.gserviceaccount.com",
            "token_uri": f"{root(provider)}/token",
            **more,
        }
    )


@lru_cache(maxsize=1)
def _private_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
