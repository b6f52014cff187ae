"""Azure's prices, which are a deployment's: of its model, its version and its place. Pure.

A deployment's name is its owner's, and its type (global, a data zone, regional) is in no request
and no reply (learn.microsoft.com/azure/ai-foundry/foundry-models/concepts/deployment-types). A
reply names the version that answered. LiteLLM's list has a model's price as `azure/MODEL`, with the
version's date or without, and those of data zones as `azure/ZONE/MODEL`.
"""

import re
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

PROVIDER = "azure"
# Where a deployment may process, by the names that the list has of it. A global one has the price
# of the model alone. Azure Government is apart, as its hosts are.
_GLOBAL = ("", "global", "global-standard")
_ZONES = (_GLOBAL, ("us",), ("eu",), ("apac",))
_GOVERNMENT = "us-gov"
_ZONE_NAMES = frozenset({*(name for zone in _ZONES for name in zone), _GOVERNMENT})
# gpt-4o-2024-08-06, gpt-4-0613, gpt-4-1106-preview.
_VERSION = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{4})(-preview)?$")
_WILDCARDS = frozenset("*?[")


def is_pattern(base_model: str) -> bool:
    """Whether it stands for several models: any of those that match."""
    return not _WILDCARDS.isdisjoint(base_model)


def qualified(base_model: str) -> str:
    """A base model as the list names it: `azure/gpt-4o` for `gpt-4o` and `eu/gpt-4o` alike."""
    return base_model if base_model.startswith(f"{PROVIDER}/") else f"{PROVIDER}/{base_model}"


def bare(base_model: str) -> str:
    """A base model without provider and zone."""
    return _apart(base_model)[1]


def is_version(answered: str, base_model: str) -> bool:
    """Whether what a reply names is the base model, or one of those that it stands for."""
    return _stands_for(bare(base_model), answered)


def is_less(answered: str, base_model: str) -> bool:
    """Whether it is the base model without its date, which says nothing new."""
    return _VERSION.sub("", bare(base_model)) == answered


def answering(answered: str, base_model: str) -> str:
    """What a reply names as a base model, in the zone that is known of its deployment."""
    zone = _apart(base_model)[0]
    return f"{PROVIDER}/{zone}/{answered}" if zone else f"{PROVIDER}/{answered}"


def at_host(model: str, host: str) -> str:
    """A deployment's model where it is called: Azure Government has prices of its own
    (learn.microsoft.com/azure/ai-foundry/openai/azure-government)."""
    zone, name = _apart(model)
    if not host.endswith(".azure.us") or zone or not model.startswith(f"{PROVIDER}/"):
        return model
    return f"{PROVIDER}/{_GOVERNMENT}/{name}"


def entries_of(base_model: str, listed: Collection[str]) -> tuple[str, ...]:
    """The entries of the list that a deployment of a base model may be billed by, sorted.

    Without a date it may be of any version, without a zone anywhere but in Azure Government; a
    pattern stands for whatever matches it. Of a zone that has no price of a version, the one that
    it has of the model is taken.
    """
    zone, wanted = _apart(base_model)
    zones: Iterable[tuple[str, ...]] = _ZONES
    if zone:
        zones = (tuple(dict.fromkeys((zone, *_GLOBAL))) if zone in _GLOBAL else (zone,),)
    found: set[str] = set()
    for version in {name for name in _names(listed) if _stands_for(wanted, name)}:
        for names in zones:
            places = [f"{PROVIDER}/{name}/" if name else f"{PROVIDER}/" for name in names]
            entries = [
                place + name for name in (version, _VERSION.sub("", version)) for place in places
            ]
            found.update([entry for entry in entries if entry in listed][:1])
    return tuple(sorted(found))


def _stands_for(wanted: str, name: str) -> bool:
    return name == wanted or _VERSION.sub("", name) == wanted or fnmatchcase(name, wanted)


def _names(listed: Iterable[str]) -> Iterable[str]:
    for entry in listed:
        if entry.startswith(f"{PROVIDER}/"):
            zone, name = _apart(entry)
            if "/" not in name and zone in _ZONE_NAMES:
                yield name


def _apart(base_model: str) -> tuple[str, str]:
    """The zone, "" where none is named, and the model."""
    zone, slash, name = base_model.removeprefix(f"{PROVIDER}/").partition("/")
    return (zone, name) if slash else ("", zone)
