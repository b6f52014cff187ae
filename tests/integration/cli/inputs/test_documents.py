"""Documents through the command line: what the provider is really sent, and what is said."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.commands import AS_SENT, run
from tests.integration.governing import MODEL
from tests.provider.process import ProviderProcess
from tests.samples.documents import samples
from tests.samples.sample import Sample

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of all documents of the table, beside which a command stands."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for name, sample in samples().items():
        (tmp_path / "in" / name).write_bytes(sample.data)
    return tmp_path / "in"


def asked(upstream: ProviderProcess, *sources: str) -> dict[str, Any]:
    upstream.configure(script=AS_SENT)
    result = run("fan-out", *sources, "--ask", "What?", "--model", MODEL, "--json", "--yes")
    assert result.exit_code in (1, 3), result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def faults(sample: Sample, item: dict[str, Any]) -> list[str]:
    """In what an item is not what the table says."""
    if sample.failure is not None:
        wrong = item["state"] != "failed" or sample.failure not in item["reason"]
        paid = item["calls"] or item["usd"]
        return [f"{item['state']}: {item['reason']}"] if wrong or paid else []
    if item["state"] != "succeeded":
        return [f"{item['state']}: {item['reason']}"]
    text, said = item["result"], "; ".join(item.get("notes") or ())
    return [
        *(f"not sent: {each}" for each in sample.sent if each not in text),
        *(f"sent: {each}" for each in sample.unsent if each in text),
        *([] if (sample.note in said if sample.note else not said) else [f"said: {said}"]),
    ]


def test_of_a_folder_of_documents_what_people_read_is_sent_and_the_rest_is_said(
    upstream: ProviderProcess, folder: Path
) -> None:
    table = samples()
    assert len(table) >= 90
    report = asked(upstream, "in")
    items = {item["key"].removeprefix("in/"): item for item in report["items"]}
    skipped = {each["key"].removeprefix("in/"): each["reason"] for each in report["skipped"]}
    # Items, skipped and failed are the files.
    assert sorted((*items, *skipped)) == sorted(table)
    assert sorted(skipped) == sorted(name for name, each in table.items() if each.skipped)
    wrong = {name: found for name, item in items.items() if (found := faults(table[name], item))}
    assert wrong == {}
    for name, reason in skipped.items():
        assert (table[name].failure or "") in reason, name
    read = [each for each in table.values() if each.failure is None]
    assert upstream.settled_stats()["requests"] == len(read)


def test_a_named_file_that_nothing_reads_fails_by_name_and_free(
    upstream: ProviderProcess, folder: Path
) -> None:
    left_out = {name: each for name, each in samples().items() if each.skipped}
    report = asked(upstream, *(f"in/{name}" for name in sorted(left_out)))
    items = {item["key"].removeprefix("in/"): item for item in report["items"]}
    assert sorted(items) == sorted(left_out)
    wrong = {name: found for name, item in items.items() if (found := faults(left_out[name], item))}
    assert wrong == {}
    assert upstream.settled_stats()["requests"] == 0
