"""instructor."""

from tests.frameworks.framework import Framework, Program

USER = """
import instructor
from pydantic import BaseModel


# Define what you want
class User(BaseModel):
    name: str
    age: int


# Extract it from natural language
client = instructor.from_provider("openai/gpt-4o-mini")
with governor:  # governed
user = client.chat.completions.create(
    response_model=User,
    messages=[{"role": "user", "content": "John is 25 years old"}],
)
# end

print(user)  # User(name='John', age=25)
"""

FRAMEWORK = Framework(
    "instructor",
    "instructor",
    (
        Program(
            "from_provider",
            "https://github.com/567-labs/instructor#instructor-structured-outputs-for-llms",
            ("instructor",),
            ("api.openai.com",),
            USER,
        ),
    ),
)
