"""What of a corpus stands in the workspaces of agents that run programs."""

from pathlib import Path

import pytest

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.workspaces.bounds import BOUNDS, WorkspaceBounds
from prefect_governor.flows.deep_research.workspace import corpus_files
from prefect_governor.flows.items.sources import resolve_sources


@pytest.mark.parametrize(
    "sources", [["data"], ["data/sales.csv", "data/a.md"], ["data/*"]], ids=str
)
def test_a_table_whose_rows_are_the_corpus_is_there_as_the_file_that_it_is(
    sources: list[str], tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sales.csv").write_text("key,n\nx,40\ny,2\n")
    (tmp_path / "data" / "a.md").write_text("text\n")
    items = resolve_sources(sources, cwd=tmp_path)
    files = corpus_files(sources, items, tmp_path, BOUNDS)
    assert sorted(files) == [
        (f"corpus/data/{name}", tmp_path / "data" / name) for name in ("a.md", "sales.csv")
    ]


def test_a_corpus_that_fits_no_workspace_is_refused_with_what_gives_it_more(tmp_path: Path) -> None:
    for at in range(3):
        (tmp_path / f"{at}.md").write_text("x")
    items = resolve_sources(["*.md"], cwd=tmp_path)
    with pytest.raises(ConfigurationError, match=r"more than 2 files.*name fewer"):
        corpus_files(["*.md"], items, tmp_path, WorkspaceBounds(max_files=2))
