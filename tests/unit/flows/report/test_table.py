"""The table of items: files are linked, and no name of theirs is markup."""

from pathlib import Path

from prefect_governor.flows.report.model import ItemFile, ItemReport, Report
from prefect_governor.flows.report.table import rows


def report(*names: str) -> Report:
    files = tuple(ItemFile(name=f"files/item~0/{name}", bytes=1, sha256="0" * 64) for name in names)
    items = [
        ItemReport(key="item", state="succeeded", files=files),
        ItemReport(key="other", state="failed"),
    ]
    path = str(Path("/home/a user/runs/1/results.jsonl"))
    return Report(run_id="1", outcome="partial", items=items, files=[path])


def test_files_are_linked_by_where_they_are() -> None:
    one, other = rows(report("out/a.csv", "b c.md"))
    assert one["files"] == (
        "[out/a.csv](file:///home/a%20user/runs/1/files/item~0/out/a.csv),"
        " [b c.md](file:///home/a%20user/runs/1/files/item~0/b%20c.md)"
    )
    assert other["files"] == ""


def test_no_name_of_a_file_is_markup_or_ends_its_link() -> None:
    names = ["](javascript:x)", "<img src=x>", "__init__.py", "`a`", "![a](b)", "a)b(c", "&lt;"]
    for name in names:
        cell = rows(report(name))[0]["files"]
        text, _, address = cell[1:-1].partition("](file://")
        assert not set(text) & set("[]()<>`_!*") and not set(address) & set("[]()<> ")


def test_many_files_are_counted_and_none_have_no_column() -> None:
    names = [f"{at:02}.txt" for at in range(25)]
    assert rows(report(*names))[0]["files"].endswith("09.txt), and 15 more")
    assert "files" not in rows(report())[0]
    assert rows(report("a"), max_rows=1)[-1]["files"] is None
