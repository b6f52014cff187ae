"""What stands in for an agent where only the offline model is there, which calls no tools: the
passages of a corpus that a search finds, quoted. Pure."""

from collections.abc import Sequence
from typing import Any

from prefect_governor.flows.agent.corpus import Extract

PREFIX = "offline/"
# Passages of the corpus that one question is answered with.
MOST_PASSAGES = 8


def is_offline(model: str) -> bool:
    return model.startswith(PREFIX)


def excerpt_messages(objective: str, excerpts: Sequence[Extract]) -> list[dict[str, Any]]:
    """One question of passages that a search found, named by their lines."""
    texts = [
        f'<document key="{each.source}:{each.first}-{each.last}">\n{each.text}\n</document>'
        for each in excerpts
    ]
    return [{"role": "user", "content": "\n\n".join([objective, *texts])}]
