"""Mistral's SDK."""

from tests.frameworks.framework import Framework, Program

PAGE = "https://github.com/mistralai/client-python#sdk-example-usage"
PRICES = {"mistral-large-latest": {"input": "0.0000005", "output": "0.0000015"}}

BLOCKING = """
# Synchronous Example
from mistralai.client import Mistral
import os


with Mistral(
    api_key=os.getenv("MISTRAL_API_KEY", ""),
    client=governor.http_client(),  # governed
) as mistral:

    res = mistral.chat.complete(model="mistral-large-latest", messages=[
        {
            "role": "user",
            "content": "Who is the best French painter? Answer in one short sentence.",
        },
    ], stream=False, response_format={
        "type": "text",
    })

    # Handle response
    print(res)
"""

ASYNC = """
# Asynchronous Example
import asyncio
from mistralai.client import Mistral
import os

async def main():

    async with Mistral(
        api_key=os.getenv("MISTRAL_API_KEY", ""),
        async_client=governor.async_http_client(),  # governed
    ) as mistral:

        res = await mistral.chat.complete_async(model="mistral-large-latest", messages=[
            {
                "role": "user",
                "content": "Who is the best French painter? Answer in one short sentence.",
            },
        ], stream=False, response_format={
            "type": "text",
        })

        # Handle response
        print(res)

asyncio.run(main())
"""

FRAMEWORK = Framework(
    "Mistral",
    "mistralai",
    (
        Program("chat", PAGE, ("mistralai",), ("api.mistral.ai",), BLOCKING, PRICES),
        Program("chat, async", PAGE, ("mistralai",), ("api.mistral.ai",), ASYNC, PRICES),
    ),
)
