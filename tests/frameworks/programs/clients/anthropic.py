"""Anthropic's SDK, which stands on httpx2."""

from tests.frameworks.framework import Framework, Program

PAGE = "https://github.com/anthropics/anthropic-sdk-python#getting-started"
PRICES = {
    "claude-opus-5-5": {
        "input": "0.000004",
        "cached_input": "0.0000002",
        "cache_write": "0.000005",
        "cache_write_long": "0.000008",
        "output": "0.00002",
    }
}

BLOCKING = """
import os
from anthropic import Anthropic

client = Anthropic(
    api_key=os.environ.get("ANTHROPIC_API_KEY"),  # This is the default and can be omitted
    http_client=governor.http_client("httpx2"),  # governed
)

message = client.messages.create(
    max_tokens=1024,
    messages=[
        {
            "role": "user",
            "content": "Hello, Claude",
        }
    ],
    model="claude-opus-5-5",
)
print(message.content)
"""

ASYNC = """
import os
import asyncio
from anthropic import AsyncAnthropic

client = AsyncAnthropic(
    api_key=os.environ.get("ANTHROPIC_API_KEY"),  # This is the default and can be omitted
    http_client=governor.async_http_client("httpx2"),  # governed
)


async def main() -> None:
    message = await client.messages.create(
        max_tokens=1024,
        messages=[
            {
                "role": "user",
                "content": "Hello, Claude",
            }
        ],
        model="claude-opus-5-5",
    )
    print(message.content)


asyncio.run(main())
"""

FRAMEWORK = Framework(
    "Anthropic",
    "anthropic",
    (
        Program("messages", PAGE, ("anthropic",), ("api.anthropic.com",), BLOCKING, PRICES),
        Program("messages, async", PAGE, ("anthropic",), ("api.anthropic.com",), ASYNC, PRICES),
    ),
)
