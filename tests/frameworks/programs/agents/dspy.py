"""DSPy."""

from tests.frameworks.framework import Framework, Program

MATH = """
import dspy
lm = dspy.LM("openai/gpt-5-mini", api_key="YOUR_OPENAI_API_KEY")
dspy.configure(lm=lm)

math = dspy.ChainOfThought("question -> answer: float")
with governor:  # governed
print(math(question="Two dice are tossed. What is the probability that the sum equals two?"))
# end
"""

ANSWER = """[[ ## reasoning ## ]]
One of 36 throws.

[[ ## answer ## ]]
0.0277776

[[ ## completed ## ]]"""

FRAMEWORK = Framework(
    "DSPy",
    "dspy",
    (
        Program(
            "ChainOfThought",
            "https://dspy.ai/",
            ("dspy",),
            ("api.openai.com",),
            MATH,
            provider={"script": {"": ANSWER}},
            varies="Two dice are tossed",
            at_once=1,
        ),
    ),
)
