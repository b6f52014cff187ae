"""AutoGen, and AG2, which came of it."""

from tests.frameworks.framework import Framework, Program

AUTOGEN = """
import asyncio
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

async def main() -> None:
    model_client = OpenAIChatCompletionClient(model="gpt-4.1")
    agent = AssistantAgent("assistant", model_client=model_client)
    print(await agent.run(task="Say 'Hello World!'"))
    await model_client.close()

with governor:  # governed
asyncio.run(main())
# end
"""

AG2 = """
import asyncio

from ag2 import Agent
from ag2.config import OpenAIConfig

agent = Agent(
    "assistant",
    prompt="You are a helpful assistant.",
    config=OpenAIConfig(model="gpt-4o-mini"),
)


async def main() -> None:
    reply = await agent.ask("Summarize the main differences between Python lists and tuples.")
    print(reply.body)


with governor:  # governed
asyncio.run(main())
# end
"""

FRAMEWORK = Framework(
    "AutoGen, AG2",
    "",
    (
        Program(
            "AutoGen",
            "https://microsoft.github.io/autogen/stable/",
            ("autogen-agentchat", "autogen-ext[openai]"),
            ("api.openai.com",),
            AUTOGEN,
            package="autogen-agentchat",
        ),
        Program(
            "AG2",
            "https://github.com/ag2ai/ag2#getting-started",
            ("ag2[openai]",),
            ("api.openai.com",),
            AG2,
            package="ag2",
        ),
    ),
)
