"""Rows of the table: mail, HTML, notebooks, texts with bytes in them, and what nothing reads."""

import gzip
import io
import json
import tarfile
from typing import Any

from tests.samples.compound import outlook
from tests.samples.office import docx, paragraph, zipped
from tests.samples.sample import PICTURE, PNG, Sample


def mail_files() -> list[Sample]:
    head = (
        "From: Ann <ann@example.com>\nTo: bob@example.com\nSubject: =?utf-8?q?caf=C3=A9?=\n"
        "MIME-Version: 1.0\n"
    )
    picture = (
        "--X\nContent-Type: image/png; name=chart.png\nContent-Transfer-Encoding: base64\n"
        f"Content-Disposition: attachment; filename=chart.png\n\n{PICTURE}\n"
    )
    both = (
        f'{head}Content-Type: multipart/mixed; boundary="X"\n\n--X\nContent-Type:'
        ' multipart/alternative; boundary="Y"\n\n--Y\nContent-Type: text/plain\n\nPlain words\n'
        f"--Y\nContent-Type: text/html\n\n<p>Marked words</p>\n--Y--\n{picture}--X\nContent-Type:"
        " message/rfc822\n\nFrom: carol@example.com\nSubject: Inner\n\nForwarded words\n--X--\n"
    )
    marked = f"{head}Content-Type: text/html\n\n<p>Only <b>HTML</b></p><style>p {{}}</style>\n"
    windows = (
        f"{head}Content-Type: text/plain; charset=windows-1252\nContent-Transfer-Encoding: 8bit\n\n"
    )
    locked = f"{head}Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nMIIB\n"
    archive = (
        "From: <Saved by Blink>\nMIME-Version: 1.0\nContent-Type: multipart/related; boundary=X\n\n"
        "--X\nContent-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n<p>Saved=\n"
        f" page</p>\n{picture}--X--\n"
    )
    return [
        Sample(
            "mail.eml",
            both.encode(),
            ("Subject: café", "From: Ann", "Plain words", "chart.png", "Forwarded words"),
            (PICTURE[:40], "Marked words"),
            note="attachments are not read: chart.png (2,056 bytes)",
        ),
        Sample("marked.eml", marked.encode(), ("Only **HTML**",), ("<p>", "p {}")),
        Sample(
            "windows.eml", windows.encode() + "Ça coûte 5 €\n".encode("cp1252"), ("Ça coûte 5 €",)
        ),
        Sample("locked.eml", locked.encode(), failure="the message is encrypted"),
        Sample("page.mhtml", archive.encode(), ("Saved page",)),
        Sample("mail.doc", archive.encode(), ("Saved page",)),
        Sample(
            "outlook.msg",
            outlook(subject="Plan", sender="Ann", body="Words of the mail", attachment="a.png"),
            ("Subject: Plan", "Words of the mail", "a.png"),
            note="attachments are not read: a.png",
        ),
        Sample(
            "marked.msg",
            outlook(subject="Plan", sender="Ann", page="<p>Only <b>HTML</b></p>"),
            ("Only **HTML**",),
        ),
        Sample(
            "broken.msg", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), failure="cannot be read"
        ),
    ]


def pages_files() -> list[Sample]:
    page = (
        "<!doctype html><title>Fire</title><style>p {}</style><script>var x;</script><h2>Part</h2>"
        f"<p>Paper <b>burns</b>.</p><img alt='A flame' src='data:image/png;base64,{PICTURE}'>"
        "<a href='javascript:alert(1)'>press</a><table><tr><th>a</th></tr><tr><td>b</td></tr>"
        "</table>"
    )
    hidden = (
        "<p>Shown</p><p hidden>one</p><div style='color:red; display: none'>two <p>three</p></div>"
    )
    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown", "source": ["# Study\n", "words"]},
        {
            "cell_type": "code",
            "source": "plot(1 + 1)",
            "outputs": [
                {
                    "output_type": "display_data",
                    "data": {"image/png": PICTURE, "text/plain": "<Figure>"},
                },
                {"output_type": "stream", "name": "stdout", "text": ["\x1b[31mred\x1b[0m\n"]},
                {
                    "output_type": "error",
                    "ename": "ValueError",
                    "evalue": "too far",
                    "traceback": [],
                },
            ],
        },
    ]
    book = {"cells": cells, "metadata": {"language_info": {"name": "python"}}, "nbformat": 4}
    old = {"worksheets": [{"cells": [{"cell_type": "code", "input": ["old = 1"], "outputs": []}]}]}
    return [
        Sample(
            "page.html",
            page.encode(),
            ("# Fire\n\n## Part\n\nPaper **burns**.", "A flame", "press", "| b |"),
            (PICTURE[:40], "javascript:", "var x", "p {}"),
        ),
        Sample(
            "hidden.html",
            hidden.encode(),
            ("Shown",),
            ("one", "two", "three"),
            "hidden text is left out",
        ),
        Sample("script.html", b"<script>x</script>", failure="a page that scripts fill?"),
        Sample(
            "page.txt", page.encode(), ("<b>burns</b>", "data:image/png;base64,…"), note="image/png"
        ),
        Sample("deep.html", b"<div>" * 5_000 + b"x", failure="nested too deeply"),
        Sample(
            "study.ipynb",
            json.dumps(book).encode(),
            (
                "# Study\nwords",
                "```python\nplot(1 + 1)\n```",
                "<Figure>",
                "red",
                "ValueError: too far",
            ),
            (PICTURE[:40], "\x1b"),
            note="1 outputs are left out: image/png",
        ),
        Sample("old.ipynb", json.dumps(old).encode(), ("old = 1",)),
        Sample("other.ipynb", b"[1, 2]", failure="no cells"),
        Sample("cut.ipynb", json.dumps(book).encode()[:90], failure="it is no JSON"),
    ]


def texts_files() -> list[Sample]:
    lines = "\n".join(PICTURE[at : at + 76] for at in range(0, len(PICTURE), 76))
    folded = lines.replace("\n", "\n ")
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"), io.BytesIO())
    return [
        Sample(
            "drawing.svg",
            f"<svg><text>Words</text><image href='data:image/png;base64,{lines}'/></svg>".encode(),
            ("<text>Words</text>",),
            note="embedded bytes are left out: image/png",
        ),
        Sample(
            "notes.md",
            f"# Notes\n\n![a chart](data:image/png;base64,{PICTURE})\n\nWords after it\n".encode(),
            ("# Notes", "Words after it"),
            note="image/png",
        ),
        Sample(
            "card.vcf",
            f"BEGIN:VCARD\nFN:Ann\nPHOTO;ENCODING=b;TYPE=PNG:{folded}\nTEL:12345\nEND:VCARD\n".encode(),
            ("FN:Ann", "TEL:12345"),
            note="a PNG image",
        ),
        Sample(
            "key.pem",
            b"-----BEGIN CERTIFICATE-----\nMIIBszCCARygAwIBAgIBADANBg\n",
            ("MIIBszCCARyg",),
        ),
        Sample("log.txt.gz", gzip.compress(b"one line of a log\n"), ("one line of a log",)),
        Sample("letter.docx.gz", gzip.compress(docx(paragraph("Zipped words"))), ("Zipped words",)),
        Sample("cut.txt.gz", gzip.compress(str([*range(3000)]).encode())[:-20], failure="cut off"),
        Sample(
            "bomb.txt.gz",
            gzip.compress(b"x" * 51 * 2**20),
            failure="unpacks to more than",
        ),
        Sample("files.tar.gz", tar.getvalue(), failure="an archive", skipped=True),
    ]


def binary_files() -> list[Sample]:
    def left_out(name: str, data: bytes, why: str) -> Sample:
        return Sample(name, data, failure=why, skipped=True)

    return [
        left_out("photo.png", PNG, "an image"),
        left_out("photo", PNG, "an image"),
        left_out("files.zip", zipped({"a.txt": "x"}), "an archive"),
        left_out("files.7z", b"7z\xbc\xaf\x27\x1c\0\4" + bytes(30), "an archive"),
        left_out("song.mp3", b"ID3\3\0\0\0\0\0" + bytes(30), "transcribe it first"),
        left_out("data.sqlite", b"SQLite format 3\0" + bytes(30), "export it as text"),
        left_out("program", b"\x7fELF\2\1\1\0" + bytes(30), "binary"),
        left_out("essay.pages", zipped({"Index/Document.iwa": b"x"}), "iWork"),
        left_out("budget.numbers", zipped({"Index/Document.iwa": b"x"}), "iWork"),
        left_out("novel.mobi", b"BOOKMOBI" + bytes(90), "convert it to .epub"),
        left_out("plan.vsdx", zipped({"visio/document.xml": "<x/>"}), "save it as .docx or PDF"),
        left_out("noise", bytes(range(256)) * 4, "binary"),
    ]
