"""What all documents have in common: how Prefect knows their kind, and what people call it."""

from typing import ClassVar

from pydantic import BaseModel, HttpUrl, SecretStr, model_validator
from typing_extensions import Self

from prefect_governor.blocks.secrets.exits import learn_named

DOCUMENTATION_URL = HttpUrl("https://github.com/prefect-governor/prefect-governor#readme")

# For the description of a kind, which the UI shows beside its form.
TOLD_WHERE_WRONG = (
    "What is not valid is told by `prefect-governor doctor`, and while calls are made by"
    " `prefect-governor.budget.document-invalid`."
)


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

    @model_validator(mode="after")
    def _known(self) -> Self:
        """Its secrets are known from now on, and leave this process nowhere."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        held = {
            # An address has a password; all else that is a secret is one by whatever name.
            f"{name}_secret": value.get_secret_value()
            for name, value in fields.items()
            if isinstance(value, SecretStr)
        }
        if held:
            learn_named(held)
        return self
