"""A request's fields against the tables of its family: known, refused by name, or let pass because
the caller says so. Pure."""

from collections.abc import Collection, Mapping
from typing import Any

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.records.accepted import Accepted


def check_fields(
    fields: Mapping[str, Any],
    known: Collection[str],
    refused: Mapping[str, str],
    accepted: Accepted,
    *,
    within: str = "",
) -> None:
    """Raises NotBounded for a field that costs beside the tokens, by what it says why, and for one
    that nobody here knows, unless the caller accepts it. `within` is what the fields are part of.

    What is null or false asks for nothing.
    """
    for name, value in fields.items():
        if value is None:
            continue
        if name in refused:
            if value is not False:
                raise NotBounded(
                    f"`{within}{name}` has no bound: {refused[name]}. Leave it out of the request"
                )
        elif name not in known and name not in accepted.fields:
            raise NotBounded(
                f"`{within}{name}` is no field whose cost is known here, so the call has no bound. "
                f"Leave it out of the request, or let it pass with allow_fields=[{name!r}] if it "
                "costs nothing beside the tokens"
            )
