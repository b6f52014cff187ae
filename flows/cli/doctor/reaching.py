"""Whether a model can be reached and its key is taken, by a question that costs nothing: which
models there are."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from prefect_governor.blocks.models.choice import ModelChoice
from prefect_governor.flows.cli.doctor.finding import Mark

# How long is waited for one answer, in seconds.
TIMEOUT_SECONDS = 5.0
_REFUSED = (401, 403)


@dataclass(frozen=True)
class Question:
    """A GET that no provider bills. `base` is the provider's own address, `path` is put behind it
    or behind the one that is given; `header` has the key, after `scheme`."""

    base: str
    path: str = "/models"
    header: str = "Authorization"
    scheme: str = "Bearer "
    more: Mapping[str, str] | None = None


# By the prefix of LiteLLM's names. Each lists the models, as its provider's reference has it:
# https://platform.openai.com/docs/api-reference/models/list,
# https://docs.anthropic.com/en/api/models-list, https://ai.google.dev/api/models,
# https://openrouter.ai/docs/api-reference/limits (which lists what the key may do),
# https://github.com/ollama/ollama/blob/main/docs/api.md#list-local-models.
QUESTIONS = {
    "openai": Question("https://api.openai.com/v1"),
    "anthropic": Question(
        "https://api.anthropic.com",
        "/v1/models",
        "x-api-key",
        "",
        {"anthropic-version": "2023-06-01"},
    ),
    "gemini": Question(
        "https://generativelanguage.googleapis.com", "/v1beta/models", "x-goog-api-key", ""
    ),
    "groq": Question("https://api.groq.com/openai/v1"),
    "mistral": Question("https://api.mistral.ai/v1"),
    "deepseek": Question("https://api.deepseek.com"),
    "xai": Question("https://api.x.ai/v1"),
    "together_ai": Question("https://api.together.xyz/v1"),
    "openrouter": Question("https://openrouter.ai/api/v1", "/key"),
    "ollama": Question("http://localhost:11434", "/api/tags"),
    "ollama_chat": Question("http://localhost:11434", "/api/tags"),
    "lm_studio": Question(""),
    "hosted_vllm": Question(""),
}


@dataclass(frozen=True)
class Reached:
    """What came of it."""

    mark: Mark
    text: str
    todo: str | None = None
    command: str | None = None


def reach(choice: ModelChoice) -> Reached:
    """Ask for the models where a choice's first one is. Shows no key. Raises nothing."""
    provider = choice.provider_of(choice.name)
    question = QUESTIONS.get(provider)
    base = choice.reached_at(choice.name) or (question.base if question else "")
    key, variable = choice.key_of(choice.name)
    held = "no key is needed" if key is None else f"its key is there ({variable})"
    if question is None or not base:
        return Reached("ok", f"{held}; no question to it is free, so it was not asked")
    where = urlsplit(base).hostname or base
    headers = dict(question.more or {})
    if key is not None:
        headers[question.header] = f"{question.scheme}{key.get_secret_value()}"
    try:
        response = httpx.get(
            base.rstrip("/") + question.path, headers=headers, timeout=TIMEOUT_SECONDS
        )
    except httpx.TimeoutException:
        return _unreached(where, held, f"did not answer within {TIMEOUT_SECONDS:g} s")
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return _unreached(where, held, f"cannot be reached: {error}")
    if response.status_code in _REFUSED:
        return Reached(
            "fail",
            f"{where} refuses the key ({response.status_code}, {variable})",
            "give a key that it takes",
            f"export {variable}=…" if variable and variable.isupper() else None,
        )
    if response.status_code >= 500:
        return Reached("warn", f"{held}; {where} answers {response.status_code}", "try again later")
    return Reached("ok", f"{held}; {where} answers")


def _unreached(where: str, held: str, why: str) -> Reached:
    return Reached(
        "fail",
        f"{held}; {where} {why}",
        "check the address, and what stands between (a proxy, a firewall)",
        f"curl -sS -m {TIMEOUT_SECONDS:g} -o /dev/null {where}",
    )
