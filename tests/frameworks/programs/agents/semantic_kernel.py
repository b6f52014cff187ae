"""Semantic Kernel."""

from tests.frameworks.framework import Framework, Program

PROMPT = """
import asyncio
from semantic_kernel import Kernel
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from semantic_kernel.functions import KernelArguments

kernel = Kernel()
kernel.add_service(OpenAIChatCompletion())

prompt = '''
1) A robot may not injure a human being...
2) A robot must obey orders given it by human beings...
3) A robot must protect its own existence...

Give me the TLDR in exactly {{$num_words}} words.'''


async def main():
    result = await kernel.invoke_prompt(prompt, arguments=KernelArguments(num_words=5))
    print(result)


with governor:  # governed
asyncio.run(main())
# end
# Output: Protect humans, obey, self-preserve, prioritized.
"""

FRAMEWORK = Framework(
    "Semantic Kernel",
    "semantic-kernel",
    (
        Program(
            "prompt",
            "https://github.com/microsoft/semantic-kernel/tree/main/python",
            ("semantic-kernel",),
            ("api.openai.com",),
            PROMPT,
            environment={"OPENAI_CHAT_MODEL_ID": "gpt-4o-mini"},
        ),
    ),
)
