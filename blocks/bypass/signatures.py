"""With what a request of botocore's was signed, so that it can be signed anew when it is sent."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

# The signature of the context's last signed request, and botocore's credentials that made it.
_signed: ContextVar[tuple[str, Any] | None] = ContextVar("aws_signed", default=None)


def note_signed(authorization: str, credentials: Any) -> None:
    """A request of the context was signed."""
    _signed.set((authorization, credentials))


def credentials_of(headers: Mapping[str, str]) -> Any:
    """The credentials that a request was signed with; None where they are not known."""
    signed = _signed.get()
    known = signed is not None and signed[0] == headers.get("authorization")
    return signed[1] if signed is not None and known else None
