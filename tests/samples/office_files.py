"""Rows of the table: PDF, Word, PowerPoint, OpenDocument, RTF and EPUB."""

import struct

from tests.samples.compound import compound, old_word
from tests.samples.office import (
    docx,
    epub,
    opendocument,
    paragraph,
    pptx,
    shape,
    slide_table,
    xlsx,
    zipped,
)
from tests.samples.pdf import endless_pdf, pdf
from tests.samples.sample import PICTURE, PNG, Sample


def pdf_files() -> list[Sample]:
    scanned = pdf("First", "", "", "", "", "Sixth")
    return [
        Sample(
            "report.pdf", pdf("First page\nsecond line", "Next page"), ("First page", "Next page")
        ),
        Sample(
            "scanned.pdf", scanned, ("First", "Sixth"), note="pages 2 to 5 hold no text (scanned?)"
        ),
        Sample("scan.pdf", pdf("", ""), failure="2 pages hold no text (a scan?)"),
        Sample(
            "form.pdf", pdf("Name", fields={"full_name": "Zoe Quinn"}), ("full_name: Zoe Quinn",)
        ),
        Sample(
            "only-form.pdf",
            pdf("", fields={"city": "Lisbon"}),
            ("city: Lisbon",),
            note="page 1 holds no text (scanned?)",
        ),
        Sample("remark.pdf", pdf("Words", remark="Check this"), ("Words", "Check this")),
        Sample("attached.pdf", pdf("Words", attached="data.xlsx"), note="not read: data.xlsx"),
        Sample("prefixed.pdf", b"HTTP/1.1 200 OK\r\n\r\n" + pdf("After it"), ("After it",)),
        Sample("a-pdf.txt", pdf("Not a text file"), ("Not a text file",), unsent=("endobj",)),
        Sample("no-end.pdf", pdf("Cut at its end")[:-5], ("Cut at its end",)),
        Sample("cut.pdf", pdf("Cut")[:60], failure="the PDF cannot be read"),
        Sample("no.pdf", b"plain words", failure="it does not begin like one"),
        Sample("secret.pdf", pdf("x", password="p"), failure="protected by a password"),
        Sample("open.pdf", pdf("Opens for all", password=""), ("Opens for all",)),
        Sample("aes.pdf", pdf("AES", password="", algorithm="AES-256"), ("AES",)),
        Sample("endless.pdf", endless_pdf(), failure="the PDF"),
    ]


def word_files() -> list[Sample]:
    rich = docx(
        '<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Body words</w:t></w:r></w:p>'
        '<w:p><w:r><w:t>Noted</w:t></w:r><w:r><w:footnoteReference w:id="2"/></w:r></w:p>'
        '<w:p><w:commentRangeStart w:id="0"/><w:r><w:t>Commented</w:t></w:r><w:commentRangeEnd'
        ' w:id="0"/><w:r><w:commentReference w:id="0"/></w:r></w:p>'
        "<w:tbl><w:tr><w:tc>"
        + paragraph("cell 1")
        + "</w:tc><w:tc>"
        + paragraph("cell 2")
        + "</w:tc></w:tr></w:tbl>"
        '<w:sectPr><w:headerReference w:type="default" r:id="header1"/>'
        '<w:footerReference w:type="default" r:id="footer1"/></w:sectPr>',
        {
            "header1": paragraph("The header"),
            "footer1": paragraph("The footer"),
            "footnotes": f'<w:footnote w:id="2">{paragraph("The footnote")}</w:footnote>',
            "comments": '<w:comment w:id="0" w:author="Ann">'
            + paragraph("The comment")
            + "</w:comment>",
        },
    )
    tracked = docx(
        '<w:p><w:r><w:t>Kept </w:t></w:r><w:ins w:id="1" w:author="A"><w:r><w:t>added</w:t></w:r>'
        '</w:ins><w:del w:id="2"><w:r><w:delText>struck</w:delText></w:r></w:del></w:p>'
    )
    boxed = docx(
        "<w:p><w:r><mc:AlternateContent><mc:Choice Requires='wps'><w:drawing><wp:inline><a:graphic>"
        "<a:graphicData uri='http://schemas.microsoft.com/office/word/2010/wordprocessingShape'>"
        f"<wps:wsp><wps:txbx><w:txbxContent>{paragraph('In a box')}</w:txbxContent></wps:txbx>"
        "</wps:wsp></a:graphicData></a:graphic></wp:inline></w:drawing></mc:Choice></mc:AlternateContent>"
        "</w:r></w:p>"
    )
    hidden = docx(
        paragraph("Shown")
        + "<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>not to be seen</w:t></w:r></w:p>"
    )
    picture = {"word/media/image1.png": PNG}
    bomb = docx(paragraph("x"), more={"word/media/bomb.bin": bytes(54_321)})
    # It says, as a bomb does, that it becomes 2 GB.
    bomb = bomb.replace(struct.pack("<I", 54_321), struct.pack("<I", 2**31 - 1))
    said = (
        "Body words",
        "The header",
        "The footer",
        "The footnote",
        "The comment",
        "cell 1 | cell 2",
    )
    return [
        Sample("report.docx", rich, said),
        Sample("report.docm", rich, said),
        Sample("named-old.doc", rich, ("Body words",), unsent=("PK",)),
        Sample("named-text.txt", rich, ("Body words",), unsent=("PK",)),
        Sample("no-suffix", rich, ("Body words",), unsent=("PK",)),
        Sample(
            "tracked.docx",
            tracked,
            ("Kept added",),
            ("struck",),
            "tracked changes are read as accepted",
        ),
        Sample("boxed.docx", boxed, ("In a box",)),
        Sample("hidden.docx", hidden, ("Shown",), ("not to be seen",), "hidden text is left out"),
        Sample("picture.docx", docx(paragraph("Words"), more=picture), ("Words",)),
        Sample(
            "photo.docx",
            docx("", more=picture),
            failure="no text but 1 pictures; run it through OCR",
        ),
        Sample(
            "embedding.docx",
            docx(paragraph("Words"), more={"word/embeddings/sheet.xlsx": b"x"}),
            note="embedded files are not read: sheet.xlsx",
        ),
        Sample("empty.docx", docx(paragraph("")), failure="holds no text"),
        Sample("bomb.docx", bomb, failure="bytes unpacked, at most"),
        Sample("cut.docx", rich[:-400], failure="cannot be read"),
        Sample("words.docx", b"plain words", failure="it does not begin like one"),
        Sample(
            "locked.docx",
            compound({"EncryptedPackage": bytes(5000), "EncryptionInfo": bytes(9)}),
            failure="protected by a password",
        ),
        Sample("old.doc", old_word("Old words of Zoë.\n"), ("Old words of Zoë.",)),
        Sample(
            "page.doc",
            b"<html><body><p>Saved as a page</p></body></html>",
            ("Saved as a page",),
            ("<p>",),
        ),
        Sample("rich.doc", b"{\\rtf1\\ansi Rich words\\par}", ("Rich words",), ("rtf1",)),
        Sample("other.doc", compound({"Contents": bytes(9)}), failure="old program"),
        Sample("workbook.txt", xlsx(("name", "price"), ("tea", "3,50")), ("tea", "3,50"), ("PK",)),
    ]


def slides_files() -> list[Sample]:
    deck = pptx(
        shape("Title one") + shape("Point A\nPoint B") + slide_table(("h1", "h2"), ("v1", "v2")),
        f"<p:grpSp><p:nvGrpSpPr/><p:grpSpPr/>{shape('In a group')}</p:grpSp>",
        notes={1: "Say hello"},
    )
    said = ("Title one", "Point A", "Point B", "v1 | v2", "Say hello", "In a group")
    return [
        Sample("deck.pptx", deck, said),
        Sample("deck.ppsx", deck, said),
        Sample(
            "hidden.pptx",
            pptx(shape("A"), shape("B"), hidden=(2,)),
            ("A", "B"),
            note="1 hidden slides",
        ),
        Sample("empty.pptx", pptx(shape("")), failure="holds no text"),
        Sample("cut.pptx", deck[:900], failure="cannot be read"),
    ]


def open_files() -> list[Sample]:
    text = opendocument(
        "text",
        "<text:tracked-changes><text:changed-region><text:deletion><text:p>struck</text:p>"
        "</text:deletion></text:changed-region></text:tracked-changes>"
        '<text:h text:outline-level="2">Heading</text:h><text:p>Plain<text:s text:c="2"/>words'
        "<office:annotation><dc:creator>Ann"
        "</dc:creator><text:p>The comment</text:p></office:annotation><text:note>"
        "<text:note-citation>1</text:note-citation>"
        "<text:note-body><text:p>The footnote</text:p></text:note-body>"
        "</text:note></text:p><table:table><table:table-row><table:table-cell><text:p>a</text:p>"
        "</table:table-cell><table:table-cell><text:p>b</text:p></table:table-cell></table:table-row>"
        "</table:table><text:p><draw:frame><draw:text-box><text:p>In a box</text:p></draw:text-box>"
        f"<draw:image><office:binary-data>{PICTURE}</office:binary-data></draw:image></draw:frame>"
        "</text:p>",
        margins="<style:header><text:p>The header</text:p></style:header>"
        "<style:footer><text:p>The footer</text:p></style:footer>",
    )
    slides = opendocument(
        "presentation",
        '<draw:page draw:name="Start"><draw:frame><draw:text-box><text:p>Slide words</text:p>'
        "</draw:text-box></draw:frame><draw:custom-shape><text:p>Shape words</text:p>"
        "</draw:custom-shape><presentation:notes><draw:frame><draw:text-box>"
        "<text:p>Say hello</text:p></draw:text-box></draw:frame></presentation:notes></draw:page>",
    )
    sheet = opendocument(
        "spreadsheet",
        "<table:table table:name='Prices'><table:table-row><table:table-cell><text:p>tea</text:p>"
        "</table:table-cell><table:table-cell><text:p>3,50</text:p></table:table-cell>"
        "<table:table-cell table:number-columns-repeated='16382'/></table:table-row>"
        "<table:table-row table:number-rows-repeated='1048575'><table:table-cell"
        " table:number-columns-repeated='16384'/></table:table-row></table:table>",
    )
    locked = {"META-INF/manifest.xml": "<manifest><encryption-data/></manifest>"}
    lol = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]><x>&b;</x>"
    said = ("## Heading", "Plain words", "The comment", "The footnote", "| a | b |", "In a box",
            "The header", "The footer")  # fmt: skip
    return [
        Sample(
            "letter.odt",
            text,
            said,
            (PICTURE[:40], "struck"),
            note="tracked changes are read as accepted",
        ),
        Sample(
            "slides.odp", slides, ("Start", "Slide words", "Shape words", "Notes:", "Say hello")
        ),
        Sample("sheet.txt", sheet, ("Prices", "tea", "3,50")),
        Sample(
            "locked.odt", opendocument("text", "", more=locked), failure="protected by a password"
        ),
        Sample(
            "entities.odt",
            zipped(
                {"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": lol},
                stored=("mimetype",),
            ),
            failure="XML entities",
        ),
        Sample("cut.odt", text[:500], failure="cannot be read"),
        Sample("empty.odt", opendocument("text", "<text:p/>"), failure="holds no text"),
        Sample(
            "paper.rtf",
            b"{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0 Arial;}}{\\header The header}caf"
            b"\\'e9 \\u8364?\\par{\\pict\\pngblip "
            + PNG.hex().encode()
            + b"}{\\footnote The footnote}\\par The end}",
            ("café", "€", "The header", "The footnote", "The end"),
            (PNG.hex()[:40], "Arial"),
        ),
        Sample("plain.rtf", b"Plain words in it", ("Plain words in it",)),
        Sample(
            "book.epub",
            epub("<h1>One</h1><p>first words</p>", "<h1>Two</h1>"),
            ("# One\n\nfirst words\n\n# Two",),
        ),
        Sample(
            "shop.epub",
            epub("x", more={"META-INF/rights.xml": "<rights/>"}),
            failure="protected (DRM)",
        ),
        Sample("no-chapter.epub", epub(), failure="it names no chapters"),
    ]
