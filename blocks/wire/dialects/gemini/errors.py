"""An error's body as Google's APIs have it (google.aip.dev/193)."""

from typing import Any


def gemini_error(status: int, kind: str, message: str) -> dict[str, Any]:
    """`kind` is the name of an error of ours."""
    word = {429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}.get(status, "FAILED_PRECONDITION")
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": kind,
        "domain": "prefect-governor",
    }
    return {"error": {"code": status, "status": word, "details": [info], "message": message}}
