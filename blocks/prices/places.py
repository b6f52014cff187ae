"""Who serves a call, by its host, and what the price list adds to the price there.

OpenAI adds to the price of some models at its regional hosts, and of others at the one for US
government (developers.openai.com/api/docs/guides/your-data, …/docs/pricing), Google at every
endpoint of Vertex AI but the global one (cloud.google.com/vertex-ai/generative-ai/pricing). The
list states the factors.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from prefect_governor.blocks.prices.bedrock import PROVIDER as BEDROCK
from prefect_governor.blocks.prices.bedrock import region_at
from prefect_governor.blocks.prices.charges import amount

# A place that has no factor of its own costs what the dearest one does.
_OPENAI = re.compile(r"^([a-z]{2,})\.api\.openai\.com$")
# Azure's, and Azure Government's (…openai.azure.us).
_AZURE = re.compile(
    r"^[a-z0-9-]+(\.[a-z0-9-]+)?\.(openai|cognitiveservices|services\.ai)\.azure\.(com|us)$"
)
_GOVERNMENT = "openai government"
_VERTEX = re.compile(r"^([a-z0-9-]+-aiplatform|aiplatform\.[a-z0-9-]+\.rep)\.googleapis\.com$")
_VERTEX_GLOBAL = "aiplatform.googleapis.com"
# A path of Vertex AI's names the location that serves it, whatever host stands before it
# (docs.cloud.google.com/vertex-ai/generative-ai/docs/reference/rest).
_LOCATION = re.compile(r"/projects/[^/]+/locations/([a-z0-9-]+)/publishers/")
_ADDED = {
    "regional_processing_uplift_multiplier_eu": "openai/eu",
    "regional_processing_uplift_multiplier_us": "openai/us",
    "fedramp_uplift_multiplier": _GOVERNMENT,
    "regional_endpoint_uplift_multiplier": "vertex",
}

# Reserved: RFC 6761 (localhost), RFC 6762 (local), ICANN's resolution of 2024-07-29 (internal).
_OWN_NAMES = (".local", ".localhost", ".internal")

# Whose prices a host bills, where nothing else says it: its models are named without a provider.
# As LiteLLM knows them, see the test, and of those who embed and rank alone.
_PROVIDERS = {
    "ai-gateway.helicone.ai": "helicone",
    "ai-gateway.vercel.sh": "vercel_ai_gateway",
    "api-inference.modelscope.cn": "modelscope",
    "api.aiand.com": "aiand",
    "api.anthropic.com": "anthropic",
    "api.cerebras.ai": "cerebras",
    "api.clfaigateway.dev": "clf_ai_gateway",
    "api.cognition.ai": "cognition",
    "api.cohere.ai": "cohere_chat",
    "api.cohere.com": "cohere_chat",
    "api.cortecs.ai": "cortecs",
    "api.darkbloom.dev": "darkbloom",
    "api.deepinfra.com": "deepinfra",
    "api.deepseek.com": "deepseek",
    "api.edenai.run": "edenai",
    "api.endpoints.anyscale.com": "anyscale",
    "api.fireworks.ai": "fireworks_ai",
    "api.friendli.ai": "friendliai",
    "api.getnadir.com": "nadir",
    "api.gmi-serving.com": "gmi",
    "api.groq.com": "groq",
    "api.hyperbolic.xyz": "hyperbolic",
    "api.inceptionlabs.ai": "inception",
    "api.inference.crusoecloud.com": "crusoe",
    "api.inference.wandb.ai": "wandb",
    "api.lambda.ai": "lambda_ai",
    "api.jina.ai": "jina_ai",
    "api.libertai.io": "libertai",
    "api.llamagate.dev": "llamagate",
    "api.meta.ai": "meta",
    "api.minimax.io": "minimax",
    "api.mistral.ai": "mistral",
    "api.moonshot.ai": "moonshot",
    "api.novita.ai": "novita",
    "api.openai.com": "openai",
    "api.openinfer.ai": "openinfer",
    "api.perplexity.ai": "perplexity",
    "api.poe.com": "poe",
    "api.prisminference.com": "prism",
    "api.publicai.co": "publicai",
    "api.reka.ai": "reka",
    "api.sailresearch.com": "sail",
    "api.sambanova.ai": "sambanova",
    "api.scaleway.ai": "scaleway",
    "api.scx.ai": "scx-ai",
    "api.stima.tech": "apertis",
    "api.studio.nebius.ai": "nebius",
    "api.synthetic.new": "synthetic",
    "api.together.ai": "together_ai",
    "api.together.xyz": "together_ai",
    "api.v0.dev": "v0",
    "api.voyageai.com": "voyage",
    "api.x.ai": "xai",
    "api.xiaomimimo.com": "xiaomi_mimo",
    "api.z.ai": "zai",
    "app.empower.dev": "empower",
    "ark.cn-beijing.volces.com": "volcengine",
    "codestral.mistral.ai": "codestral",
    "dashscope-intl.aliyuncs.com": "dashscope",
    "dashscope.aliyuncs.com": "dashscope",
    "generativelanguage.googleapis.com": "gemini",
    "gigachat.devices.sberbank.ru": "gigachat",
    "inference.api.nscale.com": "nscale",
    "inference.baseten.co": "baseten",
    "inference.coralbricks.ai": "coralbricks",
    "inference.runanywhere.ai": "wally",
    "integrate.api.nvidia.com": "nvidia_nim",
    "llm.chutes.ai": "chutes",
    "managed-inference-api-proxy.crusoecloud.com": "crusoe",
    "nano-gpt.com": "nano-gpt",
    "oai.endpoints.kepler.ai.cloud.ovh.net": "ovhcloud",
    "openrouter.ai": "openrouter",
    "pinstripes.io": "pinstripes",
    "serverless.tensormesh.ai": "tensormesh",
    "tokenhub-intl.tencentcloudmaas.com": "tencent",
    "vanchin.streamlake.ai": "streamlake",
    "router.huggingface.co": "huggingface",
    # What Ollama serves itself is not free, as one's own machine is.
    "ollama.com": "ollama.com",
}


@lru_cache(maxsize=256)
def provider_at(host: str) -> str | None:
    """The provider that bills what a host serves, by LiteLLM's name; None where it is not known."""
    if _OPENAI.match(host) is not None:
        return "openai"
    if _AZURE.match(host) is not None:
        return "azure"
    if region_at(host) is not None:
        return BEDROCK
    if host == _VERTEX_GLOBAL or _VERTEX.match(host) is not None:
        return "vertex_ai"
    return _PROVIDERS.get(host)


def billed_at(host: str, path: str) -> str:
    """The host whose prices a call has: that of the location that a path of Vertex AI's names,
    else the host that it is sent to."""
    found = _LOCATION.search(path)
    if found is None:
        return host
    return _VERTEX_GLOBAL if found[1] == "global" else f"{found[1]}-{_VERTEX_GLOBAL}"


@lru_cache(maxsize=256)
def is_private(host: str) -> bool:
    """Whether a host is this machine or stands in a network of one's own, by its name alone:
    loopback and private addresses, `localhost`, names without a dot (a neighbour in Docker), and
    those that end in `.local`, `.internal` or `.localhost`, which the public DNS does not have."""
    name = host.strip("[]").rstrip(".").lower()
    try:
        address = ip_address(name)
    except ValueError:
        return bool(name) and ("." not in name or name.endswith(_OWN_NAMES))
    return (
        address.is_loopback
        or address.is_link_local
        or (address.is_private and not address.is_unspecified)
    )


def places_of(entry: Mapping[str, Any]) -> dict[str, Decimal]:
    """The factors that an entry of the price list states, by place."""
    found = {place: amount(entry[key]) for key, place in _ADDED.items() if key in entry}
    return {place: factor for place, factor in found.items() if factor is not None}


def factor_at(places: Mapping[str, Decimal], host: str) -> Decimal:
    """What a price is multiplied by at a host: 1 where nothing is added."""
    if not places:
        return Decimal(1)
    regional = _OPENAI.match(host)
    if regional is not None:
        place = _GOVERNMENT if regional[1] == "gov" else f"openai/{regional[1]}"
        own = places.get(place)
        return own if own is not None else max(_of(places, "openai/"), default=Decimal(1))
    if _VERTEX.match(host) is not None:
        return max(_of(places, "vertex"), default=Decimal(1))
    return Decimal(1)


def _of(places: Mapping[str, Decimal], start: str) -> list[Decimal]:
    return [factor for place, factor in places.items() if place.startswith(start)]
