"""How a model is asked for an answer of a shape: by its provider's structured output, by a tool
that it must call, or in words alone."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from prefect_governor.blocks.models.library.module import litellm
from prefect_governor.blocks.models.providers import OPENAI_CLIENT
from prefect_governor.blocks.prices.deployments import PROVIDER as AZURE

AnswerBy = Literal["schema", "tool", "words"]

# Servers of one's own: each holds any model to a schema by its grammar.
_OF_ONES_OWN = frozenset(("ollama", "ollama_chat", "lm_studio", "hosted_vllm", "llamafile"))
# LiteLLM sends their `response_format` on as it is; for others it makes of it what they have.
_AS_IT_IS = (OPENAI_CLIENT | {AZURE}) - _OF_ONES_OWN
TOOL = "answer"


@lru_cache(maxsize=256)
def answer_by(model: str) -> AnswerBy:
    """What a model has, by LiteLLM's map of models (`supports_response_schema`) and its providers'
    supported parameters. A model that the map does not know (a deployment, a fine-tuned one, one
    behind a gateway) is taken to have what its provider has."""
    library = litellm()
    try:
        _, provider, _, _ = library.get_llm_provider(model=model)
        takes = library.get_supported_openai_params(model=model) or ()
    except Exception:
        return "schema"
    known: Mapping[str, Any] | None = library.model_cost.get(model)
    if known is None:
        known = library.model_cost.get(model.partition("/")[2])
    lacking = known is not None and not known.get("supports_response_schema")
    if "response_format" in takes and not (lacking and provider in _AS_IT_IS):
        return "schema"
    return "tool" if "tools" in takes and "tool_choice" in takes else "words"


def shaped(model: str, options: dict[str, Any]) -> dict[str, Any]:
    """LiteLLM's options with the `response_format` that they ask for as this model has it.

    A model that has none is asked for a call of one tool, whose arguments are the answer
    (`told`); where it has tools of its own to call, or none at all, the words of its prompt must
    do.
    """
    wanted = options.get("response_format")
    if wanted is None or (by := answer_by(model)) == "schema":
        return options
    rest = {name: value for name, value in options.items() if name != "response_format"}
    schema = wanted.get("json_schema", {}).get("schema")
    # A tool's arguments are an object.
    if by == "words" or "tools" in rest or schema is None or schema.get("type") != "object":
        return rest
    function = {"name": TOOL, "description": "Gives the answer.", "parameters": schema}
    return {
        **rest,
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": TOOL}},
    }


def told(calls: tuple[tuple[str, str, str], ...], options: Mapping[str, Any]) -> str | None:
    """The answer that a model gave by calling the tool of `shaped`, None where it has not: calls
    are (id, name, arguments as JSON text)."""
    choice = options.get("tool_choice")
    if not isinstance(choice, Mapping) or choice.get("function", {}).get("name") != TOOL:
        return None
    # Of several, whoever reads them says that they are.
    return "\n".join(arguments for _, name, arguments in calls if name == TOOL) or None
