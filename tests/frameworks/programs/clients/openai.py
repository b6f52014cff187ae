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

AZURE = """
from openai import AzureOpenAI

# gets the API Key from environment variable AZURE_OPENAI_API_KEY
client = AzureOpenAI(
    # https://learn.microsoft.com/azure/ai-services/openai/reference#rest-api-versioning
    api_version="2023-07-01-preview",
    # https://learn.microsoft.com/azure/cognitive-services/openai/how-to/create-resource?pivots=web-portal#create-a-resource
    azure_endpoint="https://example-endpoint.openai.azure.com",
    http_client=governor.http_client(),  # governed
)

completion = client.chat.completions.create(
    model="deployment-name",  # e.g. gpt-35-instant
    messages=[
        {
            "role": "user",
            "content": "How do I output all files in a directory using Python?",
        },
    ],
)
print(completion.to_json())
"""

# A data zone's price, which is the dearest of gpt-4o-mini's.
DEPLOYMENT = {
    "model": "gpt-4o-mini-2024-07-18",
    "price": {"input": "0.000000165", "cached_input": "0.000000083", "output": "0.00000066"},
}

FRAMEWORK = Framework(
    "OpenAI",
    "openai",
    (*(
        Program(f"{name}, {major}.x", README, (f"openai>={major},<{major + 1}",),
                ("api.openai.com",), text, PRICES)
        for major in (3, 2)
        for name, text in (("responses", RESPONSES), ("chat", CHAT))
    ), Program(
            "Azure", "https://github.com/openai/openai-python#microsoft-azure-openai", ("openai",),
            ("example-endpoint.openai.azure.com",), AZURE,
            provider={"deployments": {"deployment-name": DEPLOYMENT}},
            governor={"prices": {"azure/deployment-name": {"base_model": "azure/gpt-4o-mini"}}},
            notes="The governor's `prices` say which model is behind a deployment:"
            ' `{"azure/deployment-name": {"base_model": "azure/gpt-4o-mini"}}`.',
    )),
)  # fmt: skip
