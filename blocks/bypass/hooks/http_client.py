"""http.client, under urllib.request, httplib2 and their like: a model call is refused there."""

from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from prefect_governor.blocks.bypass.bodies import bytes_of, host_and_path
from prefect_governor.blocks.bypass.calls import is_call, lets_pass, looking, place_of, unseen

WHY = "it has no place where a reply's bill can be read"


def hook(module: ModuleType) -> None:
    """Raises AttributeError where the module has no such connection."""
    module.HTTPConnection.request = _hooked(module.HTTPConnection.request)


def _hooked(send: Callable[..., None]) -> Callable[..., None]:
    @wraps(send)
    def request(
        self: Any, method: str, url: str, body: Any = None, headers: Any = None,
        *rest: Any, **more: Any,
    ) -> None:  # fmt: skip
        governing = looking()
        if governing is not None and method.upper() == "POST":
            # A tunnel's end is known to the connection alone.
            host = getattr(self, "_tunnel_host", None) or self.host
            host, path = host_and_path(host, url)
            place = place_of("POST", host, path, {})
            given = {str(name).lower(): str(value) for name, value in dict(headers or {}).items()}
            if place is not None and is_call(place, path, given, bytes_of(body)):
                refused = unseen("http.client", f"{host}{path}", WHY)
                if not lets_pass(governing, f"{host}{path}", str(refused)):
                    raise refused
        send(self, method, url, body, {} if headers is None else headers, *rest, **more)

    return request
