"""Where a digest goes: a file, saved notification blocks, an artifact of the flow run. What cannot
be delivered is said, and costs nothing else."""

import re
from collections.abc import Sequence
from contextlib import nullcontext
from inspect import isawaitable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_logger
from prefect.types import SecretDict
from pydantic import SecretStr

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.machine.files import write_whole
from prefect_governor.blocks.secrets.exits import learn, scrubbed
from prefect_governor.flows.report.artifact import artifact
from prefect_governor.flows.report.reasons import one_line

_logger = get_logger("prefect_governor.digest")


def check_block_names(names: Any) -> tuple[str, ...]:
    """The blocks that are named, "TYPE/NAME" each. Raises ConfigurationError."""
    given = (names,) if isinstance(names, str) else tuple(names or ())
    for each in given:
        if not isinstance(each, str) or not re.fullmatch(r"[^/\s]+/[^/\s]+", each):
            raise ConfigurationError(
                f"notify takes saved blocks by type and name, such as slack-webhook/team, not"
                f" {each!r}; `prefect block ls` lists them"
            )
    return given


async def check_blocks(names: Sequence[str]) -> None:
    """Raises ConfigurationError for one that there is not."""
    async with get_client() as client:
        for each in names:
            slug, _, name = each.partition("/")
            try:
                await client.read_block_document_by_name(name, slug, include_secrets=False)
            except ObjectNotFound:
                raise ConfigurationError(
                    f"notify: there is no block {each!r}; `prefect block ls` lists what there is as"
                    " type and name, such as slack-webhook/team"
                ) from None


def write_file(path: Path, text: str) -> str | None:
    """Write the digest's file. Returns what went wrong, None where nothing did."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, scrubbed(text))
    except OSError as error:
        return _told(f"the file {path} was not written", error)
    return None


async def tell(names: Sequence[str], *, subject: str, body: str) -> list[str]:
    """Tell each of these blocks. Returns what went wrong, a line each."""
    problems = []
    for name in names:
        try:
            await _tell(name, subject=scrubbed(subject), body=scrubbed(body))
        except Exception as error:
            problems.append(_told(f"{name} was not told", error))
    return problems


async def publish(key: str, *, description: str, text: str, flow_run_id: UUID) -> str | None:
    """Make the artifact. Returns what went wrong, None where nothing did."""
    try:
        async with get_client() as client:
            await client.create_artifact(
                artifact(
                    type="markdown",
                    key=key,
                    description=description,
                    data=text,
                    flow_run_id=flow_run_id,
                )
            )
    except Exception as error:
        return _told(f"the artifact {key} was not made", error)
    return None


async def _tell(name: str, *, subject: str, body: str) -> None:
    block: Any = await Block.aload(name)
    for secret in _secrets(block):
        learn(*_parts(secret))
    notify = getattr(block, "anotify", None) or getattr(block, "notify", None)
    if notify is None:
        raise ConfigurationError(
            f"a {type(block).__name__} block tells nobody: name a notification block"
        )
    # Prefect's own say nothing where they fail, unless they are asked to.
    with getattr(block, "raise_on_failure", nullcontext)():
        told = notify(body, subject)
        if isawaitable(told):
            await told


def _secrets(block: Block) -> list[str]:
    """What a block's fields keep from people, and addresses, which are as good as a key."""
    found: list[Any] = []
    for name in type(block).model_fields:
        value = getattr(block, name)
        if isinstance(value, SecretStr | SecretDict):
            value = value.get_secret_value()
            found += value.values() if isinstance(value, dict) else [value]
        elif name == "url":
            found.append(value)
    return [each for each in found if isinstance(each, str)]


def _parts(secret: str) -> list[str]:
    """A secret, and of an address what is secret in it: libraries tell of it in pieces."""
    try:
        address = urlsplit(secret)
    except ValueError:
        return [secret]
    pieces = re.split(r"[/?&=:@]", f"{address.netloc}/{address.path}/{address.query}")
    host = address.hostname or ""
    return [
        secret,
        *(each for piece in pieces if piece != host for each in (piece, unquote(piece))),
    ]


def _told(what: str, error: Exception) -> str:
    text = getattr(error, "log", None) or str(error)
    said = one_line(scrubbed(f"{what}: {type(error).__name__}: {text}"), longest=500)
    _logger.warning("%s", said)
    return said
