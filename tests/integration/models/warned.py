"""What LiteLLM warns of, and nobody can help."""

import pytest

# LiteLLM's own models warn as pydantic builds them.
QUIET = pytest.mark.filterwarnings(
    "ignore:Item 'summary' on TypedDict:UserWarning",
    "ignore:Pydantic serializer warnings:UserWarning",
    "ignore:Accessing the 'model_:DeprecationWarning",
)
