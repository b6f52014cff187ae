"""Sources into items: what is named becomes items, in order; what is bad is said in one line."""

import io
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.errors import ConfigurationError, ItemFailed
from prefect_governor.flows.items.extraction import read_text
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.reading import Reading
from prefect_governor.flows.items.sources import Skipped, items_from, resolve_sources


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, data in {
        "a.md": b"# A\n",
        "docs/b.md": b"b\n",
        "docs/deep/c.txt": b"c\n",
        "docs/deep/latin.txt": b"caf\xe9 au lait\n",
        "docs/photo.png": b"\x89PNG\r\n\x1a\n\0\0",
        "docs/unnamed": b"\x01\x02\0\0\x03binary",
        "docs/wide.txt": "wide".encode("utf-16"),
        "docs/blank.py": b"",
        "docs/.secret": b"hidden\n",
        "docs/.git/config": b"[core]\n",
        "docs/node_modules/x.js": b"x\n",
        "docs/__pycache__/y.py": b"y\n",
        "docs/settings.yaml": b"a: 1\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "docs/loop").symlink_to(tmp_path / "docs", target_is_directory=True)
    (tmp_path / "docs/self").symlink_to(tmp_path / "docs/self")
    return tmp_path


def keys(sources: list[str], cwd: Path, **given: Any) -> list[str]:
    return [item.key for item in resolve_sources(sources, cwd=cwd, **given)]


def refusal(sources: list[str], cwd: Path, **given: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        resolve_sources(sources, cwd=cwd, **given)
    message = str(caught.value)
    assert "\n" not in message
    return message


TEXTS = [
    "docs/b.md",
    "docs/deep/c.txt",
    "docs/deep/latin.txt",
    "docs/settings.yaml",
    "docs/wide.txt",
]


def test_a_folder_gives_its_text_files_in_order_and_says_what_it_left_out(tree: Path) -> None:
    skipped: list[Skipped] = []
    assert keys(["docs"], tree, skipped=skipped) == TEXTS
    assert {each.key: each.reason for each in skipped} == {
        "docs/.git/config": "in a hidden folder",
        "docs/.secret": "hidden: its name begins with a dot",
        "docs/__pycache__/y.py": "in __pycache__, which holds nothing that people wrote",
        "docs/node_modules/x.js": "in node_modules, which holds nothing that people wrote",
        "docs/photo.png": "an image: run it through OCR first",
        "docs/unnamed": "binary, and nothing here reads it",
        "docs/blank.py": "empty",
        "docs/loop": "a link to a folder",
        "docs/self": "a link that leads nowhere (Too many levels of symbolic links)",
    }


def test_a_file_is_not_read_before_its_item_starts(tree: Path) -> None:
    (item,) = resolve_sources(["a.md"], cwd=tree)
    assert item == Item(key="a.md", source=str(tree / "a.md"))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("docs/*.md", ["docs/b.md"]),
        ("*/*.md", ["docs/b.md"]),
        ("**/*.md", ["a.md", "docs/b.md"]),
        ("docs/**", TEXTS),
        ("docs/**/*.txt", ["docs/deep/c.txt", "docs/deep/latin.txt", "docs/wide.txt"]),
        ("docs/deep/[bc].tx?", ["docs/deep/c.txt"]),
        ("docs/.se*", ["docs/.secret"]),
        ("./docs/../*.md", ["a.md"]),
    ],
)
def test_globs_match_any_depth_without_following_links(
    tree: Path, pattern: str, expected: list[str]
) -> None:
    assert keys([pattern], tree) == expected


def test_an_absolute_glob_and_a_file_outside_have_absolute_keys(tree: Path) -> None:
    outside = tree / "docs/deep"
    assert keys([f"{tree}/*.md"], outside) == [f"{tree}/a.md"]
    assert keys(["../b.md"], outside) == [f"{tree}/docs/b.md"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tree: Path) -> None:
    (tree / "odd[1].md").write_text("odd")
    assert keys(["odd[1].md"], tree) == ["odd[1].md"]


def test_a_named_file_is_an_item_whatever_it_holds(tree: Path) -> None:
    named = ["docs/photo.png", "docs/blank.py", "docs/.secret", "docs/self"]
    assert keys(named, tree) == named


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("gone.md", "there is no file or folder 'gone.md'"),
        ("a.md/x", "there is no file or folder"),
        ("*.rst", "no text file matches '*.rst'"),
        ("gone/**/*.md", "no text file matches"),
        ("docs/*.png", "(left out: docs/photo.png, an image: run it through OCR first)"),
        ("docs/__pycache__/../node_modules/..", "two items"),
        ("", "names no source"),
        ("a\0b", "names no source"),
        ("-", "there is none here"),
    ],
)
def test_a_source_that_gives_nothing_is_refused_by_name(
    tree: Path, source: str, words: str
) -> None:
    sources = [source, "docs"] if words == "two items" else [source]
    assert words in refusal(sources, tree)


def test_an_empty_folder_and_no_source_at_all_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "the folder 'empty' holds no text files" in refusal(["empty"], tmp_path)
    assert "no source was given" in refusal([], tmp_path)


def test_the_same_item_twice_is_refused_with_both_places(tree: Path) -> None:
    message = refusal(["docs", "docs/b.md"], tree)
    assert "'docs/b.md', given by 'docs' and by 'docs/b.md'" in message
    assert "twice by 'a.md'" in refusal(["a.md", "a.md"], tree)


def test_lines_of_standard_input_are_items(tmp_path: Path) -> None:
    items = resolve_sources(["-"], stdin=io.StringIO("first\n\n second \n"), cwd=tmp_path)
    assert [(item.key, item.text) for item in items] == [
        ("stdin:1", "first"),
        ("stdin:3", "second"),
    ]


def test_bad_standard_input_is_refused(tmp_path: Path) -> None:
    assert "standard input is empty" in refusal(["-"], tmp_path, stdin=io.StringIO(" \n"))
    twice = io.StringIO("a\n")
    assert "'-' named twice" in refusal(["-", "-"], tmp_path, stdin=twice)
    binary = io.TextIOWrapper(io.BytesIO(b"ok\n\xff\xfe\n"), encoding="utf-8")
    assert "is not UTF-8" in refusal(["-"], tmp_path, stdin=binary)
    halves = io.TextIOWrapper(io.BytesIO(b"\xff\n"), encoding="ascii", errors="surrogateescape")
    assert "is not UTF-8" in refusal(["-"], tmp_path, stdin=halves)


@pytest.mark.skipif(os.name == "nt", reason="file names are bytes on POSIX only")
def test_a_name_that_is_not_utf8_is_refused_or_left_out(tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9.txt")
    (tmp_path / odd).write_text("text")
    (tmp_path / "fine.txt").write_text("text")
    skipped: list[Skipped] = []
    assert keys(["."], tmp_path, skipped=skipped) == ["fine.txt"]
    assert [each.reason for each in skipped] == ["its name is not UTF-8: rename it"]
    assert "rename it" in refusal([odd], tmp_path)


def rows(tmp_path: Path, name: str, data: str | bytes) -> list[Item]:
    content = data.encode() if isinstance(data, str) else data
    (tmp_path / name).write_bytes(content)
    return resolve_sources([name], cwd=tmp_path)


def bad_rows(tmp_path: Path, name: str, data: str | bytes) -> str:
    (tmp_path / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return refusal([name], tmp_path)


def test_rows_have_the_key_and_the_text_that_they_name(tmp_path: Path) -> None:
    items = rows(
        tmp_path,
        "r.jsonl",
        '{"key": "one", "text": "First."}\n\n{"id": 7, "content": "Second."}\n'
        '{"name": "x", "size": [1, 2], "ok": true}\n"just a text"\n',
    )
    assert [(item.key, item.text) for item in items] == [
        ("one", "First."),
        ("7", "Second."),
        ("r.jsonl:4", "name: x\nsize: [1, 2]\nok: true"),
        ("r.jsonl:5", "just a text"),
    ]
    assert items[0].data == {"key": "one", "text": "First."}
    assert items[3].data is None


def test_csv_rows_know_the_line_that_they_begin_on(tmp_path: Path) -> None:
    items = rows(tmp_path, "r.csv", '\ufeffname,text\nx,"two\nlines"\n\ny,one\n')
    assert [(item.key, item.text) for item in items] == [
        ("r.csv:2", "name: x\ntext: two\nlines"),
        ("r.csv:5", "name: y\ntext: one"),
    ]
    semicolons = rows(tmp_path, "s.csv", "key;size\na;1,5\n")
    assert semicolons[0].data == {"key": "a", "size": "1,5"}


def test_yaml_rows_are_made_fit_for_json(tmp_path: Path) -> None:
    items = rows(
        tmp_path, "r.yaml", "- key: a\n  when: 2026-01-02\n- only text\n-\n  key: c\n  x: 1"
    )
    assert [item.key for item in items] == ["a", "r.yaml:3", "c"]
    assert items[0].text == "when: 2026-01-02"
    assert rows(tmp_path, "r.yml", "[{key: z}]")[0].key == "z"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("r.csv", "key,text,note\na,, \n"),
        ("r.csv", 'text\n""\n'),
        ("r.jsonl", '{"key": "a", "text": " ", "tags": [""], "more": {"x": null}}\n'),
        ("r.jsonl", "{}\n"),
        ("r.yaml", "- key: a\n  text:\n"),
    ],
)
def test_row_whose_fields_say_nothing_fails_by_name_and_is_not_asked(
    name: str, text: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    (item,) = resolve_sources([name], cwd=tmp_path)
    with pytest.raises(ItemFailed, match="the item's text is empty"):
        read_text(item)


def test_rows_are_the_same_whether_a_file_is_named_or_found(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/r.jsonl").write_text('{"key": "a"}\n')
    assert keys(["in/*.jsonl"], tmp_path) == ["a"]
    assert keys(["in"], tmp_path) == ["a"]
    assert keys(["in/r.jsonl"], tmp_path) == ["a"]


def test_a_table_in_a_folder_with_a_bad_row_is_skipped_whole_and_holds_up_no_other(
    tmp_path: Path,
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/bad.csv").write_text("a,b\n1,2\n3\n")
    (tmp_path / "in/good.csv").write_text("key,text\nk,x\n")
    skipped: list[Skipped] = []
    assert keys(["in"], tmp_path, skipped=skipped) == ["k"]
    assert [each.key for each in skipped] == ["in/bad.csv"]
    assert "in/bad.csv:3: 1 fields where the header has 2" in skipped[0].reason
    told = Reading(skip_bad_rows=True)
    assert keys(["in"], tmp_path, reading=told) == ["in/bad.csv:2", "k"]
    assert "in/bad.csv:3" in refusal(["in/bad.csv"], tmp_path)


def test_a_path_to_settings_in_yaml_is_one_text_and_to_a_table_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text("a: 1\n")
    (tmp_path / "r.csv").write_text("key,text\nk,x\n")
    assert [item.key for item in items_from([Path("s.yaml"), Path("r.csv")])] == ["s.yaml", "k"]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("r.jsonl", '{"key": "a"}\n{"key": \n', "r.jsonl:2: not JSON"),
        ("r.jsonl", "[1]\n", "r.jsonl:1: a row must be an object"),
        ("r.jsonl", '{"x": NaN}\n', "r.jsonl:1: NaN is not a number"),
        ("r.jsonl", '{"key": [1]}\n', "r.jsonl:1: 'key' must be"),
        ("r.jsonl", '{"x": "\\ud800"}\n', "r.jsonl:1: half a character"),
        ("r.jsonl", "[" * 100_000, "r.jsonl:1: "),
        ("r.jsonl", "\n \n", "r.jsonl holds no rows"),
        ("r.jsonl", '{"key": "a"}\n{"key": "a"}\n', "by r.jsonl:1 and by r.jsonl:2"),
        ("r.csv", "", "r.csv holds no rows"),
        ("r.csv", "a,b\n", "r.csv holds no rows"),
        ("r.csv", "a,b\n1,2\n3\n", "r.csv:3: 1 fields where the header has 2"),
        ("r.csv", "a,b\n1,2,3\n", "r.csv:2: 3 fields"),
        ("r.csv", ",\n", "r.csv holds no rows"),
        ("r.csv", "1,2\n3,4\n", "r.csv:1: no header"),
        ("r.csv", 'a,b\n"x"y,2\n', "r.csv:2: "),
        ("r.csv", 'a,b\n1,"open\n', "r.csv:2: "),
        ("r.csv", "a\n\0\n", "r.csv:2: "),
        ("r.yaml", "a: 1\n", "r.yaml:1: not a list"),
        ("r.yaml", "- a: 1\n- [2]\n", "r.yaml:2: a row must be an object"),
        ("r.yaml", "- a: 1\n- b: [\n", "r.yaml:3: not YAML"),
        ("r.yaml", "- x: .nan\n", "r.yaml:1: nan is not a number"),
        ("r.yaml", "- !!python/object:os.system {}\n", "r.yaml:1: not YAML"),
        ("r.yaml", "- x: &x [*x]\n", "r.yaml:1: "),
        ("r.yaml", "", "r.yaml holds no rows"),
        ("r.yaml", "- x: 2026-99-99\n", "r.yaml:1: "),
        ("r.yaml", "- a: 1\n- x: !!timestamp soon\n", "r.yaml:2: a value is not what its tag"),
        ("r.yaml", "- !!bool perhaps\n", "r.yaml:1: a value is not what its tag"),
        ("r.yaml", "- x: !!int ''\n", "r.yaml:1: a value is not what its tag"),
        ("r.jsonl", '{"key": "a\\u0000", "text": "x"}\n', "r.jsonl:1: 'key' must be one line"),
    ],
)
def test_an_unreadable_row_is_named_by_its_line(
    tmp_path: Path, name: str, data: str | bytes, words: str
) -> None:
    assert words in bad_rows(tmp_path, name, data)


def test_a_small_yaml_file_that_grows_without_end_is_refused(tmp_path: Path) -> None:
    bomb = "- &a0 [x]\n" + "".join(
        f"- &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    message = bad_rows(tmp_path, "r.yaml", f"- rows: \n{bomb.replace('- &', '  - &')}")
    assert "r.yaml:1: the row has over 100,000 values" in message


def test_python_values_are_items(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    ready = Item(key="ready", text="x")
    row = {"key": "row", "text": "y", "n": 1}
    assert items_from(["text", Path("a.md"), row, ready, {"n": 2}]) == [
        Item(key="item-0001", text="text"),
        Item(key="a.md", source=str(tree / "a.md")),
        Item(key="row", text="y", data=row),
        ready,
        Item(key="item-0005", text="n: 2", data={"n": 2}),
    ]
    assert [item.key for item in items_from([Path("docs/deep")])] == [
        "docs/deep/c.txt",
        "docs/deep/latin.txt",
    ]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([], "no items"),
        ("one text", "must be a list"),
        ({"key": "a"}, "must be a list"),
        ([1], "item 1 is a int"),
        ([Path("gone.md")], "item 1: there is no file gone.md"),
        (["\ud800"], "item 1: half a character"),
        ([{"x": float("inf")}], "item 1: inf is not a number"),
        ([{"key": "a"}, {"key": "a"}], "given by item 1 and by item 2"),
    ],
)
def test_python_values_that_are_no_items_are_refused(values: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        items_from(values)


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.text() | st.integers()))
def test_an_item_of_any_row_travels_as_json(row: dict[str, Any]) -> None:
    try:
        items = items_from([row])
    except ConfigurationError:
        return
    assert Item.model_validate_json(items[0].model_dump_json()) == items[0]
