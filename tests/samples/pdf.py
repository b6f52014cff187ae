"""PDF files, made by pypdf."""

import io
from collections.abc import Mapping

from pypdf import PdfWriter
from pypdf.annotations import FreeText
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    NameObject,
    NumberObject,
    TextStringObject,
)


def pdf(
    *pages: str,
    password: str | None = None,
    algorithm: str | None = None,
    fields: Mapping[str, str] | None = None,
    remark: str | None = None,
    attached: str | None = None,
) -> bytes:
    """A PDF with a line of text on each page, or none where it is blank; the values of its form's
    `fields`, a `remark` on its first page, an `attached` file's name."""
    writer = PdfWriter()
    for text in pages:
        page = writer.add_blank_page(width=300, height=300)
        font = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Font"),
                NameObject("/Subtype"): NameObject("/Type1"),
                NameObject("/BaseFont"): NameObject("/Helvetica"),
            }
        )
        fonts = DictionaryObject({NameObject("/F1"): font})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        stream = DecodedStreamObject()
        lines = " T* ".join(f"({line}) Tj" for line in text.split("\n")) if text else ""
        stream.set_data(f"BT /F1 12 Tf 14 TL 20 200 Td {lines} ET".encode())
        page[NameObject("/Contents")] = writer._add_object(stream)
    if fields:
        given = [
            writer._add_object(
                DictionaryObject(
                    {
                        NameObject("/FT"): NameObject("/Tx"),
                        NameObject("/T"): TextStringObject(name),
                        NameObject("/V"): TextStringObject(value),
                    }
                )
            )
            for name, value in fields.items()
        ]
        form = DictionaryObject({NameObject("/Fields"): ArrayObject(given)})
        writer.root_object[NameObject("/AcroForm")] = form
    if remark is not None:
        writer.add_annotation(0, FreeText(text=remark, rect=(10, 10, 90, 90)))
    if attached is not None:
        writer.add_attachment(attached, b"bytes")
    if password is not None:
        writer.encrypt(password, algorithm=algorithm)
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def endless_pdf() -> bytes:
    """A PDF whose page tree is its own kid."""
    writer = PdfWriter()
    writer.add_blank_page(width=300, height=300)
    tree = writer.root_object["/Pages"].get_object()
    assert isinstance(tree, DictionaryObject)
    kids = tree["/Kids"]
    assert isinstance(kids, ArrayObject)
    kids.append(writer.root_object.raw_get("/Pages"))
    tree[NameObject("/Count")] = NumberObject(2)
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()
