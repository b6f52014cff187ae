"""OpenAI's Agents SDK, with its default model over Responses."""

from tests.frameworks.framework import Framework, Program

HELLO = """
from agents import Agent, Runner

agent = Agent(name="Assistant", instructions="You are a helpful assistant")

with governor:  # governed
result = Runner.run_sync(agent, "Write a haiku about recursion in programming.")
# end
print(result.final_output)
"""

# Its default model.
PRICES = {
    "gpt-5.6-luna": {"input": "0.0000002", "cached_input": "0.00000002", "output": "0.0000012"}
}

FRAMEWORK = Framework(
    "OpenAI Agents SDK",
    "openai-agents",
    (
        Program(
            "hello world",
            "https://github.com/openai/openai-agents-python#run-your-first-agent",
            ("openai-agents",),
            ("api.openai.com",),
            HELLO,
            PRICES,
            # It keeps one client for the process, which belongs to one event loop.
            at_once=1,
        ),
    ),
)
