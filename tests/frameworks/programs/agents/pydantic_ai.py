"""pydantic-ai."""

from tests.frameworks.framework import Framework, Program

PAGE = "https://pydantic.dev/docs/ai/overview/#hello-world-example"

HELLO = """
from pydantic_ai import Agent

agent = Agent(
    'anthropic:claude-sonnet-4-6',
    instructions='Be concise, reply with one sentence.',
)

with governor:  # governed
result = agent.run_sync('Where does "hello world" come from?')
# end
print(result.output)
"""

OPENAI = HELLO.replace("anthropic:claude-sonnet-4-6", "openai:gpt-5.4")

DURABLE = """
import asyncio

from pydantic_ai import Agent
from pydantic_ai.durable_exec.prefect import PrefectAgent

agent = Agent(
    'openai:gpt-5.4',
    instructions="You're an expert in geography.",
    name='geography',  # the agent's name is used to uniquely identify its flows and tasks
)

prefect_agent = PrefectAgent(agent)


async def main():
    result = await prefect_agent.run('What is the capital of Mexico?')
    print(result.output)


with governor:  # governed
asyncio.run(main())
# end
"""

FRAMEWORK = Framework(
    "pydantic-ai",
    "pydantic-ai",
    (
        Program(
            "Anthropic",
            PAGE,
            ("pydantic-ai",),
            ("api.anthropic.com",),
            HELLO,
            governor={"max_output_tokens": 100, "output_ceiling": True},
            notes=(
                "pydantic-ai asks Claude for all that it can write, 128,000 tokens, so that each"
                " call holds the money for them. The governor has `max_output_tokens=100,"
                " output_ceiling=True`."
            ),
        ),
        Program("OpenAI", PAGE, ("pydantic-ai",), ("api.openai.com",), OPENAI),
        Program(
            "durable, PrefectAgent",
            "https://pydantic.dev/docs/ai/integrations/durable_execution/prefect/",
            ("pydantic-ai",),
            ("api.openai.com",),
            DURABLE,
            # A slow machine takes its time to start Prefect's server.
            environment={"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "200"},
            calls=100,
            notes=(
                "The agent's flow and tasks run in the scope that it is called in. Measured with"
                " 100 calls on money for 50: each is a flow run of Prefect's."
            ),
        ),
    ),
)
