"""A governor in another process: what is pickled of it opens the same one, or says why not."""

from pathlib import Path

import cloudpickle  # type: ignore[import-untyped]
import pytest

from prefect_governor import Governor, Limit
from prefect_governor.blocks.context.scope import Scope
from prefect_governor.blocks.errors import ConfigurationError, NotGoverned
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Attribution
from prefect_governor.blocks.terms.limit import GovernedLimit
from prefect_governor.blocks.work.registry import stop_all

WHO = Attribution(model="gpt-4o-mini")

pytestmark = pytest.mark.usefixtures("home")


def team(name: str) -> Governor:
    return Governor.local(name, max_usd=1, limits=[Limit(tag="llm", max_concurrent=3)])


def test_it_is_the_same_governor_there_and_spends_from_the_same_account() -> None:
    runtime = team("afar").runtime
    told = cloudpickle.dumps(runtime.elsewhere())
    # As in a process that knows of none.
    stop_all()
    again = cloudpickle.loads(told)()
    assert again is not runtime
    assert again.accounts(WHO) == runtime.accounts(WHO)
    assert again.limits_ == runtime.limits_
    assert again.desk.store.ledger_id == runtime.desk.store.ledger_id


def test_a_run_s_own_budget_and_limits_go_along() -> None:
    run = team("afar-run").runtime.narrowed(
        account=Account("run/1", "a run", 10**9, None),
        limits=(GovernedLimit(Limit(tag="run", max_concurrent=1), "run/1/run", False),),
    )
    told = cloudpickle.dumps(run.elsewhere())
    stop_all()
    again = cloudpickle.loads(told)()
    assert again.accounts(WHO) == run.accounts(WHO) == ("run/1", "local/afar-run")
    assert again.limits_ == run.limits_


def test_where_the_ledger_is_another_one_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on another machine, where a governor of this one alone were a second ceiling."""
    told = cloudpickle.dumps(team("afar-ledger").runtime.elsewhere())
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "another-machine"))
    with pytest.raises(ConfigurationError, match="use the same PREFECT_HOME"):
        cloudpickle.loads(told)()


def test_one_that_this_process_alone_knows_is_refused_before_its_task_is_sent() -> None:
    runtime = team("afar-own").runtime
    runtime.opened_by = None
    with pytest.raises(NotGoverned, match="Decorate the task with @governed"):
        Scope(runtime).elsewhere()


def test_what_a_scope_says_goes_along_but_for_the_replies_that_are_kept() -> None:
    here = Scope(
        team("afar-scope").runtime, tags=("night",), user="ann", run_id="r", item="i",
        allocation="part", priority=3, own_purse=True, fit=False,
    )  # fmt: skip
    there = cloudpickle.loads(cloudpickle.dumps(here.elsewhere()))()
    for name in ("tags", "user", "run_id", "item", "allocation", "priority", "own_purse", "fit"):
        assert getattr(there, name) == getattr(here, name), name
    assert there.spent is not here.spent
    assert here.next_reply_key("hash") is not None
    assert there.next_reply_key("hash") is None
