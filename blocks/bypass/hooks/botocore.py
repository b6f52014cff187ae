"""botocore: it sends with urllib3; here it says what it signs with."""

from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from prefect_governor.blocks.bypass.calls import looking
from prefect_governor.blocks.bypass.signatures import note_signed


def hook(module: ModuleType) -> None:
    """Raises AttributeError where the module has no such signer."""
    module.RequestSigner.sign = _noting(module.RequestSigner.sign)


def _noting(sign: Callable[..., None]) -> Callable[..., None]:
    @wraps(sign)
    def noted(self: Any, operation_name: str, request: Any, *rest: Any, **more: Any) -> None:
        sign(self, operation_name, request, *rest, **more)
        shown = getattr(request, "headers", {}).get("Authorization")
        if shown is not None and looking() is not None:
            text = shown.decode("latin-1") if isinstance(shown, bytes) else shown
            # Without them the request goes with the very bytes that were signed.
            note_signed(text, getattr(self, "_credentials", None))

    return noted
