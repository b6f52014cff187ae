"""Broken setups of what is saved on a server: blocks, limits, Variables, schedules."""

import uuid
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import (
    DeploymentScheduleCreate,
    DeploymentUpdate,
    GlobalConcurrencyLimitCreate,
    VariableCreate,
)
from prefect.client.schemas.schedules import IntervalSchedule
from pydantic import SecretStr

from prefect_governor import Budget, Governor, Limit, Model
from prefect_governor.blocks.documents.identity import variable_name
from prefect_governor.blocks.records.calls import Attribution, Bound, Demand, Usage
from tests.integration import governing
from tests.integration.cli.setups.setup import setup
from tests.integration.governing import NANO, edit, loaded_as
from tests.postgres import free_port
from tests.provider.process import ProviderProcess

OFFLINE = "offline/extract"
KEY = "sk-right-1234567890abcdef"


@setup("fail", "max_usd", words="/blocks/block/")
def a_budget_of_less_than_nothing(name: str) -> Iterator[str]:
    document = _saved(Budget(max_usd=3), name)
    edit(document, max_usd=-3)
    yield f"budget {name!r}"
    edit(document, max_usd=3)


@setup("fail", "there is no Budget block named", words="make that one")
def a_parent_that_is_not_there(name: str) -> Iterator[str]:
    Budget(max_usd=3, parent=f"{name}-above").save(name)
    yield f"budget {name!r}"
    Budget(max_usd=9).save(f"{name}-above")


@setup("fail", "it is its own parent", words="give one of them another parent")
def budgets_that_are_each_others_parents(name: str) -> Iterator[str]:
    first = _saved(Budget(max_usd=3, parent=f"{name}-z"), name)
    Budget(max_usd=3, parent=name).save(f"{name}-z")
    yield f"budget {name!r}"
    edit(first, parent=None)


@setup("fail", "limits.0.max_concurrent", words="/blocks/block/")
def a_governor_with_a_limit_of_nothing(name: str) -> Iterator[str]:
    document = _saved(Governor(budget=Budget(max_usd=1)), name)
    edit(document, limits=[{"tag": "llm", "max_concurrent": 0}])
    yield f"governor {name!r}"
    edit(document, limits=[])


@setup("fail", "which cannot be used (see there)", words="")
def a_governor_under_a_budget_that_is_not_valid(name: str) -> Iterator[str]:
    document = _saved(Budget(max_usd=3), f"{name}-above")
    Governor(budget=Budget(max_usd=1, parent=f"{name}-above")).save(name)
    edit(document, window="fortnight")
    yield f"governor {name!r}"
    edit(document, window="day")


@setup("warn", "it only observes", words="set its mode to enforce")
def a_governor_that_was_left_observing(name: str) -> Iterator[str]:
    document = _saved(Governor(budget=Budget(max_usd=1), mode="observe"), name)
    yield f"governor {name!r}"
    edit(document, mode="enforce")


@setup("warn", "$0.00 of $1.00 left", command="budget raise")
def a_budget_that_is_spent(name: str) -> Iterator[str]:
    Governor(budget=Budget(max_usd=1)).save(name)
    governing.spend(loaded_as(Governor, name).runtime, 1)
    yield f"governor {name!r}"


@setup("warn", "0 of 2 tokens left", command="--tokens")
def a_budget_whose_tokens_are_spent(name: str) -> Iterator[str]:
    Governor(budget=Budget(max_total_tokens=2)).save(name)
    governing.spend(loaded_as(Governor, name).runtime, 0)
    yield f"governor {name!r}"


@setup("warn", "is switched off", command="prefect gcl enable")
def a_limit_that_was_switched_off(name: str) -> Iterator[str]:
    yield _limited(name, limit=5, active=False)


@setup("warn", "says 2", command="prefect gcl update")
def a_limit_that_was_lowered_in_prefect(name: str) -> Iterator[str]:
    yield _limited(name, limit=2)


@setup("fail", "Prefect has no limit", command="prefect gcl create")
def a_shared_limit_that_is_not_there(name: str) -> Iterator[str]:
    limit = Limit(tag="llm", max_concurrent=5, share_with=f"{name}-shared")
    Governor(budget=Budget(max_usd=1), limits=[limit]).save(name)
    yield f"governor {name!r}, limit 'llm'"


@setup("warn", "2 of 2 slots that are taken are leased to nobody", command="--active-slots 0")
def slots_that_nobody_gives_back(name: str) -> Iterator[str]:
    about = _limited(name, limit=5)
    with get_client(sync_client=True) as client:
        client.increment_concurrency_slots(
            names=[f"governor:{name}:llm"], slots=2, mode="concurrency"
        )
    yield about


@setup("warn", "has no key on this machine", command="export ANTHROPIC_API_KEY=")
def a_model_without_a_key(name: str, provider: ProviderProcess) -> Iterator[str]:
    document = _saved(Model(name="anthropic/claude-haiku-4-5"), name)
    yield f"model {name!r}"
    edit(document, api_base=provider.url, api_key=KEY)


@setup("fail", "refuses the key (401", words="give a key that it takes")
def a_model_whose_key_is_refused(name: str, provider: ProviderProcess) -> Iterator[str]:
    block = Model(
        name="openai/gpt-4o-mini", api_base=provider.api_base, api_key=SecretStr("sk-wrong-key-0")
    )
    document = _saved(block, name)
    yield f"model {name!r}"
    edit(document, api_key=KEY)


@setup("fail", "cannot be reached", command="curl")
def a_model_at_an_address_where_nobody_is(name: str, provider: ProviderProcess) -> Iterator[str]:
    nowhere = f"http://127.0.0.1:{free_port()}/v1"
    document = _saved(Model(name="openai/gpt-4o-mini", api_base=nowhere), name)
    yield f"model {name!r}"
    edit(document, api_base=provider.api_base, api_key=KEY)


@setup("fail", "price", words="/blocks/block/")
def a_model_whose_price_nobody_knows(name: str, provider: ProviderProcess) -> Iterator[str]:
    model = Model(name="openai/nobody-knows-1", api_base=provider.api_base, api_key=SecretStr(KEY))
    document = _saved(model, name)
    yield f"model {name!r}"
    price = {"input_usd_per_million_tokens": 1, "output_usd_per_million_tokens": 1}
    edit(document, price=price)


@setup("fail", "max_output_tokens", words="/blocks/block/")
def a_model_that_may_say_nothing(name: str, provider: ProviderProcess) -> Iterator[str]:
    block = Model(name="openai/gpt-4o-mini", api_base=provider.api_base, api_key=SecretStr(KEY))
    document = _saved(block, name)
    edit(document, max_output_tokens=0)
    yield f"model {name!r}"
    edit(document, max_output_tokens=100)


@setup("fail", "is counted in the ledger ffffffff on host 'elsewhere'", command="variable delete")
def a_budget_of_another_machines_ledger(name: str) -> Iterator[str]:
    _told(_saved(Budget(max_usd=3), name), ledger="f" * 32, host="elsewhere", home="/srv/governor")
    yield f"budget {name!r}"


@setup("fail", "is none of ours any more", command="variable delete")
def a_variable_that_somebody_wrote_over(name: str) -> Iterator[str]:
    _told(_saved(Governor(budget=Budget(max_usd=3)), name), owner="somebody")
    yield f"governor {name!r}"


@setup("warn", "as 1 past run): 84 runs until", command="budget raise")
def a_schedule_that_what_is_left_does_not_pay_for(name: str) -> Iterator[str]:
    Governor(budget=Budget(max_usd=2)).save(name)
    deployment = _deployment(name, {"governor": name})
    runtime = loaded_as(Governor, name).runtime
    who = Attribution(deployment=str(deployment), flow_run_id=uuid.uuid4().hex)
    call = Demand(uuid.uuid4().hex, runtime.accounts(who), (), Bound(NANO, 1, 1), who)
    runtime.desk.admit(call).result(30)
    runtime.desk.settle(call.call_id, Usage(NANO, 1, 1)).result(30)
    yield f"schedule of '{name}/{name}'"


@setup("fail", "by its estimate), more than the whole ceiling", command="budget raise")
def a_schedule_whose_single_run_is_more_than_the_ceiling(
    name: str, folder: Path, provider: ProviderProcess
) -> Iterator[str]:
    model = Model(name="openai/gpt-4o-mini", api_base=provider.api_base, api_key=SecretStr(KEY))
    model.save(name)
    (folder / f"{name}.txt").write_text("Pay by Friday. " * 200)
    Governor(budget=Budget(max_usd="0.000001", window="day")).save(name)
    _deployment(
        name,
        {
            "governor": name,
            "ask": "When?",
            "sources": [f"{name}.txt"],
            "folder": str(folder),
            "model": f"block:{name}",
        },
    )
    yield f"schedule of '{name}/{name}'"


@setup("fail", "which its runs ask for", words="save it, or name another")
def a_schedule_under_a_governor_that_is_not_there(name: str) -> Iterator[str]:
    _deployment(name, {"governor": name, "ask": "Why?", "items": ["a"], "model": OFFLINE})
    yield f"schedule of '{name}/{name}'"
    Governor(budget=Budget(max_usd=3)).save(name)


@setup("warn", "its next run would be refused: ask is empty", words="edit its parameters")
def a_schedule_whose_parameters_are_refused(name: str) -> Iterator[str]:
    Governor(budget=Budget(max_usd=3)).save(name)
    asked = {"governor": name, "items": ["a"], "model": OFFLINE}
    deployment = _deployment(name, asked | {"ask": ""})
    yield f"schedule of '{name}/{name}'"
    with get_client(sync_client=True) as client:
        client.update_deployment(deployment, DeploymentUpdate(parameters=asked | {"ask": "Why?"}))


def _saved(block: Budget | Governor | Model, name: str) -> UUID:
    block.save(name)
    return governing.document_of(block)


def _limited(name: str, *, limit: int, active: bool = True) -> str:
    """A governor with a limit of 5, and what Prefect's own says; what the line is about."""
    limits = [Limit(tag="llm", max_concurrent=5)]
    Governor(budget=Budget(max_usd=1), limits=limits).save(name)
    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(
            GlobalConcurrencyLimitCreate(name=f"governor:{name}:llm", limit=limit, active=active)
        )
    return f"governor {name!r}, limit 'llm'"


def _told(document: UUID, **value: str) -> None:
    with get_client(sync_client=True) as client:
        name = variable_name(str(document))
        client.create_variable(VariableCreate(name=name, value=dict(value)))


def _deployment(name: str, parameters: Mapping[str, object]) -> UUID:
    """A fan-out's deployment that runs every two hours; three runs of it are made."""
    with get_client(sync_client=True) as client:
        flow = client.create_flow_from_name(name)
        every = DeploymentScheduleCreate(
            schedule=IntervalSchedule(interval=timedelta(hours=2)), max_scheduled_runs=3
        )
        made = client.create_deployment(
            flow,
            name,
            schedules=[every],
            parameters=dict(parameters),
            entrypoint="prefect_governor.flows.fan_out_flow.fan_out",
        )
        _schedule(client, made)
        return made


def _schedule(client: SyncPrefectClient, deployment: UUID) -> None:
    """As the scheduler does at its next look."""
    client.request(
        "POST",
        "/deployments/{id}/schedule",
        path_params={"id": str(deployment)},
        json={"max_runs": 3},
    )
