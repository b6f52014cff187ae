"""EPUB: its chapters in the order in which they are read."""

import posixpath
from urllib.parse import unquote
from zipfile import ZipFile

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.flows.items.documents.formats.document import Extracted
from prefect_governor.flows.items.documents.formats.markup import markdown_of
from prefect_governor.flows.items.documents.formats.zips import member, opened, tree_of

# Fonts may be scrambled in a book that is open otherwise.
_SCRAMBLED_FONTS = (b"http://www.idpf.org/2008/embedding", b"http://ns.adobe.com/pdf/enc#RC")


def epub(data: bytes) -> Extracted:
    """The chapters of its spine, as Markdown. Raises ItemFailed for one that is protected, and
    where no chapter is there."""
    with opened(data) as archive:
        encryption = member(archive, "META-INF/encryption.xml")
        for allowed in _SCRAMBLED_FONTS:
            encryption = encryption.replace(allowed, b"")
        if b'Algorithm="http' in encryption or "META-INF/rights.xml" in archive.namelist():
            raise ItemFailed("it is protected (DRM): only its shop's program reads it")
        chapters = _chapters(archive)
        missing = [name for name in chapters if name not in archive.namelist()]
        texts = [markdown_of(_decoded(member(archive, name))) for name in chapters]
    if not chapters:
        raise ItemFailed("it names no chapters")
    notes = (f"{len(missing)} chapters are missing in it",) if missing else ()
    return Extracted("\n\n".join(text for text in texts if text), notes)


def _decoded(data: bytes) -> str:
    """EPUB is UTF-8 or UTF-16 (EPUB 3.3, 3.9)."""
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    return data.decode("utf-16" if wide else "utf-8-sig", "replace")


def _chapters(archive: ZipFile) -> list[str]:
    container = tree_of(member(archive, "META-INF/container.xml"))
    package = next(
        (
            name
            for each in container.iter()
            if each.tag.rpartition("}")[2] == "rootfile" and (name := each.get("full-path"))
        ),
        None,
    )
    if package is None:
        return []
    tree = tree_of(member(archive, package))
    folder = posixpath.dirname(package)
    files = {}
    for each in tree.iter():
        if each.tag.rpartition("}")[2] == "item":
            files[each.get("id")] = posixpath.normpath(
                posixpath.join(folder, unquote(each.get("href") or ""))
            )
    return [
        files[each.get("idref")]
        for each in tree.iter()
        if each.tag.rpartition("}")[2] == "itemref" and each.get("idref") in files
    ]
