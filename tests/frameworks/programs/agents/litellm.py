"""LiteLLM by itself: completion, acompletion, Router."""

from tests.frameworks.framework import Framework, Program

COMPLETION = """
from litellm import completion
import os

os.environ["OPENAI_API_KEY"] = "your-openai-key"

# OpenAI
with governor:  # governed
response = completion(model="openai/gpt-4o", messages=[{"role": "user", "content": "Hello!"}])
# end
print(response.choices[0].message.content)
"""

ASYNC = """
from litellm import acompletion
import asyncio

async def test_get_response():
    user_message = "Hello, how are you?"
    messages = [{"content": user_message, "role": "user"}]
    response = await acompletion(model="anthropic/claude-sonnet-4-6", messages=messages)
    return response

with governor:  # governed
response = asyncio.run(test_get_response())
# end
print(response)
"""

ROUTER = """
import asyncio
from litellm import Router

model_list = [{ # list of model deployments
    "model_name": "gpt-4o", # model alias -> loadbalance between models with same `model_name`
    "litellm_params": { # params for litellm completion/embedding call
        "model": "openai/gpt-4o-mini", # actual model name
    }
}, {
    "model_name": "gpt-4o",
    "litellm_params": {
        "model": "openai/gpt-4o-mini",
    }
}]

router = Router(model_list=model_list)

# openai.ChatCompletion.create replacement
# requests with model="gpt-4o" will pick a deployment where model_name="gpt-4o"
async def main():
    return await router.acompletion(
        model="gpt-4o", messages=[{"role": "user", "content": "Hey, how's it going?"}]
    )

with governor:  # governed
response = asyncio.run(main())
# end

print(response)
"""

FRAMEWORK = Framework(
    "LiteLLM",
    "litellm",
    (
        Program(
            "completion",
            "https://docs.litellm.ai/docs/",
            ("litellm",),
            ("api.openai.com",),
            COMPLETION,
        ),
        Program(
            "acompletion",
            "https://docs.litellm.ai/docs/completion/stream#async-completion",
            ("litellm",),
            ("api.anthropic.com",),
            ASYNC,
            governor={"max_output_tokens": 100, "output_ceiling": True},
            notes=(
                "LiteLLM asks Claude for all that it can write, so that each call holds the money"
                " for that. The governor has `max_output_tokens=100, output_ceiling=True`."
            ),
        ),
        Program(
            "Router",
            "https://docs.litellm.ai/docs/routing",
            ("litellm",),
            ("api.openai.com",),
            ROUTER,
        ),
    ),
)
