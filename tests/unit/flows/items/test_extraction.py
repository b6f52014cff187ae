"""An item's text: any encoding, PDF, DOCX and HTML; what cannot be read fails with its reason."""

import os
from pathlib import Path
from typing import Any

import pytest

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.flows.items.documents.formats.document import Document
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.sources import read_text
from tests.samples.pdf import pdf
from tests.samples.sample import PICTURE

TEXT = "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. Ça va très bien, merci.\n"


def item(path: Path) -> Item:
    return Item(key=path.name, source=str(path))


def write(tmp_path: Path, name: str, data: bytes) -> Item:
    (tmp_path / name).write_bytes(data)
    return item(tmp_path / name)


def failure(given: Item, **options: Any) -> str:
    with pytest.raises(ItemFailed) as caught:
        read_text(given, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"],
)
def test_text_of_any_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    assert read_text(write(tmp_path, "a.txt", TEXT.encode(encoding))).text == TEXT


def test_a_pdf_tells_its_text_and_its_pages(tmp_path: Path) -> None:
    document = read_text(write(tmp_path, "a.pdf", pdf("First page\nsecond line", "Next page")))
    assert document.text == "First page\nsecond line\n\nNext page"
    assert document.kind == "pdf"
    assert document.pages == (1, 4)
    assert [document.page_of(line) for line in (1, 2, 4)] == [1, 1, 2]


def test_a_pdf_is_known_by_its_bytes(tmp_path: Path) -> None:
    assert read_text(write(tmp_path, "report", pdf("Words"))).kind == "pdf"


def test_a_pdf_that_gives_no_text_says_why(tmp_path: Path) -> None:
    assert "protected by a password" in failure(write(tmp_path, "a.pdf", pdf("x", password="p")))
    assert read_text(write(tmp_path, "b.pdf", pdf("Open", password=""))).text == "Open"
    assert "1 pages hold no text (a scan?)" in failure(write(tmp_path, "c.pdf", pdf("")))
    assert "the PDF cannot be read" in failure(write(tmp_path, "d.pdf", pdf("x")[:60]))
    assert "the PDF cannot be read" in failure(write(tmp_path, "e.pdf", b"plain words"))


def test_html_in_its_own_encoding_is_read(tmp_path: Path) -> None:
    page = f'<meta charset="iso-8859-1"><p>{TEXT}</p>'.encode("latin-1")
    assert TEXT.strip() in read_text(write(tmp_path, "a.htm", page)).text
    assert "scripts fill" in failure(write(tmp_path, "b.html", b"<script>x</script>"))
    deep = b"<div>" * 5_000 + b"x"
    assert "the HTML cannot be read" in failure(write(tmp_path, "c.html", deep))


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    assert failure(item(tmp_path / "gone.txt")) == "the file is gone"
    assert "is a folder" in failure(item(tmp_path))
    assert failure(write(tmp_path, "a.txt", b"")) == "the file is empty"
    assert "only white space" in failure(write(tmp_path, "b.txt", b" \n\t\n"))
    assert "is binary" in failure(write(tmp_path, "c.txt", b"\x7fELF\0\0\1\2"))
    assert failure(write(tmp_path, "d.txt", b"x" * 1234), max_bytes=1000) == (
        "the file is too large: 1,234 bytes, at most 1,000 are read"
    )
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "symbolic links" in failure(item(tmp_path / "loop"))
    assert "embedded null" in failure(Item(key="x", source="a\0b"))


@pytest.mark.skipif(os.name == "nt", reason="there are no FIFOs")
def test_a_pipe_with_nobody_at_the_other_end_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in failure(item(tmp_path / "pipe"))


@pytest.mark.skipif(os.name == "nt", reason="permissions are POSIX's")
def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    given = write(tmp_path, "a.txt", b"secret")
    (tmp_path / "a.txt").chmod(0)
    user = os.geteuid()
    if user == 0:
        # Root may read everything: look as nobody does.
        os.seteuid(65534)
    try:
        assert "permission denied" in failure(given)
    finally:
        os.seteuid(user)


def test_bytes_that_stand_in_an_items_own_text_are_left_out_and_said() -> None:
    given = Item(key="row", text=f"<p>Tea</p><img src='data:image/png;base64,{PICTURE}'>")
    document = read_text(given)
    assert document.text == "<p>Tea</p><img src='data:image/png;base64,…'>"
    (note,) = document.notes
    assert note.startswith("embedded bytes are left out: image/png (")


@pytest.mark.parametrize(
    "text",
    [
        "data:text/plain;base64,aGVsbG8= is an icon's worth",
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 of /9j/ in a path",
        "-----BEGIN CERTIFICATE-----\nMIIBszCCARygAwIBAgIBADANBg\n-----END CERTIFICATE-----",
        "UEsDB begins a zip; iVBORw0KGgo a picture",
    ],
)
def test_what_only_looks_like_bytes_is_sent_as_it_is(text: str) -> None:
    assert read_text(Item(key="a", text=text)) == Document("a", text)


def test_bytes_broken_into_lines_end_where_they_end() -> None:
    lines = "\n".join(PICTURE[at : at + 76] for at in range(0, len(PICTURE), 76))
    text = f"Photo:\n{lines}\n\nRegards\nAnn of Sales\n"
    assert read_text(Item(key="a", text=text)).text == "Photo:\n…\n\nRegards\nAnn of Sales\n"


def test_an_items_own_text_is_its_text() -> None:
    assert read_text(Item(key="a", text="Words.", source="/gone")).text == "Words."
    assert failure(Item(key="a", text=" ")) == "the item's text is empty"
    assert "neither a text nor a file" in failure(Item(key="a"))
