"""What all documents have in common: how Prefect knows their kind, and what people call it."""

from typing import ClassVar

from pydantic import BaseModel, HttpUrl

DOCUMENTATION_URL = HttpUrl("https://github.com/prefect-governor/prefect-governor#readme")


class DocumentTerms(BaseModel):
    """What a document of one kind says; the Block of that kind inherits from it.

    Attributes:
        block_type_name: what Prefect's UI calls the kind.
        block_type_slug: what Prefect's API knows the kind by.
        block_class: the Block's name in Python.
    """

    block_type_name: ClassVar[str]
    block_type_slug: ClassVar[str]
    block_class: ClassVar[str]
