"""The words that a ranking compares: stems, without those that carry no meaning, and their kin."""

import re
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# Scripts written without blanks: each character is a word.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")

_STOPWORDS = frozenset(
    [
        "a",
        "about",
        "all",
        "also",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "been",
        "before",
        "being",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "each",
        "else",
        "for",
        "from",
        "had",
        "has",
        "have",
        "here",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "just",
        "me",
        "might",
        "more",
        "most",
        "much",
        "my",
        "no",
        "not",
        "of",
        "on",
        "one",
        "only",
        "or",
        "other",
        "our",
        "out",
        "over",
        "please",
        "should",
        "since",
        "so",
        "some",
        "such",
        "tell",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "through",
        "to",
        "under",
        "up",
        "us",
        "use",
        "used",
        "uses",
        "using",
        "very",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "while",
        "who",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
        "file",
        "document",
        "text",
        "code",
        "reader",
        "item",
        "answer",
        "say",
        "list",
        "give",
        "name",
        "mention",
        "explain",
        "documented",
        "described",
        "exactly",
        "sentence",
        "sentences",
        "short",
        "briefly",
    ]
)

# What askers call things, and what authors call them. Half the weight of the asker's own word.
_KIN = (
    "failure fail error exception raise crash invalid retry abort broken wrong problem fatal",
    "setting option configuration config parameter variable environment env default knob flag",
    "install setup requirement dependency pip uv",
    "limit maximum max cap ceiling quota throttle",
    "cost price money budget spend usd dollar bill",
    "speed performance fast slow latency benchmark overhead",
    "security secret key credential password permission",
    "concurrency parallel concurrent thread process lock async",
    "test check verify assert",
    "example usage run command",
    "store storage persist save database file",
    "remove delete drop deprecate",
    "decision decide choose chosen because reason",
    "risk danger warning caution trap caveat careful",
)

# "settings" is no form of "set", whatever the stemmer says: the code is full of sets.
_UNSTEMMED = {"setting": "setting", "settings": "setting"}

_of_thread = threading.local()


def words(text: str) -> list[str]:
    """The stems of the words of `text` that carry meaning, in order."""
    if _UNSPACED.search(text):
        text = _UNSPACED.sub(r" \g<0> ", text)
    plain = [word.lower() for word in _WORD.findall(_CAMEL.sub(" ", text))]
    kept = [word for word in plain if word not in _STOPWORDS and (len(word) > 1 or word > "\u007f")]
    return _stems(kept)


def kin_of(asked: Sequence[str]) -> list[str]:
    """The stems that authors may use for those asked, without these."""
    found: dict[str, None] = {}
    for group in _kin():
        if not group.isdisjoint(asked):
            found.update(dict.fromkeys(sorted(group)))
    return [stem for stem in found if stem not in asked]


@lru_cache(maxsize=1)
def _kin() -> tuple[frozenset[str], ...]:
    return tuple(frozenset(_stems(group.split())) for group in _KIN)


def _stems(plain: Sequence[str]) -> list[str]:
    return [
        _UNSTEMMED.get(word, stem)
        for word, stem in zip(plain, _stemmer().stemWords(list(plain)), strict=True)
    ]


def _stemmer() -> Any:
    """This thread's stemmer: one holds a buffer that two threads may not write at once."""
    found = getattr(_of_thread, "stemmer", None)
    if found is None:
        import Stemmer

        found = _of_thread.stemmer = Stemmer.Stemmer("english")
    return found
