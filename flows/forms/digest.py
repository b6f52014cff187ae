"""The form of `digest`: what a person needs first stands first."""

from collections.abc import Mapping

from prefect_governor.flows.forms import shared
from prefect_governor.flows.forms.fan_out import FAN_OUT
from prefect_governor.flows.forms.shape import Shown

DIGEST: Mapping[str, Shown] = {
    "ask": FAN_OUT["ask"],
    "sources": FAN_OUT["sources"],
    "folder": FAN_OUT["folder"],
    "notify": Shown(
        "Notify",
        "Saved notification blocks that are told what changed, by type and name, such as"
        " slack-webhook/team.",
        {**shared.NAMES, "examples": [["slack-webhook/team"]]},
    ),
    "out": Shown(
        "File",
        "A Markdown file that the digest is written to, on the machine that runs it. Empty: none.",
        {"type": "string", "examples": ["digest.md"]},
    ),
    "governor": shared.GOVERNOR,
    "model": shared.MODEL,
    "max_usd": shared.MAX_USD,
    "name": Shown(
        "Name",
        "Digests of one name go on with one another. Empty: those of this deployment do.",
        {"type": "string", "examples": ["tickets"]},
    ),
    "schema": FAN_OUT["schema"],
    "max_concurrent": shared.MAX_CONCURRENT,
    "requests_per_minute": shared.REQUESTS_PER_MINUTE,
    "tokens_per_minute": shared.TOKENS_PER_MINUTE,
    "max_output_tokens": FAN_OUT["max_output_tokens"],
    "min_success": shared.MIN_SUCCESS,
    "max_total_tokens": shared.MAX_TOTAL_TOKENS,
    "timeout_seconds": shared.TIMEOUT_SECONDS,
    "reading": FAN_OUT["reading"],
}
