"""The providers of the tested list: a model of each, and what the provider bills for it."""

from dataclasses import dataclass
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
        Case("anthropic/claude-sonnet-4-5", "", "0.000003", "0.000015"),
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
    )
}

PRICES = {
    case.bare: {"input": case.input, "output": case.output}
    for case in CASES.values()
    if case.bare != CLAUDE
}

# OpenRouter states in its replies what it billed.
ROUTES = {CASES["openrouter"].bare: [PRICES[CASES["openrouter"].bare]]}


def root(provider: ProviderProcess) -> str:
    return provider.api_base.removesuffix("/v1")
