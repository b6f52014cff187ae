"""OpenDocument texts, presentations and spreadsheets.

Its XML is turned into HTML, tag by tag, and that into Markdown: odfdo 3.27 and odfpy 1.4 lose the
words of shapes, of comments or of tables without a word, and take minutes over repeated rows.
"""

from collections.abc import Iterator
from html import escape
from xml.etree.ElementTree import Element

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.flows.items.documents.formats.document import Extracted
from prefect_governor.flows.items.documents.formats.markup import markdown_of
from prefect_governor.flows.items.documents.formats.zips import member, opened, tree_of

_NAMESPACE = "urn:oasis:names:tc:opendocument:xmlns:"
_DUBLIN_CORE = "http://purl.org/dc/elements/1.1/"
# An empty cell or row may stand for a million; one with text is repeated as often.
_MOST_REPEATS = 100

_BLOCKS = {
    "text:p": "p",
    "text:list": "ul",
    "text:list-item": "li",
    "text:list-header": "li",
    "table:table": "table",
}
# Said elsewhere, or by nobody.
_DROPPED = frozenset(
    {
        "text:tracked-changes",
        "text:note-citation",
        "text:sequence-decls",
        "text:variable-decls",
        "office:forms",
        "office:event-listeners",
        "office:binary-data",
        "table:shapes",
        "presentation:settings",
        "svg-compatible:title",
        "svg-compatible:desc",
        "meta:date-string",
        "dc:date",
    }
)


def opendocument(data: bytes) -> Extracted:
    """The text, as Markdown; headers and footers around it. Raises ItemFailed for what needs a
    password."""
    notes = []
    with opened(data) as archive:
        if b"encryption-data" in member(archive, "META-INF/manifest.xml"):
            raise ItemFailed("it is protected by a password; save a copy without one")
        content = tree_of(member(archive, "content.xml"))
        styles = member(archive, "styles.xml")
        embedded = [name for name in archive.namelist() if name.endswith("/content.xml")]
    headers, footers = _margins(tree_of(styles)) if styles.strip() else ([], [])
    if any(_name(each) == "text:tracked-changes" for each in content.iter()):
        notes.append("tracked changes are read as accepted")
    if embedded:
        notes.append(f"{len(embedded)} embedded objects are not read")
    body = "".join(_html(each) for each in content.iter() if _name(each) == "office:body")
    text = markdown_of("".join((*headers, body, *footers)))
    return Extracted(text, tuple(notes))


def _margins(styles: Element) -> tuple[list[str], list[str]]:
    """The headers and the footers of all pages, each once."""
    found: dict[str, list[str]] = {"header": [], "footer": []}
    for each in styles.iter():
        space, _, name = _name(each).partition(":")
        kind = name.partition("-")[0]
        if space == "style" and name in (
            "header",
            "footer",
            *(f"{kind}-{which}" for which in ("left", "first") if kind in found),
        ):
            html = _inner(each)
            if html not in found[kind]:
                found[kind].append(html)
    return found["header"], found["footer"]


def _name(element: Element) -> str:
    """An element's name as documents write it: "text:p"."""
    if not isinstance(element.tag, str):
        return ""
    space, _, name = element.tag.rpartition("}")
    space = space.removeprefix("{").removeprefix(_NAMESPACE)
    return f"{'dc' if space == _DUBLIN_CORE else space.partition(':')[0]}:{name}"


def _attribute(element: Element, name: str) -> str | None:
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return value
    return None


def _repeats(element: Element, name: str) -> int:
    given = _attribute(element, name) or "1"
    return min(int(given), _MOST_REPEATS) if given.isdigit() and len(given) < 10 else 1


def _inner(element: Element) -> str:
    return escape(element.text or "") + "".join(
        _html(each) + escape(each.tail or "") for each in element
    )


def _html(element: Element) -> str:
    name = _name(element)
    if name in _DROPPED or not name:
        return ""
    if name in _BLOCKS:
        tag = _BLOCKS[name]
        inner = "".join(_rows(element)) if tag == "table" else _inner(element)
        return f"<{tag}>{inner}</{tag}>"
    match name:
        case "text:h":
            level = _attribute(element, "outline-level") or "1"
            tag = f"h{level if level in tuple('123456') else 6}"
            return f"<{tag}>{_inner(element)}</{tag}>"
        case "text:s":
            return " " * _repeats(element, "c")
        case "text:tab":
            return " "
        case "text:line-break":
            return "<br/>"
        case "text:note":
            return f" [note: {_flat(element)}]"
        case "office:annotation":
            return f" [comment: {_flat(element)}]"
        case "drawing:page":
            return f"<h2>{escape(_attribute(element, 'name') or 'Slide')}</h2>{_inner(element)}"
        case "presentation:notes":
            return f"<p>Notes:</p>{_inner(element)}"
        case "drawing:frame" | "drawing:text-box" | "drawing:custom-shape":
            return f"<div>{_inner(element)}</div>"
    return _inner(element)


def _flat(element: Element) -> str:
    """Words in a line: who said it and what."""
    words = []
    for each in element.iter():
        if _name(each) in ("text:p", "dc:creator"):
            words.append(" ".join("".join(each.itertext()).split()))
    return escape(": ".join(each for each in words if each))


def _rows(table: Element) -> Iterator[str]:
    """A table's rows; those that are empty, and the empty cells at a row's end, are left out."""
    name = _attribute(table, "name")
    if name:
        yield f"<caption>{escape(name)}</caption>"
    for row in table.iter():
        if _name(row) != "table:table-row":
            continue
        cells: list[str] = []
        for cell in row:
            if _name(cell) in ("table:table-cell", "table:covered-table-cell"):
                cells += [_inner(cell)] * _repeats(cell, "number-columns-repeated")
        while cells and not cells[-1].strip():
            cells.pop()
        if cells:
            html = "<tr>" + "".join(f"<td>{each}</td>" for each in cells) + "</tr>"
            yield html * _repeats(row, "number-rows-repeated")
