"""OpenAI's SDK: responses and chat, both of its majors, Azure's client."""

from tests.frameworks.framework import Framework, Program

PRICES = {"gpt-5.5": {"input": "0.000005", "cached_input": "0.0000005", "output": "0.00003"}}
README = "https://github.com/openai/openai-python#usage"

RESPONSES = """
import os
from openai import OpenAI

client = OpenAI(
    # This is the default and can be omitted
    api_key=os.environ.get("OPENAI_API_KEY"),
    http_client=governor.http_client(),  # governed
)

response = client.responses.create(
    model="gpt-5.5",
    instructions="You are a coding assistant that talks like a pirate.",
    input="How do I check if a Python object is an instance of a class?",
)

print(response.output_text)
"""

CHAT = """
from openai import OpenAI

client = OpenAI()  # plain
client = OpenAI(http_client=governor.http_client())  # governed

completion = client.chat.completions.create(
    model="gpt-5.5",
    messages=[
        {"role": "developer", "content": "Talk like a pirate."},
        {
            "role": "user",
            "content": "How do I check if a Python object is an instance of a class?",
        },
    ],
)

print(completion.choices[0].message.content)
"""

FRAMEWORK = Framework(
    "OpenAI",
    "openai",
    tuple(
        Program(f"{name}, {major}.x", README, (f"openai>={major},<{major + 1}",),
                ("api.openai.com",), text, PRICES)
        for major in (3, 2)
        for name, text in (("responses", RESPONSES), ("chat", CHAT))
    ),
)  # fmt: skip
