"""Tables as people have them: what a file holds, what is sent of it, what is said of it."""

import gzip
import io
import json
import zipfile
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

_FRENCH = (
    "Le colis est arrivé très tard, l'emballage était mouillé et abîmé, mais ce qu'il contenait"
    " était intact. Nous avons déjà été déçus l'année dernière, où la même chose s'était passée."
    " Cette fois le service a été à la hauteur, et le remboursement des frais a été immédiat."
)
_MANIFEST = (
    '<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
    '<m:file-entry m:full-path="/" m:media-type="application/vnd.oasis.opendocument.spreadsheet"/>'
    "</m:manifest>"
)


@dataclass(frozen=True)
class Case:
    """`sent`: of each row its key (a line stands for `in/name:line`) and its text. `said`: words of
    what is said of the file; `skipped`: a place in the file, and words of the reason."""

    name: str
    raw: str | bytes
    sent: list[tuple[int | str, str]]
    said: tuple[str, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        return self.raw.encode() if isinstance(self.raw, str) else self.raw


def workbook(**sheets: list[list[Any]]) -> bytes:
    """An XLSX of these sheets; one whose name begins with `hidden` is hidden."""
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
        if name.startswith("hidden"):
            sheet.sheet_state = "hidden"
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def ods(rows: list[list[str]]) -> bytes:
    """An ODS of one sheet of texts; `=2026-01-02` is a day, `=3.5` a number."""
    cells = "".join(
        "<table:table-row>" + "".join(map(_cell, row)) + "</table:table-row>" for row in rows
    )
    of = "urn:oasis:names:tc:opendocument:xmlns"
    content = (
        f'<office:document-content xmlns:office="{of}:office:1.0" xmlns:table="{of}:table:1.0"'
        f' xmlns:text="{of}:text:1.0"><office:body><office:spreadsheet>'
        f'<table:table table:name="One">{cells}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", content)
        archive.writestr("META-INF/manifest.xml", _MANIFEST)
    return file.getvalue()


def _cell(value: str) -> str:
    shown = f"<text:p>{value.lstrip('=')}</text:p></table:table-cell>"
    if not value.startswith("="):
        return f'<table:table-cell office:value-type="string">{shown}'
    value = value[1:]
    if "-" in value:
        return f'<table:table-cell office:value-type="date" office:date-value="{value}">{shown}'
    return f'<table:table-cell office:value-type="float" office:value="{value}">{shown}'


def parquet(**columns: list[Any]) -> bytes:
    import pyarrow
    from pyarrow import parquet as files

    file = io.BytesIO()
    files.write_table(pyarrow.table(columns), file)
    return file.getvalue()


_BOOK = workbook(
    One=[
        ["A title"],
        [],
        ["key", "when", "at", "n", "long"],
        ["x1", date(2026, 1, 2), time(12, 30, 45), 3.50, timedelta(hours=30)],
        [None, None, None, None, None],
        ["x2", datetime(2026, 1, 2, 3, 4, 5), None, 7, True],
    ],
    Two=[["ID", "Text"], ["00123", "zeros"]],
    hidden=[["key", "text"], ["h", "nobody sees it"]],
)

# Found in one folder, without an option.
FOUND = [
    Case("comma.csv", "Key,Text\nc1,hello\n", [("c1", "hello")]),
    Case("upper.csv", "ID,CONTENT\nc2,hello\n", [("c2", "hello")]),
    Case(
        "semicolon.csv",
        "id;Name, Vorname;Preis\ns1;Meier;3,50\n",
        [("s1", "id: s1\nName, Vorname: Meier\nPreis: 3,50")],
        ("';' between its fields", "asked about: id, Name, Vorname, Preis"),
    ),
    Case("decimals.csv", "a;b\n1,5;2,5\n", [(2, "a: 1,5\nb: 2,5")]),
    Case("thousands.csv", "a;b\n1,000;2,000\n3,000;4,000\n", [
        (2, "a: 1,000\nb: 2,000"), (3, "a: 3,000\nb: 4,000")]),
    Case("tab.csv", "a\tb\nx, y\tz; w\n", [(2, "a: x, y\nb: z; w")], ("a tab between",)),
    Case("tab.tsv", "a\tb\nx, y\tz\n", [(2, "a: x, y\nb: z")]),
    Case("comma.tsv", "a,b\nx,z\n", [(2, "a: x\nb: z")]),
    Case("pipe.csv", "a|b\nx, y|z; w\n", [(2, "a: x, y\nb: z; w")], ("'|' between",)),
    Case("prose.csv", "text\nHello, world, how are you\nFine; thanks\n", [
        (2, "Hello, world, how are you"), (3, "Fine; thanks")], ("read as one column",)),
    Case("long.csv", "n;t\n" + "".join(f"{n};So, it is, as said\n" for n in range(3)), [
        (n + 2, f"n: {n}\nt: So, it is, as said") for n in range(3)]),
    Case("sep.csv", "sep=;\na;b\n1,0;2\n", [(3, "a: 1,0\nb: 2")]),
    Case("sepbar.csv", "sep=|\r\na|b\r\nx,y;z|w\r\n", [(3, "a: x,y;z\nb: w")]),
    Case("bom.csv", "\ufefftext\nx\n", [(2, "x")]),
    Case("utf16.csv", "a;b\nü;é\n".encode("utf-16"), [(2, "a: ü\nb: é")]),
    Case("latin.csv", f"n;texte\n1;{_FRENCH}\n".encode("cp1252"), [
        (2, f"n: 1\ntexte: {_FRENCH}")]),
    Case("crlf.csv", 'a,b\r\n1,"two\r\nlines"\r\n\r\n3,4\r\n', [
        (2, "a: 1\nb: two\r\nlines"), (5, "a: 3\nb: 4")]),
    Case("cr.csv", "a,b\r1,2\r3,4\r", [(2, "a: 1\nb: 2"), (3, "a: 3\nb: 4")]),
    Case("quotes.csv", 'a,b\n"x; y; z",2\n"say ""hi"", ok",3\n', [
        (2, "a: x; y; z\nb: 2"), (3, 'a: say "hi", ok\nb: 3')]),
    Case("escaped.csv", 'a,b\n"say \\"hi\\", ok",3\n', [(2, 'a: say "hi", ok\nb: 3')],
         ("a backslash stands before quotes",)),
    Case("apostrophe.csv", "a;b\nit's fine, ok;don't\n", [(2, "a: it's fine, ok\nb: don't")]),
    Case("inches.csv", 'a,b\n5" disk,3\n', [(2, 'a: 5" disk\nb: 3')]),
    Case("index.csv", ",key,text\n0,i1,x\n1,i2,y\n", [("i1", "x"), ("i2", "y")],
         ("counts the rows, and is left out",)),
    Case("unnamed.csv", ",a\nrow one,1\n", [(2, "column 1: row one\na: 1")],
         ("column 1 has no name",)),
    Case("trailing.csv", "a,b,\n1,2,\n3,4,\n", [(2, "a: 1\nb: 2"), (3, "a: 3\nb: 4")]),
    Case("extra.csv", "a,b\n1,2,,\n", [(2, "a: 1\nb: 2")]),
    Case("years.csv", "name,2020,2021\nx,1,2\n", [(2, "name: x\n2020: 1\n2021: 2")]),
    Case("twice.csv", "Label,Label,n\nx,y,1\n", [(2, "Label: x\nLabel (2): y\nn: 1")],
         ("'Label' names more than one column",)),
    Case("spaces.csv", " a , b \n x , y \n", [(2, "a:  x \nb:  y ")]),
    Case("wrapped.csv", '"a\nname",b\n1,2\n', [(3, "a name: 1\nb: 2")]),
    Case("blank.csv", "a,b\n1,2\n" + ",\n" * 29 + " , \n3,4\n", [
        (2, "a: 1\nb: 2"), (33, "a: 3\nb: 4")], ("30 blank rows are no items",)),
    Case("written.csv", "n,t,x,d\n00123,12:30:45,1e5,02/01/2026\n", [
        (2, "n: 00123\nt: 12:30:45\nx: 1e5\nd: 02/01/2026")]),
    Case("nothing.csv", "a,b\nNA,null\nNaN,None\n", [
        (2, "a: NA\nb: null"), (3, "a: NaN\nb: None")]),
    Case("big.csv", "id,v\n12345678901234567890,0.10\n", [
        ("12345678901234567890", "id: 12345678901234567890\nv: 0.10")]),
    Case("zipped.csv.gz", gzip.compress(b"key,text\nz1,x\n"), [("z1", "x")]),
    Case("lines.jsonl", '{"key": "j1", "text": "x"}\n\n{"ID": 7, "Content": "y"}\n"z"\n', [
        ("j1", "x"), ("7", "y"), (4, "z")]),
    Case("fields.ndjson", '{"id": "j2", "text": "x", "n": [1, {"a": null}], "f": 1e5}\n', [
        ("j2", 'id: j2\ntext: x\nn: [1, {"a": null}]\nf: 1e5')], ("asked about: id, text, n, f",)),
    Case("ends.jsonl", '{"t": "a\u2028b"}\r\n{"t": "c"}', [(1, "t: a\u2028b"), (2, "t: c")]),
    Case("zipped.jsonl.gz", gzip.compress(b'{"key": "z3", "text": "x"}\n'), [("z3", "x")]),
    Case("list.json", '[{"key": "l1", "text": "x"},\n {"id": 92345678901234567890, "v": 3.50}]', [
        ("l1", "x"), ("92345678901234567890", "id: 92345678901234567890\nv: 3.50")]),
    Case("texts.json", '[\n"one",\n"two"\n]\n', [(2, "one"), (3, "two")]),
    Case("object.json", '{"a": [1, 2]}\n', [("in/object.json", '{"a": [1, 2]}\n')]),
    Case("numbers.json", "[1, 2]\n", [("in/numbers.json", "[1, 2]\n")]),
    Case("settings.yaml", "a: 1\n", [("in/settings.yaml", "a: 1\n")]),
    Case("book.xlsx", _BOOK, [
        ("x1", "when: 2026-01-02\nat: 12:30:45\nn: 3.5\nlong: 30:00:00"),
        ("x2", "when: 2026-01-02T03:04:05\nat: \nn: 7\nlong: TRUE"),
        ("00123", "zeros")],
        ("'A title' above the header", "1 blank row is no item"),
        {":hidden": "a hidden sheet"}),
    Case("long.xlsx", workbook(One=[["key", "n"], ["x3", 12345678901234567]]), [
        ("x3", "n: 1.23456789012346e+16")], ("more than 15 digits",)),
    Case("offset.xlsx", workbook(One=[[], [None, "a", "b"], [None, 1, "x"]]), [
        (3, "a: 1\nb: x")]),
    Case("open.ods", ods([["key", "n", "d"], ["o1", "=3.5", "=2026-01-02"]]), [
        ("o1", "n: 3.5\nd: 2026-01-02")]),
    Case("frame.parquet", parquet(
        key=["p1"], n=[2**60], f=[0.5], d=[date(2026, 1, 2)], l=[[1, 2]], m=[{"a": None}]), [
        ("p1", f'n: {2**60}\nf: 0.5\nd: 2026-01-02\nl: [1, 2]\nm: {{"a": null}}')]),
    Case("frame.parquet.gz", gzip.compress(parquet(key=["p2"], text=["x"])), [("p2", "x")]),
    # What is no table, though its name says so, is skipped by name.
    Case("broken.xlsx", b"PK\x03\x04 no more", [], (), {"": "not a workbook"}),
    Case("page.xls", "<html><table></table></html>\n", [], (), {"": "it is HTML"}),
    Case("text.xls", "a\tb\n1\t2\n", [], (), {"": "name it .csv or .tsv"}),
    Case("broken.parquet", "PAR1", [], (), {"": "not Parquet"}),
    Case("cut.csv.gz", gzip.compress(b"a,b\n1,2\n")[:15], [], (), {"": "gzip is broken"}),
    Case("header.csv", "a,b\n", [], (), {"": "holds no rows"}),
    Case("values.csv", "1,2\n3,4\n", [], (), {"": "no header"}),
    Case("times.csv", "anna,12:30\nbob,12:31\n", [], (), {"": "no header"}),
]  # fmt: skip

# Named, with options.
TOLD: list[tuple[list[str], list[Case]]] = [
    # Gzipped, though its name does not say so.
    ([], [Case("unsaid.csv", gzip.compress(b"key,text\nz2,x\n"), [("z2", "x")])]),
    (["--text-column", "BODY", "--key-column", "sku"], [
        Case("a.csv", "sku,body,n\nk1,x,1\nk2,y,2\n", [("k1", "x"), ("k2", "y")]),
        Case("b.jsonl", '{"SKU": "k1", "Body": {"a": 1}}\n', [("in/b.jsonl:k1", '{"a": 1}')]),
    ]),
    (["--delimiter", "tab"], [
        Case("a.csv", "a,b\tc\n1,2\t3\n", [(2, "a,b: 1,2\nc: 3")]),
    ]),
    (["--delimiter", "^"], [Case("a.csv", "a^b\n1^2\n", [(2, "a: 1\nb: 2")])]),
    (["--as", "text"], [
        Case("a.csv", "1,2\n3\n", [("in/a.csv", "1,2\n3\n")]),
        Case("b.jsonl", "{\n", [("in/b.jsonl", "{\n")]),
    ]),
    (["--as", "rows"], [
        Case("a.txt", "one\r\n\r\n two \r\n", [(1, "one"), (3, " two ")]),
        Case("b.log", "x\x0cy\u2028z\n", [(1, "x\x0cy\u2028z")]),
        Case("c.yaml", "- id: 00123\n  at: 12:30:45\n", [("00123", "id: 00123\nat: 12:30:45")]),
    ]),
    (["--skip-bad-rows"], [
        Case("a.csv", "a,b\n1,2\n3\n4,5,6\n7,8\n\0,1\n", [
            (2, "a: 1\nb: 2"), (5, "a: 7\nb: 8")], (), {
            ":3": "1 fields where the header has 2", ":4": "3 fields", ":6": "a NUL"}),
        Case("b.jsonl", '{"a": 1}\n{"a": \n[1]\n{"a": NaN}\n', [(1, "a: 1")], (), {
            ":2": "not JSON", ":3": "a row must be an object", ":4": "NaN"}),
    ]),
    (["--encoding", "cp1252"], [Case("a.csv", b"a;b\ncaf\xe9;1\n", [(2, "a: café\nb: 1")])]),
]  # fmt: skip

# Refused before anything is started: the file, options, words of the line.
REFUSED: list[tuple[str, str | bytes, list[str], str]] = [
    ("r.csv", "a,b\n1,2\n3\n", [], "in/r.csv:3: 1 fields where the header has 2"),
    ("r.csv", "a,b\n1,2,3\n", [], "--skip-bad-rows"),
    ("r.csv", 'a,b\n1,"open\n2,3\n', [], "in/r.csv:2: a quote begins here and never ends"),
    ("r.csv", 'a,b\n"x"y,2\n', [], "in/r.csv:2: "),
    ("r.csv", "a,b\n1,\0\n", [], "in/r.csv:2: a NUL"),
    ("r.csv", "1,2\n3,4\n", [], "no header: the first line must name the columns"),
    ("r.csv", "a,b\n", [], "holds no rows"),
    ("r.csv", "", [], "holds no rows"),
    ("r.csv", "key,t\na,1\na,2\n", [], "two items have the key 'a'"),
    ("r.csv", "key,t\n\x07a,1\n", [], "in/r.csv:2: 'key' must be one line without control"),
    ("r.csv", "a,b\n1,2\n", ["--text-column", "c"], "no column 'c' (--text-column): it has a, b"),
    ("r.csv", "a,b\n1,2\n", ["--key-column", "c"], "has no column 'c' (--key-column)"),
    ("r.csv", "a,b\n1,2\n", ["--delimiter", "ab"], "a delimiter is one character"),
    ("r.csv", "a,b\n1,2\n", ["--as", "table"], "--as"),
    ("r.jsonl", '{"key":"nul\\u0000key"}\n', [], "in/r.jsonl:1: 'key' must be one line"),
    ("r.jsonl", '{"key":"a\\u2028b"}\n', [], "in/r.jsonl:1: 'key' must be one line"),
    ("r.jsonl", '{"a": 1}\nnull\n', [], "in/r.jsonl:2: a row must be an object"),
    ("r.json", '[{"a": 1}, {"a": ]', [], "in/r.json:1: not JSON"),
    ("r.json", '[{"a": 1},\n{"a": 2}\n', [], "in/r.json:3: the list ends without ']'"),
    ("r.json", '[{"a": 1}] x', [], "something stands after the list's end"),
    ("r.json", '[{"a": 1}, NaN]', [], "NaN is not a number that JSON has"),
    ("r.yaml", "a: 1\n", [], "in/r.yaml:1: not a list"),
    ("r.xlsx", b"PK\x03\x04", [], "in/r.xlsx: not a workbook"),
    ("r.xlsx", workbook(One=[["a", "b"]]), [], "in/r.xlsx holds no rows"),
    ("r.xlsx", workbook(One=[[1, 2], [3, 4]]), [], "in/r.xlsx:1: no header"),
    ("r.parquet", "PAR1", [], "in/r.parquet: not Parquet"),
    ("r.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 9)[:-9], [], "gzip is broken or cut off"),
]  # fmt: skip

# Rows that say nothing fail by name, and nothing is asked about them.
SILENT = json.dumps({"key": "n1", "text": " "}) + "\n" + json.dumps({"key": "n2"}) + "\n"
