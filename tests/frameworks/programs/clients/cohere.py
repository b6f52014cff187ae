"""Cohere's SDK."""

from tests.frameworks.framework import Framework, Program

PAGE = "https://github.com/cohere-ai/cohere-python#usage"
PRICES = {"command-r-plus-08-2024": {"input": "0.0000025", "output": "0.00001"}}

BLOCKING = """
import cohere

co = cohere.ClientV2()  # plain
co = cohere.ClientV2(httpx_client=governor.http_client())  # governed

response = co.chat(
    model="command-r-plus-08-2024",
    messages=[{"role": "user", "content": "hello world!"}],
)

print(response)
"""

STREAM = """
import cohere

co = cohere.ClientV2()  # plain
co = cohere.ClientV2(httpx_client=governor.http_client())  # governed

response = co.chat_stream(
    model="command-r-plus-08-2024",
    messages=[{"role": "user", "content": "hello world!"}],
)

for event in response:
    if event.type == "content-delta":
        print(event.delta.message.content.text, end="")
"""

FRAMEWORK = Framework(
    "Cohere",
    "cohere",
    (
        Program("chat", PAGE, ("cohere",), ("api.cohere.com",), BLOCKING, PRICES),
        Program(
            "chat, streamed",
            PAGE,
            ("cohere",),
            ("api.cohere.com",),
            STREAM,
            PRICES,
            governor={"max_output_tokens": 100},
            notes=(
                "A stream holds the money for its whole limit, which is not lowered as money runs"
                " low. The governor has `max_output_tokens=100`."
            ),
        ),
    ),
)
