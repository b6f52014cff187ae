"""Which entries of LiteLLM's list may say what a model costs at Amazon Bedrock: by region, by
inference profile. Pure.

The list has a price by model and, where it differs, by region (`bedrock/REGION/MODEL`), and one for
each inference profile (`us.`, `eu.`, `global.` before the model's id), which has a price of its own
(docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html).
"""

import re
from collections.abc import Collection

PROVIDER = "bedrock"
# As the list names who serves a model, and by which of Bedrock's APIs LiteLLM asks for it.
LISTED_AS = frozenset({"bedrock", "bedrock_converse"})
# docs.aws.amazon.com/general/latest/gr/bedrock.html: with FIPS, in China, and over both IPs.
_HOST = re.compile(
    r"^bedrock-runtime(?:-fips)?\.([a-z]{2,}(?:-[a-z]+)+-\d+)\.(?:amazonaws\.com(?:\.cn)?|api\.aws)$"
)
_REGION = re.compile(r"^[a-z]{2,}(-[a-z]+)+-\d+$")
_PROFILE = re.compile(r"^(?:us|eu|apac|global|us-gov|au|jp|in|ca|sa|me|af|mx|il)\.(?=[a-z0-9-]+\.)")
# What LiteLLM takes before a model's id to say which API it is asked by.
_ROUTES = ("converse/", "invoke/")
# Where the price of an entry without a region is that of AWS's own price list.
_HOME = re.compile(r"^us-(?!gov-)")


def region_at(host: str) -> str | None:
    """The region whose endpoint of Bedrock's a host is; None for any other host."""
    found = _HOST.match(host)
    return None if found is None else found[1]


def region_and_id(model: str) -> tuple[str | None, str]:
    """The region that LiteLLM's name of a model gives, if it gives one, and the model's own id:
    `bedrock/converse/us-east-1/anthropic.claude-v2` is `anthropic.claude-v2` there."""
    name = model.removeprefix(f"{PROVIDER}/")
    for route in _ROUTES:
        name = name.removeprefix(route)
    first, slash, rest = name.partition("/")
    return (first, rest) if slash and _REGION.match(first) else (None, name)


def entries_of(model: str, region: str | None, names: Collection[str]) -> tuple[str, ...]:
    """The entries of the list, any of which may be the price of `bedrock/MODEL` in a region (None:
    nobody knows where); empty where the list does not know the model.

    A region's own entry is the price there. In the United States it is otherwise the entry without
    a region; elsewhere it may be that or what another region costs. A profile that the list does
    not know may cost what any of the model's does.
    """
    named, bare = region_and_id(model)
    region = named or region
    own = f"{PROVIDER}/{region}/{bare}"
    if region is not None and own in names:
        return (own,)
    found = [name for name in (f"{PROVIDER}/{bare}", bare) if name in names]
    if not (found and region is not None and _HOME.match(region)):
        ends = f"/{bare}"
        found += sorted(
            name
            for name in names
            if name.startswith(f"{PROVIDER}/")
            and name.endswith(ends)
            and _REGION.match(name[len(PROVIDER) + 1 : -len(ends)])
        )
    if not found and not bare.startswith("arn:"):
        base = _PROFILE.sub("", bare)
        found = sorted(name for name in names if _PROFILE.sub("", name) == base)
    return tuple(found)
