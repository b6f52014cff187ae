"""Why an item did not succeed, and what is to be said of one that did or was left out, in one line
that a person can act on. Pure, no provider imported.

Exceptions are read by their shape (`status_code`, `body`, `errors()`), so that LiteLLM's, OpenAI's
and pydantic's need not be imported to be explained.
"""

import asyncio
import concurrent.futures
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from prefect_governor.blocks.errors import governor_error
from prefect_governor.blocks.models.failures import spent_quota
from prefect_governor.blocks.secrets.exits import scrubbed
from prefect_governor.blocks.secrets.scrubber import REDACTED
from prefect_governor.flows.items.skipped import Skipped
from prefect_governor.flows.report.model import ItemReport, ItemState

LONGEST = 300

_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=:-]{6,}"), rf"\1 {REDACTED}"),
    (re.compile(r"\b(?:sk|pk|rk)-[\w*.-]{4,}"), REDACTED),
    (
        re.compile(r"\b(?:gh[opusr]_|github_pat_|glpat-|xox[abeprs]-|hf_|gsk_|AKIA|AIza)[\w-]{8,}"),
        REDACTED,
    ),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"), REDACTED),
    (re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"), REDACTED),
    (
        re.compile(
            r"(?i)([\"']?\b(?:x-)?(?:api[-_ ]?key|access[-_]?token|auth[-_]?token|client[-_]?secret"
            r"|secret|password|passwd|authorization)[\"']?\s*[:=]\s*)[\"']?(?!\[redacted)[^\s\"',;&})]+"
        ),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"(?i)([?&](?:key|token|sig|signature)=)[^\s&\"']+"), rf"\1{REDACTED}"),
)
# A long run of letters and digits in both cases is a token; a path, a UUID or a hash is not.
_LONG = re.compile(r"[A-Za-z0-9+/_=-]{32,}")


def _is_token(text: str) -> bool:
    pieces = [piece for piece in re.split(r"[/_-]", text) if piece]
    longest = max(pieces, key=len, default="")
    return (
        len(longest) >= 24
        and any(c.isupper() for c in longest)
        and any(c.islower() for c in longest)
        and any(c.isdigit() for c in longest)
    )


def redact(text: str) -> str:
    """`text` without the secrets that are known, and without what looks like a key, a bearer token,
    a password or a long token."""
    text = scrubbed(text)
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return _LONG.sub(lambda m: REDACTED if _is_token(m[0]) else m[0], text)


def one_line(text: str, *, longest: int = LONGEST) -> str:
    """`text` on one line of printable characters, cut at `longest` with an ellipsis."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return flat if len(flat) <= longest else flat[: longest - 1].rstrip() + "…"


_HINTS: dict[int, str] = {
    401: "check the provider's API key",
    403: "the key may not use this model",
    404: "check the model's name and the API base",
    413: "the request is too large: split the item",
}
_NOISE = re.compile(r"^(?:(?:litellm|openai|httpx)\.)?(?:\w+(?:Error|Exception))\s*[:-]\s*")
_BODY = re.compile(r"""['"]message['"]\s*:\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')""")
_CANCELLED = (asyncio.CancelledError, concurrent.futures.CancelledError)


def leading(error: BaseException) -> BaseException:
    """The error that says most: the first of a group, ours where a client library wrapped it."""
    inner: Any = getattr(error, "exceptions", None)
    if isinstance(inner, tuple | list) and inner and isinstance(inner[0], BaseException):
        return leading(inner[0])
    return governor_error(error) or error


def reason_of(error: BaseException) -> str:
    """Why, in one line of at most 300 characters, without a key in it."""
    return one_line(redact(_words(leading(error))))


def _words(error: BaseException) -> str:
    name = type(error).__name__
    if governor_error(error) is error:
        return str(error) or name
    if isinstance(error, _CANCELLED):
        return "cancelled before it finished"
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and not isinstance(status, bool):
        return _provider_words(error, name, status)
    fields = _validation_words(error)
    if fields is not None:
        return f"does not validate: {fields}"
    text = str(error).strip()
    if isinstance(error, TimeoutError | asyncio.TimeoutError) or "Timeout" in name:
        return f"timed out: {text}" if text else "timed out"
    return f"{name}: {text}" if text else name


def _provider_words(error: BaseException, name: str, status: int) -> str:
    hint = _HINTS.get(status)
    if spent_quota(error):
        hint = "the provider's quota is spent: add credit there"
    text = f"{name} (HTTP {status}): {_provider_message(error)}"
    if hint is None:
        return text
    # The hint must survive the cut of a long message.
    return f"{one_line(redact(text), longest=LONGEST - len(hint) - 2)}; {hint}"


def _provider_message(error: BaseException) -> str:
    body = getattr(error, "body", None)
    if isinstance(body, dict):
        inner = body.get("error", body)
        if isinstance(inner, dict) and isinstance(inner.get("message"), str):
            return str(inner["message"])
    text = str(getattr(error, "message", None) or error)
    found = _BODY.search(text)
    if found:
        return found[1] or found[2] or ""
    # "litellm.RateLimitError: RateLimitError: OpenAIException - slow down" says it three times.
    while (shorter := _NOISE.sub("", text)) != text:
        text = shorter
    return text.strip() or "no message"


def _validation_words(error: BaseException) -> str | None:
    path = getattr(error, "json_path", None)
    if isinstance(path, str) and isinstance(getattr(error, "message", None), str):
        return f"{path}: {error.message}"  # type: ignore[attr-defined]
    errors = getattr(error, "errors", None)
    if not callable(errors) or not hasattr(error, "error_count"):
        return None
    found = errors()
    first = "; ".join(
        f"{'.'.join(str(part) for part in each['loc']) or 'the answer'}: {each['msg']}"
        for each in found[:3]
    )
    return first if len(found) <= 3 else f"{first}; and {len(found) - 3} more"


# States of items that did nothing wrong themselves.
_KEPT_BACK = ("skipped",)


@dataclass(frozen=True, slots=True)
class ReasonGroup:
    """Items that ended alike for the same cause. `reason` is the first one's; `keys` up to 3."""

    state: ItemState
    reason: str
    count: int
    keys: tuple[str, ...]


_UUID = re.compile(r"(?i)\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_IDENTIFIER = re.compile(r"\b(?=\w*\d)(?=\w*[A-Za-z_])\w{6,}\b")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_QUOTED = re.compile(r"(['\"`])(.+?)\1")
# What a key may be, where it stands in a sentence.
_WORD = re.compile(r"[^\s'\"`,;:()\[\]<>]+")


def _normal(item: ItemReport, keys: Collection[str]) -> str:
    """A reason without what tells one item from the next: keys, its own and others', and numbers.
    A key is gone where it stands by itself; one that is a common word is so for all items."""
    text = item.reason or ""
    if item.key and not _WORD.fullmatch(item.key):
        text = re.sub(rf"(?<!\w){re.escape(item.key)}(?!\w)", "#", text)
    text = _QUOTED.sub(lambda found: "'#'" if found[2] in keys else found[0], text)
    text = _WORD.sub(lambda found: _masked(found[0], keys), text)
    for pattern in (_UUID, _IDENTIFIER, _NUMBER):
        text = pattern.sub("#", text)
    return text.casefold()


def _masked(word: str, keys: Collection[str]) -> str:
    if word in keys:
        return "#"
    # The end of a sentence is none of a key's.
    bare = word.rstrip(".")
    return f"#{word[len(bare) :]}" if bare in keys else word


def group_reasons(items: Sequence[ItemReport]) -> list[ReasonGroup]:
    """The items that did not succeed, by cause, the most frequent first, ties in input order."""
    return _grouped([item for item in items if item.state != "succeeded"], items)


def first_cause(items: Sequence[ItemReport]) -> ReasonGroup | None:
    """What most of the items that did not succeed died of, and not what that kept from running;
    None where all of them did."""
    groups = group_reasons(items)
    return next((each for each in groups if each.state not in _KEPT_BACK), next(iter(groups), None))


def group_notes(items: Sequence[ItemReport]) -> list[ReasonGroup]:
    """The items that succeeded and have something to say, such as of an answer that was taken
    though it was cut; as `group_reasons` does."""
    return _grouped([item for item in items if item.state == "succeeded" and item.reason], items)


def _grouped(members: Sequence[ItemReport], items: Sequence[ItemReport]) -> list[ReasonGroup]:
    # Numbers are gone in any case.
    keys = {item.key for item in items if not _NUMBER.fullmatch(item.key)}
    groups: dict[tuple[ItemState, str], list[ItemReport]] = {}
    for item in members:
        groups.setdefault((item.state, _normal(item, keys)), []).append(item)
    found = [
        ReasonGroup(
            state=state,
            reason=alike[0].reason or "no reason was given",
            count=len(alike),
            keys=tuple(item.key for item in alike[:3]),
        )
        for (state, _), alike in groups.items()
    ]
    return sorted(found, key=lambda group: -group.count)


@dataclass(frozen=True, slots=True)
class Saying:
    """So many files or items of which the same is to be said; `keys` are up to 3 of them."""

    reason: str
    count: int
    keys: tuple[str, ...]


def grouped_notes(items: Sequence[ItemReport]) -> list[Saying]:
    """The notes of items, the most frequent first, ties in input order."""
    return _by_reason((note, item.key) for item in items for note in item.notes)


def grouped_skips(skipped: Sequence[Skipped]) -> list[Saying]:
    """What was left out by its reason, the most frequent first, ties in input order."""
    return _by_reason((each.reason, each.key) for each in skipped)


def _by_reason(said: Iterable[tuple[str, str]]) -> list[Saying]:
    groups: dict[str, list[str]] = {}
    for reason, key in said:
        groups.setdefault(reason, []).append(key)
    found = [Saying(reason, len(keys), tuple(keys[:3])) for reason, keys in groups.items()]
    return sorted(found, key=lambda group: -group.count)
