"""The blocks as ops people use them: saved, loaded, edited, wrong in every way."""

import ast
import textwrap
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient, get_client
from pydantic import SecretStr

from prefect_governor import Budget, ConfigurationError, Governor, Limit, Model, fan_out
from prefect_governor.blocks.documents.documents import accounts_of, load_block
from prefect_governor.blocks.governor import load_governor
from prefect_governor.blocks.records.calls import Usage
from prefect_governor.blocks.terms.price import PriceOverride
from tests.integration.governing import MODEL, NANO, ask, document_of, edit, loaded_as
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")


BLOCKS: list[type[Block]] = [Budget, Governor, Model]


# As Prefect's own suite has it


@pytest.mark.parametrize("kind", BLOCKS)
def test_block_describes_itself(kind: type[Block]) -> None:
    assert kind.get_description()
    assert len(kind.get_description() or "") <= 200
    assert kind._documentation_url is not None
    assert str(kind._documentation_url).startswith("https://")
    example = kind.get_code_example()
    assert example is not None
    ast.parse(textwrap.dedent(example.strip().removeprefix("```python").removesuffix("```")))
    assert f"{kind.__name__}" in example


def test_types_are_told_apart_by_name_and_slug() -> None:
    assert {kind.get_block_type_name(): kind.get_block_type_slug() for kind in BLOCKS} == {
        "Governor Budget": "governor-budget",
        "Governor": "governor",
        "Governor Model": "governor-model",
    }


@pytest.mark.parametrize("kind", BLOCKS)
def test_every_field_says_what_it_is_in_the_form(kind: type[Block]) -> None:
    for field, info in kind.model_fields.items():
        assert info.title, field
        assert info.description, field


# Saved, loaded, edited


def test_budget_is_loaded_as_it_was_saved_and_edited(name: str, client: SyncPrefectClient) -> None:
    Budget(max_usd="0.123456789", window="day", time_zone="Europe/Berlin").save(name)
    loaded = loaded_as(Budget, name)
    assert (loaded.max_usd, loaded.window) == (Decimal("0.123456789"), "day")
    Budget(max_usd=7, max_total_tokens=9).save(name, overwrite=True)
    assert loaded_as(Budget, name).max_usd == 7
    edit(document_of(loaded_as(Budget, name)), max_usd=8)
    assert loaded_as(Budget, name).max_usd == 8


async def test_blocks_are_loaded_in_async_code(name: str) -> None:
    await Budget(max_usd=3).asave(f"{name}-budget")
    governor = Governor(
        budget=Budget(max_usd=2), limits=[Limit(tag="llm", max_concurrent=4, tokens_per_day=9)]
    )
    await governor.asave(name)
    budget: Any = await Budget.aload(f"{name}-budget")
    assert budget.max_usd == 3
    loaded: Any = await Governor.aload(name)
    assert loaded.budget.max_usd == 2
    assert loaded.limits == [Limit(tag="llm", max_concurrent=4, tokens_per_day=9)]


def test_governor_follows_an_edit_of_the_budget_in_it(name: str, client: SyncPrefectClient) -> None:
    Budget(max_usd=1).save(f"{name}-shared")
    Governor(budget=loaded_as(Budget, f"{name}-shared")).save(name)
    edit(document_of(loaded_as(Budget, f"{name}-shared")), max_usd=2)
    assert loaded_as(Governor, name).budget.parent == f"{name}-shared"
    _, (account,) = accounts_of(name)
    assert account.ceiling_nano == 2 * NANO
    assert account.name == f"{name}-shared"


def test_two_governors_on_one_budget_draw_on_one_account(name: str) -> None:
    Budget(max_usd=1).save(f"{name}-shared")
    for each in ("a", "b"):
        Governor(budget=loaded_as(Budget, f"{name}-shared")).save(f"{name}-{each}")
    first, second = (load_governor(f"{name}-{each}").runtime for each in ("a", "b"))
    assert [each.key for each in first.accounts_] == [each.key for each in second.accounts_]
    call_id, admitted = ask(first, 0.5)
    admitted.result(30)
    first.desk.settle(call_id, Usage(NANO // 2, 1, 1)).result(30)
    assert loaded_as(Budget, f"{name}-shared").state().spent_nano == NANO // 2


def test_budget_inside_a_governor_is_its_own(name: str) -> None:
    for each in ("a", "b"):
        Governor(budget=Budget(max_usd=1)).save(f"{name}-{each}")
    keys = {accounts_of(f"{name}-{each}")[1][0].key for each in ("a", "b")}
    assert len(keys) == 2


def test_secret_of_a_model_is_shown_nowhere(name: str) -> None:
    secret = "sk-very-secret-0123456789"
    made = Model(name=MODEL, api_key=SecretStr(secret))
    made.save(name)
    loaded = loaded_as(Model, name)
    assert loaded.api_key is not None
    assert loaded.api_key.get_secret_value() == secret
    for block in (made, loaded):
        for shown in (repr(block), str(block), block.model_dump_json(), str(block.model_dump())):
            assert secret not in shown
    with get_client(sync_client=True) as client:
        document = client.read_block_document(document_of(loaded), include_secrets=False)
    assert secret not in document.model_dump_json()


def test_model_block_brings_its_key_its_address_and_its_price(
    name: str, upstream: ProviderProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_API_BASE")
    upstream.renew(
        prices={"house-model": {"input": "0.000003", "output": "0.000005"}}, keys=["sk-house-key"]
    )
    Model(
        name="openai/house-model",
        api_base=upstream.api_base,
        api_key=SecretStr("sk-house-key"),
        price=PriceOverride(input_usd_per_million_tokens=3, output_usd_per_million_tokens=5),
        max_output_tokens=30,
    ).save(name)
    path = tmp_path / "a.txt"
    path.write_text("a text")
    report = fan_out([path], ask="What?", model=f"block:{name}")
    assert report.outcome == "complete"
    assert int(report.budget.spent_usd * NANO) == upstream.settled_stats()["billed_nano"] > 0


# Wrong in every way


@pytest.mark.parametrize(
    ("field", "value"), [("max_usd", -3), ("max_usd", "lots"), ("window", "fortnight")]
)
def test_document_that_the_form_let_through_is_refused_with_its_field(
    name: str, client: SyncPrefectClient, field: str, value: Any
) -> None:
    Budget(max_usd=1).save(name)
    edit(document_of(loaded_as(Budget, name)), **{field: value})
    with pytest.raises(ConfigurationError, match=field) as refused:
        load_block(Budget, name)
    assert name in str(refused.value)


def test_governor_whose_budget_is_not_valid_is_refused_with_the_field(
    name: str, client: SyncPrefectClient
) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    edit(document_of(loaded_as(Governor, name)), budget={"max_usd": -3})
    with pytest.raises(ConfigurationError, match="max_usd"):
        load_governor(name)


@pytest.mark.parametrize("kind", [Budget, Governor, Model])
def test_block_that_is_not_there_is_named_with_how_to_make_it(kind: type[Block]) -> None:
    with pytest.raises(ConfigurationError, match=rf"'nobody'.*{kind.__name__}\(…\)\.save"):
        load_block(kind, "nobody")


def test_governor_that_was_never_saved_is_refused_with_the_fix() -> None:
    with pytest.raises(ConfigurationError, match=r"never saved.*Governor\.local"):
        _ = Governor(budget=Budget(max_usd=1)).runtime


def test_two_limits_of_one_name_are_refused(name: str) -> None:
    limits = [Limit(tag="llm", max_concurrent=2), Limit(tag="llm", requests_per_minute=2)]
    Governor(budget=Budget(max_usd=1), limits=limits).save(name)
    with pytest.raises(ConfigurationError, match=r"more than one limit for .*llm"):
        _ = load_governor(name).runtime


def test_spend_draws_on_every_budget_up_the_chain(name: str) -> None:
    Budget(max_usd=3, window="month").save(f"{name}-top")
    Budget(max_usd=2, parent=f"{name}-top").save(f"{name}-middle")
    Governor(budget=Budget(max_usd=1, parent=f"{name}-middle")).save(name)
    runtime = load_governor(name).runtime
    assert [each.name for each in runtime.accounts_] == [name, f"{name}-middle", f"{name}-top"]
    call_id, admitted = ask(runtime, 0.5)
    admitted.result(30)
    runtime.desk.settle(call_id, Usage(NANO // 4, 1, 1)).result(30)
    for each in (f"{name}-middle", f"{name}-top"):
        assert loaded_as(Budget, each).state().spent_nano == NANO // 4


def test_budget_that_is_its_own_ancestor_is_refused(name: str) -> None:
    Budget(max_usd=3, parent=f"{name}-b").save(f"{name}-a")
    Budget(max_usd=3, parent=f"{name}-a").save(f"{name}-b")
    Governor(budget=Budget(max_usd=1, parent=f"{name}-a")).save(name)
    with pytest.raises(ConfigurationError, match="its own parent"):
        _ = load_governor(name).runtime
    with pytest.raises(ConfigurationError, match="its own parent"):
        accounts_of(f"{name}-b")


def test_parent_that_has_the_governors_own_name_is_no_cycle(name: str) -> None:
    Budget(max_usd=3).save(name)
    Governor(budget=Budget(max_usd=1, parent=name)).save(name)
    kind, accounts = accounts_of(name)
    assert kind == "Governor"
    assert [each.ceiling_nano for each in accounts] == [NANO, 3 * NANO]


def test_parent_that_is_not_there_is_named(name: str) -> None:
    Governor(budget=Budget(max_usd=1, parent="nobody")).save(name)
    with pytest.raises(ConfigurationError, match="'nobody'"):
        _ = load_governor(name).runtime
