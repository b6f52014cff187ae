"""`prefect-governor budget raise …` and `lower …`: the document, the ledger and who waits."""

import socket
import time
from decimal import Decimal

import pytest

from prefect_governor import Budget, ConfigurationError, Governor, Limit
from prefect_governor.flows.cli.budget.change import apply_change, plan_change
from tests.integration.cli.budgets import refused, run_budget, shown, spend, told
from tests.integration.governing import ask, document_of, edit, loaded_as
from tests.talk import Talk
from tests.waiting import until
from tests.warm import WarmParent

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")
ME = f"@{socket.gethostname()}"
RAISE_SECONDS = 5.0


def test_raise_edits_the_document_and_the_ledger_and_leaves_the_rest(name: str) -> None:
    Governor(
        budget=Budget(max_usd=1, max_total_tokens=1000, window="day", time_zone="Europe/Berlin"),
        limits=[Limit(tag="llm", max_concurrent=3)],
        queue_timeout_seconds=7,
    ).save(name)
    text = told("raise", name, "+0.5", "--reason", "the quarterly review")
    assert "ceiling      $1.00 and 1,000 tokens → $1.50 and 1,000 tokens" in text
    governor = loaded_as(Governor, name)
    assert governor.budget.max_usd == Decimal("1.5")
    assert governor.budget.max_total_tokens == 1000
    assert (governor.budget.window, governor.budget.time_zone) == ("day", "Europe/Berlin")
    assert [limit.max_concurrent for limit in governor.limits] == [3]
    assert governor.queue_timeout_seconds == 7
    found = shown(name, "--audit")
    assert found["ceiling_usd"] == 1.5
    (row,) = found["audit"]
    assert (row["action"], row["reason"]) == ("raised", "the quarterly review")
    assert (row["before"], row["after"]) == ("1 USD and 1000 tokens", "1.5 USD and 1000 tokens")
    assert row["by"].endswith(ME)
    told("lower", name, "0.25", "--tokens", "-400")
    after = shown(name, "--audit")
    assert (after["ceiling_usd"], after["tokens"]["ceiling"]) == (0.25, 600)
    assert [row["action"] for row in after["audit"]] == ["raised", "lowered"]
    assert "the quarterly review" in told("show", name, "--audit")


def test_secret_and_other_fields_of_a_governors_document_survive_a_raise(name: str) -> None:
    Governor(budget=Budget(max_usd=1), when_spent="pause", pause_timeout_seconds=9).save(name)
    told("raise", name, "2")
    governor = loaded_as(Governor, name)
    assert (governor.when_spent, governor.pause_timeout_seconds) == ("pause", 9)
    assert governor.budget.max_usd == 2


def test_raise_names_what_is_left_above(name: str) -> None:
    Budget(max_usd=4, window="month").save(f"{name}-top")
    Budget(max_usd=1, parent=f"{name}-top").save(name)
    text = told("raise", name, "9")
    assert f"under Budget '{name}-top', which has $4.00 left" in text
    assert loaded_as(Budget, name).parent == f"{name}-top"


def test_governor_that_only_draws_on_another_budget_names_it(name: str) -> None:
    Budget(max_usd=4).save(f"{name}-top")
    Governor(budget=Budget(parent=f"{name}-top")).save(name)
    assert f"'{name}-top'" in refused("raise", name, "9")
    assert loaded_as(Governor, name).budget.max_usd is None


def test_budget_that_has_its_governors_name_is_raised_by_it(name: str) -> None:
    # As `init` makes them: no other name could be said instead.
    Budget(max_usd=4, window="day").save(name)
    Governor(budget=Budget(parent=name)).save(name)
    assert "$4.00 → $9.00" in told("raise", name, "+5")
    assert "$9.00 → $3.00" in told("lower", name, "3")
    assert loaded_as(Budget, name).max_usd == 3
    assert loaded_as(Governor, name).budget.max_usd is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["raise", "5"], "use `budget lower`"),
        (["raise", "-5"], "use `budget lower`"),
        (["lower", "50"], "use `budget raise`"),
        (["lower", "+5"], "use `budget raise`"),
        (["raise"], "say what to raise"),
        (["raise", "lots"], "lots"),
        (["raise", "--tokens", "5"], "no such ceiling"),
        (["lower", "--tokens", "lots"], "--tokens"),
    ],
)
def test_change_that_makes_no_sense_is_one_line(
    name: str, arguments: list[str], words: str
) -> None:
    Budget(max_usd=10).save(name)
    assert words in refused(arguments[0], name, *arguments[1:])
    assert loaded_as(Budget, name).max_usd == 10


def test_ceiling_that_stands_in_a_script_is_changed_there() -> None:
    assert "Governor.local('scratch'" in refused("raise", "local/scratch", "5")


def test_two_writers_do_not_lose_each_others_change(name: str) -> None:
    Budget(max_usd=1).save(name)
    change = plan_change("raise", name, "+1", tokens=None)
    edit(document_of(loaded_as(Budget, name)), max_usd=7)
    with pytest.raises(ConfigurationError, match="somebody else"):
        apply_change(change, reason="")
    assert loaded_as(Budget, name).max_usd == 7
    assert [each["action"] for each in shown(name, "--audit")["audit"]] == ["edited"]


def test_lower_below_what_is_spent_warns_and_stops_the_next_call(name: str) -> None:
    Governor(budget=Budget(max_usd=1, window="day")).save(name)
    spend(name, 0.5)
    result = run_budget("lower", name, "0.2", "--reason", "nothing more today")
    assert result.exit_code == 0
    assert "$0.50 is spent or unconfirmed already: nothing more is admitted" in result.stderr
    _, admitted = ask(loaded_as(Governor, name).runtime, 0.01)
    with pytest.raises(Exception, match=r"\$0\.20 ceiling"):
        admitted.result(30)


def test_lower_to_nothing_is_a_ceiling_of_nothing(name: str) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    told("lower", name, "0")
    assert shown(name)["ceiling_usd"] == 0


# What runs in a process of its own: it asks for money that is not there, and says what came.
PAUSED = """
import sys, time
from prefect_governor import Governor
from tests.integration.governing import ask
from tests.talk import tell
runtime = Governor.load(sys.argv[1]).runtime
_, admitted = ask(runtime, 0.5)
for _ in range(3):
    runtime.desk.write(lambda batch: None).result()
tell("refused" if admitted.done() else "waiting")
admitted.result(60)
tell(time.monotonic())
"""


def test_raise_by_cli_wakes_a_waiting_run_of_another_process_within_five_seconds(
    name: str, warm: WarmParent
) -> None:
    Governor(budget=Budget(max_usd="0.1"), when_spent="pause").save(name)
    with Talk(warm.command("-c", PAUSED, name)) as talk:
        assert talk.hear() == "waiting"
        assert shown(name)["reserved_usd"] == 0
        until(lambda: bool(shown(name)["waiting"]))
        (waiting,) = shown(name)["waiting"]
        assert waiting["for"] == f"a raise of budget {name!r} (paused)"
        told("raise", name, "+0.9")
        raised = time.monotonic()
        seconds = talk.hear() - raised
    print(f"admitted {seconds:.2f} s after the raise")
    assert seconds < RAISE_SECONDS
