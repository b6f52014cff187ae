"""How Azure's deployments are reached: an address, a version of the API, a key or a token.

By LiteLLM's names (docs.litellm.ai/docs/providers/azure) of what Azure documents: dated APIs below
`/openai/deployments/NAME`, and the one without dates below `/openai/v1`
(learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle).
"""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx

from prefect_governor.blocks.context.scope import current_scope
from prefect_governor.blocks.errors import CallRefused, ConfigurationError
from prefect_governor.blocks.models.calls import Given, Prepared
from prefect_governor.blocks.models.library.module import litellm
from prefect_governor.blocks.models.openai_clients import Azure, Wanted
from prefect_governor.blocks.prices.deployments import PROVIDER, bare

# The versions that LiteLLM calls so are the API without dates.
UNDATED = frozenset({"v1", "latest", "preview"})
KEYS = ("AZURE_OPENAI_API_KEY", "AZURE_API_KEY")
TOKEN = "AZURE_AD_TOKEN"
BASE, VERSION = "AZURE_API_BASE", "AZURE_API_VERSION"
# What LiteLLM takes between the provider and the deployment, to say which parameters it takes.
_SERIES = ("o_series/", "gpt5_series/")


def for_azure(model: str, given: Given, arguments: dict[str, Any]) -> Prepared:
    """A call of a deployment through OpenAI's client for Azure, or its own for the API without
    dates; `arguments` are LiteLLM's.

    Raises ConfigurationError for a missing address or key, and for what is no deployment's name.
    """
    version = arguments.get("api_version") or litellm().api_version or os.environ.get(VERSION)
    return _prepared(model, given, arguments, version or litellm().AZURE_DEFAULT_API_VERSION)


def for_azure_responses(model: str, given: Given, arguments: dict[str, Any]) -> Prepared:
    """The same for responses, which LiteLLM sends with its own client, to the API without dates
    unless a call names one."""
    version = arguments.get("api_version") or litellm().api_version or "v1"
    call = _prepared(model, given, arguments, version)
    azure = call.wanted.azure
    reached = {
        "azure_ad_token": None if azure is None else azure.token,
        "azure_ad_token_provider": None if azure is None else azure.token_provider,
    }
    # The key and the base go with each request.
    wanted = replace(call.wanted, api_base=None, api_key=None, openai=False, azure=None)
    return replace(call, wanted=wanted, arguments={**call.arguments, **reached})


def _prepared(model: str, given: Given, arguments: dict[str, Any], version: str) -> Prepared:
    """With the key and the address as LiteLLM's arguments too, which asks for them by name."""
    _check_name(model)
    rest = dict(arguments)
    base = given.api_base or litellm().api_base or os.environ.get(BASE)
    if not base:
        raise ConfigurationError(
            f"no address for {model!r}: set {BASE} to the resource's"
            " (https://NAME.openai.azure.com), or give api_base"
        )
    base_model = rest.pop("base_model", None)
    key, token, provider = _credential(model, given.api_key, rest)
    root, undated = _root(base)
    undated = undated or version in UNDATED
    wanted = Wanted(
        PROVIDER, root, key, base_model=base_model,
        azure=Azure(None if undated else str(version), token, provider),
    )  # fmt: skip
    behind = base_model or _base_model(model, root)
    if behind is not None:
        rest["base_model"] = f"{PROVIDER}/{bare(behind)}"
    rest |= {"api_version": "v1" if undated else version, "api_base": root, "api_key": key}
    return Prepared(model, wanted, rest, given.accepted)


def _check_name(model: str) -> None:
    name = model.removeprefix(f"{PROVIDER}/")
    for series in _SERIES:
        name = name.removeprefix(series)
    if not name or "/" in name:
        raise ConfigurationError(
            f"{model!r} names no deployment: write azure/DEPLOYMENT, and where it processes in its"
            " base_model, such as 'azure/eu/gpt-4o-mini'"
        )


def _credential(
    model: str, api_key: str | None, arguments: dict[str, Any]
) -> tuple[str | None, str | None, Callable[[], str] | None]:
    """A key, a token of Entra ID, or what gives one: what the caller gives before what is set."""
    library = litellm()
    token = arguments.pop("azure_ad_token", None)
    provider = arguments.pop("azure_ad_token_provider", None)
    if hasattr(token, "get_secret_value"):
        token = token.get_secret_value()
    if not api_key and (token or provider):
        return None, token, None if token else provider
    key = api_key or library.api_key or library.azure_key or _first(*KEYS)
    token = None if key else os.environ.get(TOKEN)
    if token is not None and token.startswith("oidc/"):
        raise ConfigurationError(
            f"{TOKEN} is no token but says where one is; give azure_ad_token_provider, which is"
            " asked for one at each call"
        )
    if not key and not token:
        raise ConfigurationError(
            f"no key for {model!r}: set {KEYS[-1]} or {TOKEN}, give azure_ad_token_provider, or the"
            " key in the Model block"
        )
    return key, token, None


def _first(*variables: str) -> str | None:
    return next((value for each in variables if (value := os.environ.get(each))), None)


def _root(base: str) -> tuple[str, bool]:
    """The resource's address, and whether it says that the API without dates is meant."""
    root, found, _ = base.partition("/openai/v1")
    if not found:
        root = base.partition("/openai/deployments/")[0]
    return root.rstrip("/"), bool(found)


def _base_model(model: str, root: str) -> str | None:
    """The model behind a deployment's name, where a price of the governor says it: LiteLLM tells
    by it which parameters a deployment takes."""
    here = current_scope.get()
    if here is None:
        return None
    try:
        price = here.governor.price_of(model, host=httpx.URL(root).host)
    except CallRefused:
        return None
    return None if price is None else price.base_model
