"""Which requests of other clients are model calls, and what becomes of one."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from prefect_governor.blocks.bypass.passed import note_passed
from prefect_governor.blocks.context.governing import Governing
from prefect_governor.blocks.context.scope import current_scope
from prefect_governor.blocks.errors import REFUSAL, NotBounded, NotGoverned, NotPriced
from prefect_governor.blocks.prices.places import provider_at
from prefect_governor.blocks.wire.dialects import dialect_of, is_free
from prefect_governor.blocks.wire.sending import is_sending

# Why a provider's socket cannot be governed.
NO_REPLY = "what is sent over a socket is billed in no reply"

UNREADABLE = "its body cannot be read before it is sent"

FORM = "multipart/form-data"

Place = Literal["host", "path"]

# Refusals of what cannot be governed, as against what can and may not be.
UNGOVERNABLE = (NotBounded, NotGoverned, NotPriced)


def looking() -> Governing | None:
    """The governor that the running code is under, where it looks at what other clients send; None
    outside a scope, and within what a governed transport sends."""
    here = current_scope.get()
    if here is None or here.governor.bypass == "allow" or is_sending():
        return None
    return here.governor


def place_of(method: str, host: str, path: str, headers: Mapping[str, str]) -> Place | None:
    """What tells that a request may be billed: that it goes to a provider's host, or that it has
    the path of a model's API; None where nothing does."""
    if method == "POST":
        return _place(host, path)
    # A provider's own sockets (wss://…/v1/realtime) begin as a GET.
    opens = headers.get("upgrade", "").lower() == "websocket"
    return "host" if opens and provider_at(host.lower().rstrip(".")) is not None else None


def is_call(place: Place, path: str, headers: Mapping[str, str], body: bytes | None) -> bool:
    """Whether a request at such a place is a model call: one with the path of a model's API names a
    model, for others have such paths too. `body` None: it cannot be read before it is sent."""
    if place == "host":
        return True
    if body is None:
        # No model's API takes a form.
        return not headers.get("content-type", "").lower().startswith(FORM)
    if "content-encoding" in headers:
        return True
    try:
        dialect_of("POST", path).open(body, path=path)
    except NotBounded:
        return False
    return True


@lru_cache(maxsize=4096)
def _place(host: str, path: str) -> Place | None:
    # A name that ends in a dot is the same host's.
    provider = provider_at(host.lower().rstrip("."))
    if is_free("POST", path, provider):
        return None
    if provider is not None:
        return "host"
    try:
        dialect_of("POST", path)
    except NotGoverned:
        return None
    return "path"


def lets_go(governing: Governing, response: Any, *, host: str, path: str) -> bool:
    """Whether a call that was answered with a refusal is to be sent as it is all the same, which is
    noted: it cannot be governed, and here that holds nothing back."""
    error = response.extensions.get(REFUSAL)
    return isinstance(error, UNGOVERNABLE) and lets_pass(governing, f"{host}{path}", str(error))


def lets_pass(governing: Governing, place: str, why: str) -> bool:
    """Whether a call that cannot be governed is sent as it is, which is noted."""
    if not governing.observe and governing.bypass != "warn":
        return False
    note_passed(place, why)
    return True


def unseen(library: str, place: str, why: str) -> NotGoverned:
    """The refusal of a model call that cannot be governed in a library, with what to do."""
    return NotGoverned(
        f"the model call at {place} was made inside a governor's scope and cannot be"
        f" governed in {library} ({why}), so it was not sent. Make it with governor.http_client()"
        ' or acompletion; a governor with bypass="warn" lets it go uncounted, and says so'
    )


def opens_socket(governing: Governing, library: str, method: str, url: Any) -> bool:
    """Whether a call opens a socket, which is let go. Raises NotGoverned where it is not."""
    if method == "POST":
        return False
    place = f"{url.host}{url.path}"
    refused = unseen(library, place, NO_REPLY)
    if not lets_pass(governing, place, str(refused)):
        raise refused
    return True
