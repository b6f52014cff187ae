"""smolagents."""

from tests.frameworks.framework import Framework, Program

TOUR = """
from smolagents import CodeAgent, {model}

model = {model}(model_id="{id}")
agent = CodeAgent(tools=[], model=model)

with governor:  # governed
agent.run(
    "Could you give me the 118th number in the Fibonacci sequence?",
)
# end
"""
ANSWER = 'Thought: I know it.\n<code>\nfinal_answer("2046711111473984623691759")\n</code>'

FRAMEWORK = Framework(
    "smolagents",
    "smolagents",
    tuple(
        Program(
            model,
            "https://huggingface.co/docs/smolagents/guided_tour",
            ("smolagents[openai]",),
            ("api.openai.com",),
            TOUR.replace("{model}", model).replace("{id}", name),
            provider={"script": {"": ANSWER}},
        )
        for model, name in (("OpenAIModel", "gpt-4o"), ("LiteLLMModel", "openai/gpt-4o"))
    ),
)
