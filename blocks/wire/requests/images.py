"""The most tokens that an image can be billed for, by the model that looks at it.

A provider scales a large image down before it counts, so that each family has a hard maximum: the
rule is the same for an image in the request and for one behind a URL, whatever its size. Where a
family's maximum is not known the image is refused.
"""

import math
import re
from dataclasses import dataclass

from prefect_governor.blocks.errors import NotBounded

# OpenAI, "Images and vision", calculating costs. Tiles: fitted into 2,048 x 2,048, the shortest
# side then scaled to 768, counted in tiles of 512: at most 2 x 4 of them.
MOST_TILES = 8
# Patches of 32 x 32: scaled down until there are at most so many.
MOST_PATCHES = 1536
# Anthropic, "Vision": patches of 28 x 28, scaled down to about 1,600 of them, and to 4,784 from
# Opus 4.7 on.
CLAUDE_TOKENS = 1600
CLAUDE_HIGH_RESOLUTION_TOKENS = 4784

_DATED = r"(-\d{4}-\d{2}-\d{2})?"


@dataclass(frozen=True, slots=True)
class Tiles:
    """`base` tokens an image and `tile` for each of its tiles; none for `detail: low`."""

    base: int
    tile: int

    def most(self, detail: str | None) -> int:
        return self.base if detail == "low" else self.base + MOST_TILES * self.tile


@dataclass(frozen=True, slots=True)
class Patches:
    """A token a patch, times `percent`."""

    percent: int

    def most(self, detail: str | None) -> int:
        return math.ceil(MOST_PATCHES * self.percent / 100)


# By the whole name: "gpt-4o-audio-preview" is another model than "gpt-4o".
_OPENAI: tuple[tuple[re.Pattern[str], Tiles | Patches], ...] = tuple(
    (re.compile(f"({names}){_DATED}"), rule)
    for names, rule in (
        ("gpt-4o|chatgpt-4o-latest|gpt-4-turbo|gpt-4.1|gpt-4.5-preview", Tiles(85, 170)),
        ("gpt-4o-mini", Tiles(2833, 5667)),
        ("gpt-5|gpt-5-chat-latest", Tiles(70, 140)),
        ("o1|o1-pro|o3", Tiles(75, 150)),
        ("gpt-4.1-mini|gpt-5-mini", Patches(162)),
        ("gpt-4.1-nano|gpt-5-nano", Patches(246)),
        ("o4-mini", Patches(172)),
    )
)
# What Anthropic's documents say of them by name; later ones are taken for the larger kind.
_CLAUDE_SMALL = re.compile(
    r"claude-(3-(opus|sonnet|haiku)|3-[57]-(sonnet|haiku)|(opus|sonnet|haiku)-4(-[0156])?)"
    r"(-\d{8}|-latest)?"
)
_CLAUDE = re.compile(r"claude-[a-z0-9-]+")
# Whose models of OpenAI's names are OpenAI's.
_OPENAI_PROVIDERS = (None, "openai", "azure")


def openai_image_tokens(model: str, provider: str | None, detail: str | None = None) -> int:
    """The most that an image is billed for by a model of OpenAI's.

    `model` as it stands in the request, bare or `vendor/model`; `detail` "low" costs less where a
    family counts tiles. Raises NotBounded where the model's rule is not known.
    """
    vendor, _, bare = model.rpartition("/")
    if provider == "openrouter" and vendor == "openai":
        provider = "openai"
    if bare.startswith("ft:"):
        bare = bare.split(":")[1]
    if provider in _OPENAI_PROVIDERS and vendor in ("", "openai"):
        for names, rule in _OPENAI:
            if names.fullmatch(bare):
                return rule.most(detail)
    raise _unknown(model)


def claude_image_tokens(model: str) -> int:
    """The most that an image is billed for by a model of Anthropic's.

    Raises NotBounded for a model that is none of theirs.
    """
    if _CLAUDE_SMALL.fullmatch(model):
        return CLAUDE_TOKENS
    if _CLAUDE.fullmatch(model):
        return CLAUDE_HIGH_RESOLUTION_TOKENS
    raise _unknown(model)


def _unknown(model: str) -> NotBounded:
    return NotBounded(
        f"an image has no bound for {model!r}: how many tokens it takes an image for is not known "
        "here. Use a model whose rule is, or send what the image shows as text"
    )
