"""HTML as Markdown: what a person sees of a page."""

import re
from typing import TYPE_CHECKING

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.flows.items.documents.formats.document import Extracted

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

_XML_PROLOG = re.compile(r"^\s*<\?xml[^>]*\?>")
_MANY_BLANK_LINES = re.compile(r"\n{3,}")
_UNSEEN_ELEMENTS = (
    "script",
    "style",
    "noscript",
    "template",
    "head",
    "title",
    "svg",
    "object",
    "embed",
)
_HIDDEN = re.compile(
    r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|opacity\s*:\s*0(?:\.0+)?"
    r"|font-size\s*:\s*0(?:px|pt|em|rem|%)?)\s*(?:!\s*important\s*)?(?:;|$)",
    re.IGNORECASE,
)
_NO_LINK = re.compile(r"\s*(?:javascript|vbscript|data)\s*:", re.IGNORECASE)


def html(markup: str) -> Extracted:
    """A page's text, without what is not shown: scripts, styles, hidden elements, embedded images.
    Raises ItemFailed where nothing is left."""
    text, hidden = _read(_XML_PROLOG.sub("", markup, count=1))
    if not text:
        raise ItemFailed("it holds no text (a page that scripts fill?)")
    return Extracted(text, ("hidden text is left out",) if hidden else ())


def markdown_of(markup: str) -> str:
    """The Markdown of a fragment of HTML; empty where it holds no text."""
    return _read(markup)[0]


def _read(markup: str) -> tuple[str, bool]:
    """The text as Markdown, which keeps headings, lists and tables for whoever reads it, and
    whether there was hidden text beside it."""
    from bs4 import BeautifulSoup
    from markdownify import MarkdownConverter

    soup = BeautifulSoup(markup, "html.parser")
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    hidden = _without_unseen(soup)
    titled = soup.find("h1") is not None
    body = MarkdownConverter(heading_style="ATX").convert_soup(soup)
    text = _MANY_BLANK_LINES.sub("\n\n", body).strip()
    whole = f"# {title}\n\n{text}".strip() if title and text and not titled else text
    return whole, hidden


def _without_unseen(soup: "BeautifulSoup") -> bool:
    """Take out what is not shown; whether there were words in what is hidden."""
    for unseen in soup(_UNSEEN_ELEMENTS):
        unseen.decompose()
    words = False
    for each in soup.find_all(_is_hidden):
        if not each.decomposed:
            words = words or bool(each.get_text(strip=True))
            each.decompose()
    for link in soup.find_all("a", href=_NO_LINK):
        link.unwrap()
    for image in soup.find_all("img", src=_NO_LINK):
        image.replace_with(str(image.get("alt") or ""))
    return words


def _is_hidden(tag: "Tag") -> bool:
    return tag.has_attr("hidden") or _HIDDEN.search(str(tag.get("style") or "")) is not None
