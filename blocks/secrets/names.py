"""What is a secret: a value that goes by the name of one, in an environment, in arguments, in JSON.

No text is searched for what looks like a secret: one is known by its name, or by who gave it.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from itertools import pairwise
from typing import Any
from urllib.parse import unquote, urlsplit

# A shorter value is a placeholder, and its letters may stand in any word.
SHORTEST = 8
# So is one that is made of words: "lm-studio", "not-needed". No provider gives out such keys.
_WORDS = re.compile(r"[a-z]{1,16}([-_ ][a-z]{1,16}){0,3}")
# A number that short stands in any table.
_NUMBER = re.compile(r"[\d.,_ -]{1,11}")

# LiteLLM's variables (OPENAI_API_KEY, HF_TOKEN, WATSONX_APIKEY, SNOWFLAKE_JWT), those of the clouds
# (AWS_SECRET_ACCESS_KEY, AZURE_CLIENT_SECRET, GOOGLE_APPLICATION_CREDENTIALS where it holds the key
# itself) and of Prefect (PREFECT_API_KEY, PREFECT_API_AUTH_STRING) are named by one of these words.
_SECRET_WORDS = frozenset(
    {
        "key", "token", "secret", "password", "passwd", "pass", "passphrase", "credential",
        "credentials", "jwt", "pat", "authorization",
    }
)  # fmt: skip
_SECRET_ENDS = ("apikey", "password")
_SECRET_PAIRS = (("api", "keys"), ("auth", "string"), ("connection", "string"))
# What is named after a secret and is none: where it is kept, how long it lives.
_ABOUT_ONE = frozenset(
    {
        "alias", "audience", "column", "count", "dir", "enabled", "endpoint", "expiration", "file",
        "header", "hours", "issuer", "limit", "name", "path", "seconds", "size", "storage", "ttl",
        "type", "version",
    }
)  # fmt: skip
# What makes a key none that is kept: `prompt_cache_key`, SSH_PUBLIC_KEY, a table's primary key.
_SHOWN = frozenset(
    {"cache", "foreign", "idempotency", "object", "partition", "primary", "public", "sort"}
)
# The scheme of a header's value (RFC 9110, section 11.4) is no secret.
_SCHEME = re.compile(r"(?i)(?:bearer|basic|token|digest)\s+")
# Of a connection string: Azure Storage's, a database's.
_IN_A_STRING = re.compile(r"(?i)(?:password|pwd|accountkey|sharedaccesskey|secret)\s*=\s*([^;\s]+)")


def is_secret(value: str) -> bool:
    """Whether a value may be a key, and not a placeholder in the place of one."""
    return len(value) >= SHORTEST and not _WORDS.fullmatch(value)


def lasts(value: str) -> bool:
    """Whether a value may be taken out of every text: a secret that is no short number."""
    return is_secret(value) and not _NUMBER.fullmatch(value)


@lru_cache(maxsize=1024)
def names_a_secret(name: str) -> bool:
    """Whether what goes by this name, of a variable, an argument or a header, is a secret."""
    words = [each for each in re.split(r"[^a-z0-9]+", name.lower()) if each]
    if not words or words == ["key"] or words[-1] in _ABOUT_ONE or _SHOWN.intersection(words):
        return False
    return (
        any(each in _SECRET_WORDS or each.endswith(_SECRET_ENDS) for each in words)
        or any(pair in _SECRET_PAIRS for pair in pairwise(words))
        or (words[-1] == "pwd" and len(words) > 1)
    )


def secrets_in(named: Mapping[str, Any]) -> set[str]:
    """The secrets among an environment's variables, a call's arguments, a document's fields: values
    that go by a secret's name, passwords within addresses, what a JSON text holds by such names."""
    return {
        each
        for name, value in named.items()
        if isinstance(value, str | Mapping)
        for each in _in_value(name, value)
        if lasts(each)
    }


def _in_value(name: str, value: str | Mapping[str, Any]) -> Iterator[str]:
    if isinstance(value, Mapping):
        if not (names_a_secret(name) or name.lower().endswith("headers")):
            return
        yield from secrets_in({str(each): inner for each, inner in value.items()})
        return
    text = value.strip()
    if len(text) < SHORTEST:
        return
    if "://" in text:
        yield from _in_address(text)
        return
    if text.startswith("{"):
        with suppress(ValueError, RecursionError):
            fields = json.loads(text)
            if isinstance(fields, dict):
                yield from secrets_in(fields)
                return
    if not names_a_secret(name) or (text.startswith(("/", "~")) and _is_there(text)):
        return
    yield from _IN_A_STRING.findall(text)
    yield text
    if (scheme := _SCHEME.match(text)) is not None:
        yield text[scheme.end() :]
    if "," in text:
        # Several, as OPENAI_API_KEYS has them.
        yield from (each.strip() for each in text.split(","))


def _in_address(text: str) -> Iterator[str]:
    """The password of `scheme://user:password@host`, as it is written and as it is meant, and the
    secrets of its query."""
    with suppress(ValueError):
        parts = urlsplit(text)
        if parts.password:
            yield parts.password
            yield unquote(parts.password)
        for each in parts.query.split("&"):
            name, _, value = each.partition("=")
            if names_a_secret(name):
                yield value
                yield unquote(value)


def _is_there(path: str) -> bool:
    try:
        return os.path.exists(os.path.expanduser(path))
    except (OSError, ValueError):
        return False
