"""Word, PowerPoint and Excel files (Office Open XML), and OpenDocument's, part by part."""

import io
import zipfile
from collections.abc import Mapping

_SCHEMAS = "http://schemas.openxmlformats.org"
_WORD = (
    f'xmlns:w="{_SCHEMAS}/wordprocessingml/2006/main"'
    f' xmlns:a="{_SCHEMAS}/drawingml/2006/main"'
    f' xmlns:r="{_SCHEMAS}/officeDocument/2006/relationships"'
    f' xmlns:wp="{_SCHEMAS}/drawingml/2006/wordprocessingDrawing"'
    ' xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    ' xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape"'
    ' xmlns:v="urn:schemas-microsoft-com:vml"'
)
_SLIDE = (
    f'xmlns:p="{_SCHEMAS}/presentationml/2006/main" xmlns:a="{_SCHEMAS}/drawingml/2006/main"'
    f' xmlns:r="{_SCHEMAS}/officeDocument/2006/relationships"'
)
_MAIN = {
    "word/document.xml": "wordprocessingml.document",
    "ppt/presentation.xml": "presentationml.presentation",
    "xl/workbook.xml": "spreadsheetml.sheet",
}


def zipped(parts: Mapping[str, str | bytes], *, stored: tuple[str, ...] = ()) -> bytes:
    """A zip of these members; those of `stored` are not compressed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            how = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            archive.writestr(name, content, how)
    return file.getvalue()


def package(main: str, parts: Mapping[str, str | bytes], types: Mapping[str, str]) -> bytes:
    """An office package whose first part is `main`; `types` are the content types of its others."""
    overrides = "".join(
        f'<Override PartName="/{name}" ContentType='
        f'"application/vnd.openxmlformats-officedocument.{kind}+xml"/>'
        for name, kind in {main: f"{_MAIN[main]}.main", **types}.items()
    )
    return zipped(
        {
            "[Content_Types].xml": f'<Types xmlns="{_SCHEMAS}/package/2006/content-types">'
            '<Default Extension="rels" ContentType='
            '"application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>',
            "_rels/.rels": relations({"r1": ("officeDocument", main)}),
            **parts,
        }
    )


def relations(given: Mapping[str, tuple[str, str]]) -> str:
    """A part's relations: by id the kind and the target."""
    each = "".join(
        f'<Relationship Id="{name}" Type="{_SCHEMAS}/officeDocument/2006/relationships/{kind}"'
        f' Target="{target}"/>'
        for name, (kind, target) in given.items()
    )
    return f'<Relationships xmlns="{_SCHEMAS}/package/2006/relationships">{each}</Relationships>'


def paragraph(text: str) -> str:
    return f'<w:p><w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def docx(
    body: str,
    beside: Mapping[str, str] | None = None,
    more: Mapping[str, str | bytes] | None = None,
) -> bytes:
    """A Word document of this body, with the parts that stand beside it ("header1", "comments"),
    and `more` members."""
    parts: dict[str, str | bytes] = {
        "word/document.xml": f"<w:document {_WORD}><w:body>{body}</w:body></w:document>"
    }
    kinds = {name: name.rstrip("0123456789") for name in beside or ()}
    roots = {"header": "hdr", "footer": "ftr"}
    for name, content in (beside or {}).items():
        root = roots.get(kinds[name], kinds[name])
        parts[f"word/{name}.xml"] = f"<w:{root} {_WORD}>{content}</w:{root}>"
    parts["word/_rels/document.xml.rels"] = relations(
        {name: (kind, f"{name}.xml") for name, kind in kinds.items()}
    )
    types = {f"word/{name}.xml": f"wordprocessingml.{kind}" for name, kind in kinds.items()}
    return package("word/document.xml", {**parts, **(more or {})}, types)


def shape(text: str) -> str:
    """A box of a slide."""
    lines = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in text.split("\n"))
    return (
        '<p:sp><p:nvSpPr><p:cNvPr id="2" name="Box"/><p:cNvSpPr/><p:nvPr/></p:nvSpPr><p:spPr/>'
        f"<p:txBody><a:bodyPr/>{lines}</p:txBody></p:sp>"
    )


def slide_table(*rows: tuple[str, ...]) -> str:
    cells = "".join(
        "<a:tr h='1'>"
        + "".join(
            f"<a:tc><a:txBody><a:bodyPr/><a:p><a:r><a:t>{cell}</a:t></a:r></a:p></a:txBody></a:tc>"
            for cell in row
        )
        + "</a:tr>"
        for row in rows
    )
    grid = "<a:gridCol w='1'/>" * len(rows[0])
    return (
        '<p:graphicFrame><p:nvGraphicFramePr><p:cNvPr id="4" name="Table"/><p:cNvGraphicFramePr/>'
        "<p:nvPr/></p:nvGraphicFramePr><p:xfrm/><a:graphic><a:graphicData uri="
        f'"{_SCHEMAS}/drawingml/2006/table"><a:tbl><a:tblPr/><a:tblGrid>{grid}</a:tblGrid>{cells}'
        "</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
    )


def pptx(
    *slides: str, notes: Mapping[int, str] | None = None, hidden: tuple[int, ...] = ()
) -> bytes:
    """Slides of these shapes; the `notes` of each by its number, from 1."""
    parts: dict[str, str | bytes] = {}
    types = {}
    listed = ""
    for at, shapes in enumerate(slides, 1):
        listed += f'<p:sldId id="{255 + at}" r:id="s{at}"/>'
        show = ' show="0"' if at in hidden else ""
        parts[f"ppt/slides/slide{at}.xml"] = (
            f"<p:sld {_SLIDE}{show}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"
        )
        types[f"ppt/slides/slide{at}.xml"] = "presentationml.slide"
        if said := (notes or {}).get(at):
            placeholder = shape(said).replace(
                "<p:nvPr/>", '<p:nvPr><p:ph type="body" idx="1"/></p:nvPr>'
            )
            parts[f"ppt/notesSlides/notesSlide{at}.xml"] = (
                f"<p:notes {_SLIDE}><p:cSld><p:spTree>{placeholder}</p:spTree></p:cSld></p:notes>"
            )
            types[f"ppt/notesSlides/notesSlide{at}.xml"] = "presentationml.notesSlide"
            parts[f"ppt/slides/_rels/slide{at}.xml.rels"] = relations(
                {"n1": ("notesSlide", f"../notesSlides/notesSlide{at}.xml")}
            )
    parts["ppt/presentation.xml"] = (
        f"<p:presentation {_SLIDE}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>"
    )
    parts["ppt/_rels/presentation.xml.rels"] = relations(
        {f"s{at}": ("slide", f"slides/slide{at}.xml") for at in range(1, len(slides) + 1)}
    )
    return package("ppt/presentation.xml", parts, types)


def xlsx(*rows: tuple[str, ...]) -> bytes:
    """A workbook of one sheet of texts."""
    cells = "".join(
        "<row>" + "".join(f'<c t="inlineStr"><is><t>{each}</t></is></c>' for each in row) + "</row>"
        for row in rows
    )
    space = f'xmlns="{_SCHEMAS}/spreadsheetml/2006/main"'
    relation = f'xmlns:r="{_SCHEMAS}/officeDocument/2006/relationships"'
    return package(
        "xl/workbook.xml",
        {
            "xl/workbook.xml": f'<workbook {space} {relation}><sheets><sheet name="Sheet1"'
            ' sheetId="1" r:id="s1"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": relations({"s1": ("worksheet", "worksheets/sheet1.xml")}),
            "xl/worksheets/sheet1.xml": f"<worksheet {space}><sheetData>{cells}</sheetData>"
            "</worksheet>",
        },
        {"xl/worksheets/sheet1.xml": "spreadsheetml.worksheet"},
    )


_OPEN = (
    "".join(
        f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{space}:1.0"'
        for name, space in (
            ("office", "office"),
            ("text", "text"),
            ("table", "table"),
            ("draw", "drawing"),
            ("style", "style"),
            ("presentation", "presentation"),
        )
    )
    + ' xmlns:dc="http://purl.org/dc/elements/1.1/"'
)


def opendocument(
    kind: str, body: str, *, margins: str = "", more: Mapping[str, str | bytes] | None = None
) -> bytes:
    """An OpenDocument "text", "presentation" or "spreadsheet"; `margins` stand on its pages."""
    styles = (
        f"<office:document-styles{_OPEN}><office:master-styles><style:master-page>{margins}"
        "</style:master-page></office:master-styles></office:document-styles>"
    )
    return zipped(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "content.xml": f"<office:document-content{_OPEN}><office:body><office:{kind}>{body}"
            f"</office:{kind}></office:body></office:document-content>",
            "styles.xml": styles,
            **(more or {}),
        },
        stored=("mimetype",),
    )


def epub(*chapters: str, more: Mapping[str, str | bytes] | None = None) -> bytes:
    """A book of these chapters, in this order, whose files are named in the other."""
    names = [f"chapter{len(chapters) - at}.xhtml" for at in range(len(chapters))]
    items = "".join(f'<item id="i{at}" href="{name}"/>' for at, name in enumerate(names))
    spine = "".join(f'<itemref idref="i{at}"/>' for at in range(len(chapters)))
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:'
            'container"><rootfiles><rootfile full-path="OEBPS/content.opf"/></rootfiles>'
            "</container>",
            "OEBPS/content.opf": '<package xmlns="http://www.idpf.org/2007/opf"><manifest>'
            f"{items}</manifest><spine>{spine}</spine></package>",
            **{
                f"OEBPS/{name}": f"<html xmlns='http://www.w3.org/1999/xhtml'><body>{text}</body></html>"
                for name, text in zip(names, chapters, strict=True)
            },
            **(more or {}),
        },
        stored=("mimetype",),
    )
