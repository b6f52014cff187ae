"""What a person reads in the end: answers that say something, failures by their cause."""

import io
import json
from decimal import Decimal
from typing import Any

import pytest

from prefect_governor.flows.cli.terminal.terminal import ProgressLine, print_report
from prefect_governor.flows.report.model import BudgetReport, ItemReport, LimitsReport, Report
from prefect_governor.flows.report.progress import Progress

LEAD = "From {}, offline extract (no model was called):\n"


def succeeded(key: str, result: Any, **fields: Any) -> ItemReport:
    return ItemReport(key=key, state="succeeded", result=result, usd=Decimal("0.0012"), **fields)


def shown(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *items: ItemReport,
    width: int = 120,
) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    report = Report(
        run_id="run",
        outcome="partial",
        items=list(items),
        budget=BudgetReport(
            ceiling_usd=Decimal(2),
            spent_usd=Decimal("0.0012"),
            name="llm-team",
            window="2026-11-30",
        ),
        limits=LimitsReport(bottleneck="max_concurrent", max_in_flight=7),
        files=["/tmp/" + "long-folder/" * 20 + "out.jsonl"],
    )
    print_report(report, ui_url="http://127.0.0.1:4200/runs/flow-run/run", as_json=False)
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [80, 120, 200])
def test_answers_begin_with_their_substance_and_break_no_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    words = [f"substance{at:02d}" for at in range(60)]
    answer = LEAD.format("a.py") + "\n".join(f'- L{at}: "{word}"' for at, word in enumerate(words))
    items = [succeeded(f"module-{at}.py", answer) for at in range(3)]
    text = shown(monkeypatch, capsys, *items, width=width)
    lines = text.splitlines()
    assert max(len(line) for line in lines if "out.jsonl" not in line) <= width
    assert text.count("no model was called") == 1
    found = [word for word in text.replace('"', " ").split() if word.startswith("substance")]
    assert set(found) <= set(words)
    assert found.count("substance00") == 3
    # As much of each as fits some lines, not one word of it.
    assert len(found) >= 3 * min(9, width // 25)


def test_failures_stand_together_by_their_cause_with_the_items_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = [
        ItemReport(key=f"doc-{at}.pdf", state="over_budget", reason="nothing is left: raise it")
        for at in range(7)
    ]
    text = shown(monkeypatch, capsys, succeeded("fine.md", "an answer"), *failed)
    assert "1 succeeded, 7 over budget" in text
    assert "this run $0.00120 · $0.00120 of $2.00 in llm-team today\n" in text
    assert "7 over budget: nothing is left: raise it" in text
    assert "doc-0.pdf, doc-1.pdf, doc-2.pdf and 4 more" in text


def test_answer_is_data_and_neither_markup_nor_a_terminal_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    item = succeeded("[/red]evil.txt", "[/bold] \x1b[2J\x07 [link=http://x]here[/link] :smile:")
    failed = ItemReport(key="[/x].txt", state="failed", reason="[/y] no")
    text = shown(monkeypatch, capsys, item, failed)
    assert "[/red]evil.txt" in text
    assert "[/bold]" in text
    assert ":smile:" in text
    assert "[/y] no" in text
    assert "\x1b[2J" not in text
    assert "\x07" not in text


def test_addresses_are_whole_whatever_the_width(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(monkeypatch, capsys, succeeded("a", "b"), width=40).splitlines()
    assert "page: http://127.0.0.1:4200/runs/flow-run/run" in lines
    assert any(line.startswith("answers: /tmp/") and line.endswith("out.jsonl") for line in lines)


def test_long_paths_keep_the_end_that_tells_them_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    items = [succeeded("/home/somebody/projects/very/deep/" + "x/" * 9 + f"{at}.py", "") for at in
             range(3)]  # fmt: skip
    text = shown(monkeypatch, capsys, *items, width=80)
    for at in range(3):
        assert f"/{at}.py" in text


def test_answer_that_was_cut_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    item = succeeded("a", "b", reason="the answer was cut at 9 tokens")
    assert "1 succeeded, but: the answer was cut" in shown(monkeypatch, capsys, item)


def test_thousands_of_items_do_not_flood_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(monkeypatch, capsys, *(succeeded(f"item-{at}", "x") for at in range(3000)))
    assert len(text.splitlines()) < 80
    assert "2,950 more that succeeded" in text


@pytest.mark.parametrize("result", [None, 7, {"team": "billing"}, ["a", "b"], "x" * 5000, ""])
def test_any_result_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], result: Any
) -> None:
    assert "a.md" in shown(monkeypatch, capsys, succeeded("a.md", result))


def test_json_is_one_object_even_with_half_a_character(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(run_id="run", outcome="complete", items=[succeeded("ä", {"t": "\ud800"})])
    print_report(report, ui_url="", as_json=True)
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == report.to_json()


@pytest.mark.parametrize("as_json", [True, False])
def test_a_result_that_cannot_be_printed_is_said_to_be_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    files = ["/kept/results.jsonl"]
    report = Report(run_id="run", outcome="complete", items=[succeeded("a", "b")], files=files)
    with open("/dev/full", "w") as full:
        monkeypatch.setattr("sys.stdout", full)
        print_report(report, ui_url="http://page", as_json=as_json)
        # Nothing of it is left to fail as Python ends.
    said = capsys.readouterr().err
    assert "No space left on device" in said and "answers: /kept/results.jsonl" in said
    monkeypatch.setattr("sys.stdout", None)
    print_report(report, ui_url="http://page", as_json=as_json)
    assert "answers: /kept/results.jsonl" in capsys.readouterr().err


def test_json_is_json_on_a_terminal_without_unicode(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="backslashreplace")
    report = Report(run_id="run", outcome="complete", items=[succeeded("ä", "東")])
    print_report(report, ui_url="", as_json=True, stream=stream)
    assert json.loads(raw.getvalue()) == report.to_json()


def test_plain_progress_has_all_figures_and_says_nothing_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    now = Progress(total=9, done=4, failed=1, queued=3, in_flight=2, cap=5,
                   spent_usd=Decimal("0.25"), ceiling_usd=Decimal(2),
                   bottleneck="tokens_per_minute")  # fmt: skip
    with ProgressLine() as line:
        for _ in range(5):
            line.show(now)
        line.show(Progress(total=9, done=9))
        line.show(Progress(total=9, done=9))
    first, last = stream.getvalue().splitlines()
    for figure in ("4/9 done", "1 failed", "3 queued", "2/5 in flight", "$0.25 of $2.00"):
        assert figure in first
    assert "waiting: tokens_per_minute" in first
    assert "9/9 done" in last
