"""A fetched page as a text of numbered lines."""

import codecs
import re
from collections.abc import Iterator

import anyio.to_thread

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.blocks.offline.passages import lines_of
from prefect_governor.flows.agent.corpus import Source
from prefect_governor.flows.items.documents.extraction import document_of, is_plain
from prefect_governor.flows.items.documents.formats.document import Document
from prefect_governor.flows.web.extractor import MOST_CHARACTERS
from prefect_governor.flows.web.network.fetching import Fetched
from prefect_governor.flows.web.network.guard import NotFetched
from prefect_governor.flows.web.reader import read_in_process

# A line that is longer is cut at blanks: a whole page in one line could not be cited, nor read on.
_LONGEST_LINE = 500
# The last line of a page that is too long.
_CUT = "… the rest of the page was left out: it is too long"

_SUFFIXES = {
    "text/html": ".html",
    "application/xhtml+xml": ".xhtml",
    "application/pdf": ".pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
}
_LOOKS_LIKE_HTML = re.compile(rb"\s{0,99}<(?:!doctype\s+html|html)\b", re.IGNORECASE)
# Characters that turn what stands around them, or are not seen: a page could show a person other
# words than a model.
_UNSEEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")


async def page_of(fetched: Fetched, *, seconds: float) -> Source:
    """The lines of a page, named by its URL. Raises NotFetched for one that holds no text, or whose
    text is not to be had in so many seconds."""
    suffix = _SUFFIXES.get(fetched.media_type, "")
    if not fetched.media_type and _LOOKS_LIKE_HTML.match(fetched.data[:512]):
        suffix = ".html"
    data = fetched.data
    if suffix in ("", ".html", ".xhtml") and fetched.charset is not None:
        # The header goes before what the page says of itself.
        data = codecs.BOM_UTF8 + data.decode(fetched.charset, "replace").encode("utf-8", "replace")
    if suffix == "" and _is_plain(data):
        document = await anyio.to_thread.run_sync(_plain, fetched.url, data)
    else:
        document = await read_in_process(fetched.url, data, suffix=suffix, seconds=seconds)
    return await anyio.to_thread.run_sync(_source, fetched.url, document.text, document.pages)


def _is_plain(data: bytes) -> bool:
    """Text that nothing has to be taken out of, or guessed."""
    try:
        data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return is_plain("", data)


def _plain(url: str, data: bytes) -> Document:
    try:
        return document_of(url, data, suffix="")
    except ItemFailed as error:
        raise NotFetched(f"no text in it: {error}") from None


def _source(name: str, text: str, pages: tuple[int, ...]) -> Source:
    cut = len(text) > MOST_CHARACTERS
    lines: list[str] = []
    # Where each line of the text begins among those that it is cut into.
    began: list[int] = []
    for line in lines_of(_UNSEEN.sub("", text[:MOST_CHARACTERS])):
        began.append(len(lines) + 1)
        lines += _pieces(line)
    if cut:
        lines.append(_CUT)
    starts = tuple(began[page - 1] for page in pages if page <= len(began))
    return Source(name, tuple(lines), starts)


def _pieces(line: str) -> Iterator[str]:
    while len(line) > _LONGEST_LINE:
        blank = line.rfind(" ", _LONGEST_LINE // 2, _LONGEST_LINE)
        at = _LONGEST_LINE if blank < 0 else blank
        yield line[:at]
        line = line[at:].lstrip(" ")
    yield line
