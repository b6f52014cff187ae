"""Which passages answer a question best: BM25 (the `bm25s` library) over stems (`PyStemmer`).

What is ours is around the library's score: which words are asked, and what a kind of passage is
worth when it says the same. Deterministic: equal scores keep the order of the lines.
"""

import logging
import re
from collections.abc import Sequence
from typing import Any

from prefect_governor.blocks.offline.quotes import Passage
from prefect_governor.blocks.offline.vocabulary import kin_of, words

MOST_PASSAGES = 6
_FEWEST = 3
# The first three need this share of the best score; the others this share of the third's (in an
# overview, whose first three always stand, the smaller share).
_WORTH_AT_FIRST = 0.1
_WORTH_QUOTING = 0.6
# Two passages that share more of their words than this say the same.
_SAME = 0.7

_OVERVIEW = re.compile(
    r"\b(summar\w+|overview|gist|tl;?dr|describe|purpose|main (?:point|idea)s?|key points?|in short"
    r"|what (?:does|do|is|are) (?:this|these|it|that)\b|what(?:'s| is) (?:this|it) (?:about|for)"
    r"|about (?:this|the) (?:file|document|text|module|page)|first (?:know|read)|know first"
    r"|explain (?:this|the (?:file|document|text|module)))",
    re.IGNORECASE,
)

_WORTH = {
    "title": 1.15,
    "doc": 1.15,
    "sentence": 1.1,
    "item": 1.1,
    "row": 1.05,
    "definition": 1.1,
    "field": 1.0,
    "comment": 1.0,
    "line": 0.9,
    "heading": 0.55,
    "code": 0.75,
}
# In an overview: what a kind of passage is worth before its place and its words are looked at.
_CENTRAL = {
    "title": 4.0,
    "definition": 1.6,
    "doc": 1.5,
    "sentence": 1.5,
    "item": 1.0,
    "heading": 0.6,
    "row": 0.6,
    "comment": 0.7,
    "line": 0.7,
    "field": 0.2,
    "code": 0.2,
}


def is_overview(ask: str) -> bool:
    """Whether the ask is of the kind "what is this about?", which no words of the text answer."""
    return not ask.strip() or bool(_OVERVIEW.search(ask))


class Ranking:
    """The passages of one document, indexed once for the questions asked of it."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = passages
        self._words = [words(passage.text) for passage in passages]
        # What a passage stands under says what it is about, once.
        under = {context: words(context) for context in {each.context for each in passages}}
        indexed = [
            [*own, *under[passage.context]] or [""]
            for own, passage in zip(self._words, passages, strict=True)
        ]
        self._index: Any = None
        if any(any(each) for each in indexed):
            import bm25s

            # It logs each index at DEBUG, and sets its own level to that.
            logging.getLogger("bm25s").setLevel(logging.WARNING)
            self._index = bm25s.BM25(method="lucene", k1=1.2, b=0.6)
            self._index.index(indexed, show_progress=False)

    def scores(self, question: str) -> list[float]:
        """Of each passage, what its words say to the question; 0 where they say nothing."""
        asked = words(question)
        kin = kin_of(asked)
        own, related = self._scored(asked), self._scored(kin)
        said = [mine + 0.5 * theirs for mine, theirs in zip(own, related, strict=True)]
        about_settings = "setting" in {*asked, *kin}
        extra = 0.4 * (max(said, default=0.0) or 1.0)
        return [
            round(
                (score + (extra if about_settings and _sets(passage, score) else 0.0))
                * _WORTH[passage.kind]
                * _wholeness(len(stems)),
                9,
            )
            for score, passage, stems in zip(said, self.passages, self._words, strict=True)
        ]

    def central(self, ask: str) -> list[float]:
        """Of each passage, how much it stands for the whole."""
        if not self.passages:
            return []
        total = max(passage.last for passage in self.passages)
        topic = self._scored(self._topic())
        peak = max(topic) or 1.0
        said = self.scores(_OVERVIEW.sub(" ", ask))
        most_said = max(said) or 1.0
        opened: set[str] = set()
        found: list[float] = []
        for at, passage in enumerate(self.passages):
            early = 1.0 / (1.0 + 6.0 * (passage.first - 1) / max(total, 30))
            spoken = 1.0 + topic[at] / peak + 0.5 * said[at] / most_said
            worth = _CENTRAL[passage.kind] * _standing(passage)
            if passage.kind in {"sentence", "item", "doc"}:
                # The sentence that opens a section says what the section is about.
                worth *= 0.6 if passage.context in opened else 1.4
                opened.add(passage.context)
            if passage.text.endswith(":") and passage.kind != "definition":
                # It only announces what follows.
                worth *= 0.5
            whole = 1.0 if passage.kind == "title" else _wholeness(len(self._words[at]))
            found.append(round(worth * (0.5 + early) * spoken * whole, 4))
        return found

    def best(
        self, scores: Sequence[float], *, most: int = MOST_PASSAGES, spread: bool = False
    ) -> list[Passage]:
        """The passages worth quoting, best first: no two that say the same or share a line.

        `spread` takes at most two from under one heading, so that an overview sees the whole.
        """
        order = sorted(range(len(scores)), key=lambda at: (-scores[at], at))
        chosen: list[int] = []
        under: dict[tuple[str, str], int] = {}
        for at in order:
            score = scores[at]
            if score <= 0 or len(chosen) == most:
                break
            if len(chosen) < _FEWEST:
                least = _WORTH_AT_FIRST * scores[order[0]]
            else:
                share = _WORTH_AT_FIRST if spread else _WORTH_QUOTING
                least = share * scores[chosen[_FEWEST - 1]]
            if score < least and not (spread and len(chosen) < _FEWEST):
                break
            place = (self.passages[at].kind, self.passages[at].context)
            if spread and under.get(place, 0) >= (5 if place[0] == "definition" else 2):
                continue
            if any(self._alike(at, other) for other in chosen):
                continue
            chosen.append(at)
            under[place] = under.get(place, 0) + 1
        return [self.passages[at] for at in chosen]

    def _topic(self) -> list[str]:
        """The words of the title, and those that most passages share."""
        counts: dict[str, int] = {}
        for stems in self._words:
            for stem in dict.fromkeys(stems):
                counts[stem] = counts.get(stem, 0) + 1
        common = sorted(counts, key=lambda stem: (-counts[stem], stem))[:8]
        titles = [
            stem
            for passage, stems in zip(self.passages, self._words, strict=True)
            if passage.kind == "title"
            for stem in stems
        ]
        return list(dict.fromkeys([*titles[:12], *common]))

    def _scored(self, asked: Sequence[str]) -> list[float]:
        known = [] if self._index is None else [s for s in asked if s in self._index.vocab_dict]
        if not known:
            return [0.0] * len(self.passages)
        return [float(score) for score in self._index.get_scores(known)]

    def _alike(self, one: int, other: int) -> bool:
        first, second = self.passages[one], self.passages[other]
        if first.text == second.text:
            return True
        mine, theirs = set(self._words[one]), set(self._words[other])
        shared = len(mine & theirs)
        if first.first <= second.last and second.first <= first.last:
            return 2 * shared > min(len(mine), len(theirs))
        return shared > _SAME * len(mine | theirs)


def _wholeness(length: int) -> float:
    """What brevity costs: a passage of one or two words says little, whatever they are."""
    return min(1.0, 0.4 + 0.15 * length)


def _sets(passage: Passage, score: float) -> bool:
    """A field of source is a setting whether or not it says so; a table's row only if it does."""
    return passage.kind == "field" or (passage.kind == "row" and score > 0)


def _standing(passage: Passage) -> float:
    """What a passage of source stands for: a module's public, documented names before the rest."""
    private = re.search(r"(?:^|\.)_", passage.context) is not None
    if passage.kind != "definition":
        inside = bool(passage.context) and passage.kind in {"doc", "field", "comment", "code"}
        return (0.15 if inside else 1.0) * (0.05 if private else 1.0)
    text = passage.quotes[0].text
    private = private or re.match(r"(?:async def|def|class) _", text) is not None
    documented = 1.0 if len(passage.quotes) > 1 else 0.5
    grouped = 1.25 if text.startswith("class ") else 1.0
    return documented * grouped * (0.15 if passage.context else 1.0) * (0.05 if private else 1.0)
