"""What Prefect adds to the schema of a Block, from which the UI makes its form."""

from typing import Any

# An object without them is one with fields of its own.
REFERENCES = "block_schema_references"
OF_BLOCKS = ("block_type_slug", REFERENCES, "secret_fields")


def without_references(schema: dict[str, Any], model: type[Any]) -> None:
    """For `json_schema_extra` of a Block: Prefect's own, but for its references to other Blocks.

    The form of the UI saves what it refers to as a copy, and neither shows nor keeps a value that
    is part of the Block: its fields stand in the form.
    """
    from prefect.blocks.core import Block

    extra: Any = Block.model_config.get("json_schema_extra")
    if extra is not None:
        extra(schema, model)
    schema[REFERENCES] = {}
