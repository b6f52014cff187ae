"""Google's Gen AI SDK, blocking and `.aio`."""

from tests.frameworks.framework import Framework, Program

PAGE = "https://googleapis.github.io/python-genai/"
PRICES = {"gemini-3.8-flash": {"input": "0.00000075", "output": "0.00000375"}}

BLOCKING = """
from google import genai
from google.genai import types

client = genai.Client()  # plain
client = genai.Client(http_options={"httpx_client": governor.http_client()})  # governed

response = client.models.generate_content(
    model='gemini-3.8-flash',
    contents=types.Part.from_text(text='Why is the sky blue?')
)
print(response.text)
"""

ASYNC = """
import asyncio
from google import genai

client = genai.Client()  # plain
client = genai.Client(http_options={"httpx_async_client": governor.async_http_client()})  # governed


async def main():
    response = await client.aio.models.generate_content(
        model='gemini-3.8-flash', contents='Tell me a story in 300 words.'
    )
    print(response.text)


asyncio.run(main())
"""

HOSTS = ("generativelanguage.googleapis.com",)
FRAMEWORK = Framework(
    "Google Gen AI",
    "google-genai",
    (
        Program("generate_content", PAGE, ("google-genai",), HOSTS, BLOCKING, PRICES),
        Program("generate_content, .aio", PAGE, ("google-genai",), HOSTS, ASYNC, PRICES),
    ),
)
