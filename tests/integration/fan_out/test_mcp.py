"""A fan-out whose sub-agents call tools of MCP servers, each item in sessions of its own."""

import json
from pathlib import Path
from typing import Any

import pytest

from prefect_governor import Report, fan_out
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.cli.main import main
from prefect_governor.flows.run.control import Control, current_control
from tests.integration.fan_out.injections import order
from tests.integration.governing import MODEL
from tests.provider.process import ProviderProcess
from tests.unit.flows.mcp import programs
from tests.unit.flows.mcp.offering import offered

pytestmark = pytest.mark.usefixtures("server")
ITEMS = [{"key": key, "text": f"Order {key}"} for key in ("a", "b")]


def ask(question: str, mcp: Any, control: Control | None = None, **options: Any) -> Report:
    token = current_control.set(control or Control())
    try:
        report = fan_out(
            ITEMS, ask=question, mcp=mcp, model=MODEL, max_output_tokens=200, **options
        )
    finally:
        current_control.reset(token)
    assert isinstance(report, Report)
    return report


def test_items_call_the_tools_of_a_server_and_what_it_said_is_paid_for_once(
    upstream: ProviderProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.renew(obeys=True)
    question = "In stock? " + " ".join(
        [
            order(call="depot__in_stock", arguments={"part": "A"}),
            order(say="twelve", when="12 of A"),
        ]
    )
    with offered() as offering:
        (tmp_path / "mcp.json").write_text(json.dumps(offering.configuration()))
        (tmp_path / "order.txt").write_text("Order a")
        # A look asks the server what it offers, and calls nothing.
        looked = [
            "estimate", str(tmp_path / "order.txt"), "--ask", "?", "--model", MODEL, "--json",
        ]  # fmt: skip
        tokens = []
        for more in ([], ["--mcp", str(tmp_path / "mcp.json")]):
            with pytest.raises(SystemExit, match=r"^0$"):
                main([*looked, *more], standalone_mode=False)
            tokens.append(json.loads(capsys.readouterr().out)["input_tokens"])
        assert tokens[1] > 3 * tokens[0] and not upstream.stats()["requests"]
        report = ask(question, "mcp.json", folder=str(tmp_path))
        assert [item.result for item in report.items] == ["twelve", "twelve"]
        assert [item.calls for item in report.items] == [2, 2]
        assert offering.stock == ["A", "A"]
        paid = upstream.settled_stats()
        assert int(report.budget.spent_usd * 10**9) == paid["billed_nano"]
        again = ask(question, "mcp.json", Control(kept_as=report.run_id), folder=str(tmp_path))
        assert [item.result for item in again.items] == ["twelve", "twelve"]
        assert upstream.settled_stats()["requests"] == paid["requests"] == 4
    # The server is gone: said before anything is spent.
    with pytest.raises(ConfigurationError, match="'depot' cannot be connected to"):
        ask("Another?", "mcp.json", folder=str(tmp_path))
    assert upstream.settled_stats()["requests"] == 4


@pytest.mark.usefixtures("sandboxes")
def test_what_a_program_keeps_of_one_item_is_not_there_for_the_next(
    upstream: ProviderProcess,
) -> None:
    upstream.renew(obeys=True)
    own = {
        "command": "python3", "args": ["programs.py"], "cwd": str(Path(programs.__file__).parent),
    }  # fmt: skip
    question = "How often? " + " ".join(
        [
            order(call="own__count", arguments={}),
            order(call="own__write", arguments={"what": "left.txt"}, when="1 calls"),
            # A program of the item's own beside its server's.
            order(call="python", arguments={"code": "print(6 * 7)"}, when="2 calls"),
            order(say="twice", when="(?m)^42$"),
            order(say="more", when="3 calls"),
        ]
    )
    report = ask(question, {"mcpServers": {"own": own}}, tools=["python"])
    assert [(item.state, item.result) for item in report.items] == [("succeeded", "twice")] * 2
