"""The page says what was gathered, whatever people named their things."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from prefect_governor.blocks.ledger.decision.purse import Purse
from prefect_governor.blocks.ledger.decision.store import Piece, Spend
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.statements.forecast import Forecast
from prefect_governor.blocks.statements.page import bar, code, page
from prefect_governor.blocks.statements.statement import BudgetLine, Statement

NANO = 10**9
AT = 1_764_500_000.0  # 2025-11-30 10:53:20 UTC
DAY = Account("team", "team", 5 * NANO, None, "day", "Europe/Berlin")
PURSE = Purse("team", "2025-11-30", "team", 5 * NANO, spent_nano=2 * NANO, unconfirmed_nano=NANO)
HOSTILE = "a|b`c\\|<script>alert(1)</script>\n# **x** [y](javascript:z)"


def spend(usd: float, calls: int = 1) -> Spend:
    return Spend(calls, round(usd * NANO), 0, 0, 10, 5)


def statement(**changes: object) -> Statement:
    made = Statement(
        governor="llm-team",
        at=AT,
        budgets=(BudgetLine(DAY, PURSE, Forecast(AT + 3600, 9 * NANO), AT - 60, 3),),
        days=(("2025-11-28", spend(0, 0)), ("2025-11-29", spend(1)), ("2025-11-30", spend(2, 7))),
        deployments=(("id-1", spend(2)), (None, spend(0.5))),
        models=tuple((f"openai/model-{at:02d}", spend(0.1)) for at in range(14)),
        pieces=(Piece("fan-out", "run", "docs/a.md", spend(1.5)),),
        of_window=True,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_page_says_what_is_gone_when_it_ends_and_what_was_refused() -> None:
    text = page(statement(), {"id-1": "fan-out/nightly"})
    assert text.startswith("# Money of governor `llm-team`\n")
    assert "As of 2025-11-30 11:53 Europe/Berlin." in text
    assert (
        "| `team` | day, 2025-11-30 | $3.00 | $5.00 | `████████████░░░░░░░░` 60% |"
        " **ends 2025-11-30 12:53 Europe/Berlin**; $9.00 would be asked for by the window's end |"
    ) in text
    assert "- `team`: at least 3 calls wait, paused until the ceiling is raised." in text
    assert "- `team` refused calls in this window, the last told at 2025-11-30 11:52" in text
    assert "- `team`: $1.00 is unconfirmed;" in text
    # The youngest first, from the first that had a call.
    assert (
        "| --- | ---: | ---: | --- |\n| 2025-11-30 | $2.00 | 7 | `████████████████████` |\n"
        "| 2025-11-29 | $1.00 | 1 | `██████████░░░░░░░░░░` |\n\n"
    ) in text
    assert "| `fan-out/nightly` | $2.00 | 1 |" in text and "| `(no deployment)` |" in text
    assert "| 4 others | $0.40 | 4 |" in text and "openai/model-10" not in text
    assert "| `docs/a.md` | `fan-out` | $1.50 | 1 | 10 | 5 |" in text


def test_page_of_a_quiet_governor_says_so() -> None:
    quiet = BudgetLine(DAY, replace(PURSE, unconfirmed_nano=0), Forecast(None, 2 * NANO))
    text = page(
        statement(budgets=(quiet,), days=(("d", spend(0, 0)),), deployments=(), models=(),
                  pieces=()),
        {},
    )  # fmt: skip
    assert "Nothing was refused in this window, nothing is paused." in text
    assert "| $2.00 by the window's end |" in text
    assert text.count("\nNothing.\n") == 3 and "\nNone.\n" in text


def test_budget_whose_ceiling_is_a_runs_has_no_window_to_end() -> None:
    run = BudgetLine(replace(DAY, window="run"), replace(PURSE, label="run:x"), Forecast())
    text = page(statement(budgets=(run,), of_window=False), {})
    assert "| a run, the latest | $3.00 |" in text and "| a ceiling for each run |" in text
    assert "## By model, in the last 14 days" in text


def rendered(text: str) -> str:
    return str(MarkdownIt("gfm-like", {"linkify": False}).render(text))


@given(st.text(max_size=200) | st.just(HOSTILE))
def test_names_of_any_text_are_shown_as_text_in_their_cell(name: str) -> None:
    html = rendered(f"| a | b |\n| --- | --- |\n| {code(name)} | kept |\n")
    assert html.count("<td>") == 2 and "<td>kept</td>" in html
    assert html.count("<td><code>") == 1
    assert "<script" not in html and "<a " not in html and "<strong" not in html


def test_hostile_names_change_nothing_of_the_page_around_them() -> None:
    made = statement(
        governor=HOSTILE, models=((HOSTILE, spend(1)),), deployments=(("id", spend(1)),),
        pieces=(Piece(HOSTILE, None, HOSTILE, spend(1)),),
    )  # fmt: skip
    html = rendered(page(made, {"id": HOSTILE}))
    assert html.count("<h1>") == 1 and html.count("<table>") == 5
    assert "<script" not in html and "<a " not in html


@given(part=st.integers(0, 10**12), whole=st.integers(0, 10**12))
def test_bar_is_full_only_where_nothing_is_left_and_empty_only_where_nothing_is_gone(
    part: int, whole: int
) -> None:
    drawn = bar(part, whole)
    assert len(drawn) == 20
    assert ("░" not in drawn) == (part >= whole or whole == 0)
    assert ("█" not in drawn) == (part == 0 and whole > 0)
