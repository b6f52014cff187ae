"""How sources are read: what is said of them where they do not say it themselves."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.items.encodings.names import check_encoding


class Reading(BaseModel):
    """How the files of a run are read. Travels as JSON, as a parameter of the flow.

    Attributes:
        encoding: of every text file, such as "cp1252". Default: what the file declares, UTF-8, or
            a guess that is noted.
        delimiter: between the fields of a table. Default: told from its rows.
        text_column: the column that is a row's text. Default: `text` or `content`, else all.
        key_column: the column that names a row. Default: `key` or `id`, else the row's place.
        as_: a data file as one "text", or its "rows" as items. Default: by its name.
        skip_bad_rows: leave out rows that cannot be read, by name, in place of refusing the file.
        gitignore: leave out, by name, what the `.gitignore` files of a folder name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoding: str | None = None
    delimiter: str | None = None
    text_column: str | None = None
    key_column: str | None = None
    as_: Literal["text", "rows"] | None = Field(
        default=None, validation_alias=AliasChoices("as", "as_"), serialization_alias="as"
    )
    skip_bad_rows: bool = False
    gitignore: bool = True


# Where nothing is said.
AS_IT_IS = Reading()


def reading_of(given: Any) -> Reading:
    """A Reading of what a caller gave: one, a mapping of its fields, or None for the defaults.

    Raises ConfigurationError for anything else, and for an encoding that there is not.
    """
    if isinstance(given, Reading):
        return _checked(given)
    if given is not None and not isinstance(given, Mapping):
        raise ConfigurationError(
            f"reading is an object of fields ({_fields()}), not a {type(given).__name__}"
        )
    try:
        made = Reading.model_validate(dict(given or {}))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(
            f"reading: {name}: {first['msg']}; its fields are {_fields()}"
        ) from None
    return _checked(made)


def _checked(reading: Reading) -> Reading:
    if reading.encoding is not None:
        check_encoding(reading.encoding)
    return reading


def _fields() -> str:
    return ", ".join(name.rstrip("_") for name in Reading.model_fields)
