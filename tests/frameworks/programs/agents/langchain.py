"""LangChain, whose agents stand on LangGraph: models of OpenAI and Anthropic."""

from tests.frameworks.framework import Framework, Program

PAGE = "https://docs.langchain.com/oss/python/langchain/quickstart"
PACKAGES = ("langchain", "langgraph", "langchain-openai", "langchain-anthropic")

BLOCKING = """
from langchain.agents import create_agent

def get_weather(city: str) -> str:
    \"\"\"Get weather for a given city.\"\"\"
    return f"It's always sunny in {city}!"

agent = create_agent(
    model="claude-sonnet-4-6",
    tools=[get_weather],
    system_prompt="You are a helpful assistant",
)

# Run the agent
with governor:  # governed
agent.invoke(
    {"messages": [{"role": "user", "content": "what is the weather in sf"}]}
)
# end
"""

ASYNC = (
    BLOCKING.replace("from langchain", "import asyncio\nfrom langchain", 1)
    .replace("agent.invoke(", "asyncio.run(agent.ainvoke(")
    .replace("}]}\n)", "}]}\n))")
)
SHORT = {"max_output_tokens": 100, "output_ceiling": True}
WHY = (
    "LangChain asks Claude for all that it can write, so that each call holds the money for that."
    " The governor has `max_output_tokens=100, output_ceiling=True`."
)
HOSTS = {"claude-sonnet-4-6": "api.anthropic.com", "gpt-5.4": "api.openai.com"}

FRAMEWORK = Framework(
    "LangChain, LangGraph",
    "langchain",
    tuple(
        Program(
            f"{'ChatOpenAI' if model.startswith('gpt') else 'ChatAnthropic'}{name}",
            PAGE,
            PACKAGES,
            (host,),
            text.replace("claude-sonnet-4-6", model),
            provider={"tool_calls": 1, "tool_turns": 1},
            # It keeps its asynchronous clients for the process.
            one_loop=bool(name),
            governor={} if model.startswith("gpt") else SHORT,
            notes="" if model.startswith("gpt") else WHY,
        )
        for model, host in HOSTS.items()
        for name, text in (("", BLOCKING), (", async", ASYNC))
    ),
)
