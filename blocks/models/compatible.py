"""Providers that LiteLLM reaches by OpenAI's own client, each at its own address: in OpenAI's chat
dialect, with a key of their own.

Of those whom LiteLLM knows to speak so (`litellm.openai_compatible_providers` and its list of
providers in JSON) all who sell models of their own hosts at a price that its map has. Gateways
that send a call on to somebody dearer are not among them: no price of the map bounds those.
"""

from collections.abc import Mapping

# The variable that LiteLLM reads the key of each from, by the prefix of its model names.
COMPATIBLE: Mapping[str, str] = {
    "baseten": "BASETEN_API_KEY",
    "cerebras": "CEREBRAS_API_KEY",
    "cognition": "COGNITION_API_KEY",
    "crusoe": "CRUSOE_API_KEY",
    "darkbloom": "DARKBLOOM_API_KEY",
    "dashscope": "DASHSCOPE_API_KEY",
    "deepinfra": "DEEPINFRA_API_KEY",
    "friendliai": "FRIENDLIAI_API_KEY",
    "gmi": "GMI_API_KEY",
    "hyperbolic": "HYPERBOLIC_API_KEY",
    "inception": "INCEPTION_API_KEY",
    "lambda_ai": "LAMBDA_API_KEY",
    "libertai": "LIBERTAI_API_KEY",
    "llamagate": "LLAMAGATE_API_KEY",
    "meta": "META_API_KEY",
    "moonshot": "MOONSHOT_API_KEY",
    "nebius": "NEBIUS_API_KEY",
    "novita": "NOVITA_API_KEY",
    "nscale": "NSCALE_API_KEY",
    "pinstripes": "PINSTRIPES_API_KEY",
    "prism": "PRISM_API_KEY",
    "qwen_ai_platform": "QWEN_AI_PLATFORM_API_KEY",
    "qwencloud": "QWENCLOUD_API_KEY",
    "sail": "SAIL_API_KEY",
    "sambanova": "SAMBANOVA_API_KEY",
    "scaleway": "SCW_SECRET_KEY",
    "scx-ai": "SCX_API_KEY",
    "tencent": "TENCENT_API_KEY",
    "tensormesh": "TENSORMESH_INFERENCE_API_KEY",
    "volcengine": "VOLCENGINE_API_KEY",
    "wandb": "WANDB_API_KEY",
    "xiaomi_mimo": "XIAOMI_MIMO_API_KEY",
    "zai": "ZAI_API_KEY",
}
# Others that LiteLLM reads a key from, where that one is not set.
OTHER_KEY_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "fireworks_ai": ("FIREWORKS_AI_API_KEY", "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN"),
    "friendliai": ("FRIENDLI_TOKEN",),
    "qwen_ai_platform": ("DASHSCOPE_API_KEY",),
    "qwencloud": ("DASHSCOPE_API_KEY",),
}
