"""LlamaIndex: its starter's agent, which streams, and a completion."""

from tests.frameworks.framework import Framework, Program

STARTER = """
import asyncio
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai import OpenAI


# Define a simple calculator tool
def multiply(a: float, b: float) -> float:
    '''Useful for multiplying two numbers.'''
    return a * b


# Create an agent workflow with our calculator tool
agent = FunctionAgent(
    tools=[multiply],
    llm=OpenAI(model="gpt-4o-mini"),
    system_prompt="You are a helpful assistant that can multiply two numbers.",
)


async def main():
    # Run the agent
    response = await agent.run("What is 1234 * 4567?")
    print(str(response))


# Run the agent
with governor:  # governed
asyncio.run(main())
# end
"""

COMPLETE = """
from llama_index.llms.openai import OpenAI

with governor:  # governed
resp = OpenAI().complete("Paul Graham is ")
# end
print(resp)
"""

PACKAGES = ("llama-index",)
FRAMEWORK = Framework(
    "LlamaIndex",
    "llama-index-core",
    (
        Program(
            "agent",
            "https://developers.llamaindex.ai/python/framework/getting_started/starter_example/",
            PACKAGES,
            ("api.openai.com",),
            STARTER,
            provider={"tool_calls": 1},
        ),
        Program(
            "complete",
            "https://developers.llamaindex.ai/python/framework/integrations/llm/openai/",
            PACKAGES,
            ("api.openai.com",),
            COMPLETE,
        ),
    ),
)
