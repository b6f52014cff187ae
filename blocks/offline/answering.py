"""The offline extractive model: an answer made of passages of the text that was sent.

Pure and deterministic: no model, no network, no clock. Tokens are those of `cl100k_base`, 4 more a
message and 3 a request, as OpenAI counts them.

A document is found between a line `<document key="...">` and the last line `</document>` before the
next document; the ask is what stands around the documents in the last user message that has one.
Where no document is marked, the last user message is the text, and its last line the ask. Documents
that are excerpts (`excerpts.py`) are quoted whole.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from prefect_governor.blocks.offline.excerpts import Excerpt, bullets_of
from prefect_governor.blocks.offline.filling import fill
from prefect_governor.blocks.offline.passages import lines_of, passages_of
from prefect_governor.blocks.offline.quotes import Passage, Quote
from prefect_governor.blocks.offline.ranking import MOST_PASSAGES, Ranking, is_overview
from prefect_governor.blocks.prices.tokens import count_tokens

ENCODING = "cl100k_base"
_PER_MESSAGE = 4
_PER_REQUEST = 3
_LONGEST_QUOTE = 320
_LONGEST_SIGNATURE = 140
_OPENS = re.compile(r'^<document key="(.*)">[ \t]*$', re.MULTILINE)
_CLOSES = re.compile(r"^</document>[ \t]*$", re.MULTILINE)
# What tells a model the form of its answer says nothing of what the answer is about.
_ABOUT_FORM = re.compile(r"^(?:\{.*|.*\bJSON (?:object|schema)\b.*)$", re.MULTILINE)
_PART = re.compile(r" \(part \d+ of \d+\)$")
_LABEL = "offline extract (no model was called)"


@dataclass(frozen=True)
class Reply:
    """`finish_reason` is `length` where something had to be cut within a passage to fit."""

    text: str
    input_tokens: int
    output_tokens: int
    finish_reason: Literal["stop", "length"] = "stop"


@dataclass(frozen=True)
class Document:
    """A text of the request, and what it is called there."""

    key: str
    text: str


def answer(
    messages: Sequence[Mapping[str, Any]],
    *,
    max_tokens: int,
    response_format: Mapping[str, Any] | None = None,
) -> Reply:
    """Answer chat messages from their own text, within `max_tokens` tokens.

    In words: a line that says what it is, then three to six quotes with their lines; fewer where
    `max_tokens` asks for it. With a `json_schema` as `response_format`, a JSON value of that
    schema; with `json_object`, the quotes as JSON. Raises ValueError for `max_tokens` below 1 and
    for messages without a user's.
    """
    if max_tokens < 1:
        raise ValueError(f"max_tokens must be at least 1, not {max_tokens}")
    ask, documents = read_messages(messages)
    schema = _schema_of(response_format)
    if response_format is not None and response_format.get("type") == "json_object":
        text, whole = _as_object(ask, documents, max_tokens)
    elif schema is not None:
        rankings = [(each.key, _ranking(each)) for each in documents]
        text, whole = _first_that_fits(
            (fill(schema, ask, rankings, longest=longest, most=most) for longest, most in _SIZES),
            max_tokens,
        )
    else:
        text, whole = _in_words(ask, documents, max_tokens)
    return Reply(
        text=text,
        input_tokens=count_messages(messages) + (_count(json.dumps(schema)) if schema else 0),
        output_tokens=_count(text),
        finish_reason="stop" if whole else "length",
    )


def count_messages(messages: Sequence[Mapping[str, Any]]) -> int:
    """Input tokens of chat messages."""
    return _PER_REQUEST + sum(_PER_MESSAGE + _count(_content(each)) for each in messages)


def read_messages(messages: Sequence[Mapping[str, Any]]) -> tuple[str, list[Document]]:
    """The ask and the documents of chat messages."""
    said = [_content(each) for each in messages if each.get("role") == "user"]
    if not said:
        raise ValueError("the messages hold none of the user's")
    for at in reversed(range(len(said))):
        documents, around = _documents(said[at])
        if documents:
            # What the user said since (a repair, a follow-up) belongs to the ask.
            ask = "\n".join([around, *said[at + 1 :]])
            return _ABOUT_FORM.sub("", ask).strip(), documents
    lines = lines_of(said[-1].rstrip())
    return lines[-1].strip(), [Document("the message", "\n".join(lines[:-1]) or lines[-1])]


def _documents(message: str) -> tuple[list[Document], str]:
    found: list[Document] = []
    around: list[str] = []
    at = 0
    while opening := _OPENS.search(message, at):
        closing = _last_closing(message, opening.end())
        if closing is None:
            break
        around.append(message[at : opening.start()])
        text = message[opening.end() + 1 : max(opening.end() + 1, closing.start() - 1)]
        found.append(Document(opening.group(1), text))
        at = closing.end()
    around.append(message[at:])
    return found, "\n".join(part.strip() for part in around if part.strip())


def _last_closing(message: str, start: int) -> "re.Match[str] | None":
    """The closing line of the document that begins at `start`: its text may hold such a line."""
    closings = list(_CLOSES.finditer(message, start))
    for closing, after in zip(closings, [*closings[1:], None], strict=True):
        following = _OPENS.search(message, closing.end(), after.start() if after else len(message))
        if after is None or following is not None:
            return closing
    return None


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, Mapping))


def _ranking(document: Document) -> Ranking:
    return Ranking(passages_of(document.text, _PART.sub("", document.key)))


def _chosen(ask: str, document: Document) -> tuple[list[Passage], bool, bool]:
    """The passages to quote, best first; whether they answer in words; whether it's an overview."""
    ranking = _ranking(document)
    if is_overview(ask):
        return ranking.best(ranking.central(ask), spread=True), True, True
    scores = ranking.scores(ask)
    if any(score > 0 for score in scores):
        return ranking.best(scores), True, False
    return ranking.best(ranking.central(ask), spread=True), False, True


def _in_words(ask: str, documents: Sequence[Document], max_tokens: int) -> tuple[str, bool]:
    excerpts = [Excerpt.of(each.key, each.text) for each in documents]
    found = [each for each in excerpts if each is not None]
    if found and len(found) == len(documents):
        return _from_excerpts(found, max_tokens)
    sections: list[tuple[str, list[Passage], bool]] = []
    for document in documents:
        passages, answers, overview = _chosen(ask, document)
        lead = f"From {document.key}, {_LABEL}:"
        if not passages:
            lead = f"From {document.key}, {_LABEL}: it holds no text to quote."
        elif not answers:
            lead = (
                f"From {document.key}, {_LABEL}; nothing in it shares a word with the ask,"
                " so these are its most central passages:"
            )
        sections.append((lead, passages, overview))
    most = max((len(passages) for _, passages, _ in sections), default=0)
    # Whole passages go, the least of each document first, until the rest fits.
    for kept in range(most, 0, -1):
        text = _rendered(sections, kept, _LONGEST_QUOTE)
        if _count(text) <= max_tokens:
            return text, True
    if most == 0 and _count(text := _rendered(sections, 0, 0)) <= max_tokens:
        return text, True
    return _cut(_rendered(sections, 1, _LONGEST_QUOTE), max_tokens), False


def _from_excerpts(excerpts: Sequence[Excerpt], max_tokens: int) -> tuple[str, bool]:
    bullets = bullets_of(excerpts)
    lead = f"From {len(excerpts)} excerpts, {_LABEL}:"
    # Whole ones go, the last first, until the rest fits.
    for kept in range(len(bullets), 0, -1):
        text = "\n".join([lead, *bullets[:kept]])
        if _count(text) <= max_tokens:
            return text, True
    return _cut("\n".join([lead, *bullets[:1]]), max_tokens), False


def _rendered(sections: Sequence[tuple[str, list[Passage], bool]], kept: int, longest: int) -> str:
    parts: list[str] = []
    for lead, passages, overview in sections:
        shown = passages[:kept]
        if overview:
            shown = sorted(shown, key=lambda passage: (passage.first, passage.last))
        parts.append("\n".join([lead, *(_bullet(passage, longest) for passage in shown)]))
    return "\n\n".join(parts)


def _bullet(passage: Passage, longest: int) -> str:
    bounds = [_LONGEST_SIGNATURE if passage.kind == "definition" else longest, longest]
    quoted = [
        f'{_place(quote)}: "{clip(quote.text, min(bound, longest))}"'
        for quote, bound in zip(passage.quotes, bounds, strict=False)
    ]
    under = passage.context.split("\n")[0].rsplit(" > ", 1)[-1]
    if passage.kind in {"title", "heading"} or not under:
        return "- " + " ".join(quoted)
    first = quoted[0].replace(":", f" ({clip(under, 60)}):", 1)
    return "- " + " ".join([first, *quoted[1:]])


def _place(quote: Quote) -> str:
    return f"L{quote.first}" if quote.first == quote.last else f"L{quote.first}-{quote.last}"


def clip(text: str, longest: int) -> str:
    """`text` within `longest` characters, cut between words where it can be, marked where it is."""
    if len(text) <= longest:
        return text
    cut = text[: max(0, longest - 1)]
    head = cut.rpartition(" ")[0]
    return (head if len(head) > longest // 2 else cut).rstrip() + "…"


def _as_object(ask: str, documents: Sequence[Document], max_tokens: int) -> tuple[str, bool]:
    picked = [(document.key, _chosen(ask, document)[0]) for document in documents]
    return _first_that_fits(
        (
            {
                "note": _LABEL,
                "quotes": [
                    {"document": key, "line": each.first, "text": clip(each.text, longest)}
                    for key, passages in picked
                    for each in passages[:most]
                ],
            }
            for longest, most in _SIZES
        ),
        max_tokens,
    )


# How long a string and an array may be, from the fullest value to the barest.
_SIZES = ((_LONGEST_QUOTE, MOST_PASSAGES), (160, 4), (80, 2), (40, 1), (12, 1), (1, 0))


def _first_that_fits(values: Any, max_tokens: int) -> tuple[str, bool]:
    text = ""
    for value in values:
        text = json.dumps(value, ensure_ascii=False)
        if _count(text) <= max_tokens:
            return text, True
    return _cut(text, max_tokens), False


def _schema_of(response_format: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if response_format is None or response_format.get("type") != "json_schema":
        return None
    wrapped = response_format.get("json_schema")
    schema = wrapped.get("schema") if isinstance(wrapped, Mapping) else None
    return schema if isinstance(schema, Mapping) else {"type": "object"}


def _cut(text: str, max_tokens: int) -> str:
    """The longest beginning of `text` found to be within `max_tokens`."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if _count(text[:middle]) <= max_tokens:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def _count(text: str) -> int:
    return count_tokens(text, ENCODING)
