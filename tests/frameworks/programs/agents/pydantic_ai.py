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
            governor={"max_output_tokens": 1024, "output_ceiling": True},
            notes=(
                "pydantic-ai asks Claude for all that it can write, 128,000 tokens, so that each"
                " call holds the money for them. The governor has `max_output_tokens=1024,"
                " output_ceiling=True`."
            ),
        ),
        Program("OpenAI", PAGE, ("pydantic-ai",), ("api.openai.com",), OPENAI),
    ),
)
