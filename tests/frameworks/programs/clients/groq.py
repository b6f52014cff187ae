"""Groq's SDK."""

from tests.frameworks.framework import Framework, Program

PAGE = "https://github.com/groq/groq-python#usage"
PRICES = {"openai/gpt-oss-20b": {"input": "0.000000075", "output": "0.0000003"}}

BLOCKING = """
import os
from groq import Groq

client = Groq(
    api_key=os.environ.get("GROQ_API_KEY"),  # This is the default and can be omitted
    http_client=governor.http_client(),  # governed
)

chat_completion = client.chat.completions.create(
    messages=[
        {
            "role": "user",
            "content": "Explain the importance of low latency LLMs",
        }
    ],
    model="openai/gpt-oss-20b",
)
print(chat_completion.choices[0].message.content)
"""

ASYNC = """
import os
import asyncio
from groq import AsyncGroq

client = AsyncGroq(
    api_key=os.environ.get("GROQ_API_KEY"),  # This is the default and can be omitted
    http_client=governor.async_http_client(),  # governed
)


async def main() -> None:
    chat_completion = await client.chat.completions.create(
        messages=[
            {
                "role": "user",
                "content": "Explain the importance of low latency LLMs",
            }
        ],
        model="openai/gpt-oss-20b",
    )
    print(chat_completion.choices[0].message.content)


asyncio.run(main())
"""

FRAMEWORK = Framework(
    "Groq",
    "groq",
    (
        Program("chat", PAGE, ("groq",), ("api.groq.com",), BLOCKING, PRICES),
        Program("chat, async", PAGE, ("groq",), ("api.groq.com",), ASYNC, PRICES),
    ),
)
