"""A fan-out whose sub-agents call tools: a real server, a real provider, a real sandbox."""

import json
from pathlib import Path
from typing import Any

import pytest

from prefect_governor import Report, fan_out
from tests.integration.fan_out.repositories import FAILING, PASSING, RUN_TESTS, make_repository
from tests.integration.governing import MODEL
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server")


def ask(folder: Path, sources: list[str], **options: Any) -> Report:
    settings: dict[str, Any] = {
        "ask": "Do its tests pass?", "model": MODEL, "max_output_tokens": 200,
        "tools": ["python", "read"], "folder": str(folder), **options,
    }  # fmt: skip
    report = fan_out(sources=sources, **settings)
    assert isinstance(report, Report)
    return report


def order(**order: Any) -> str:
    return f"OBEY {json.dumps(order)}"


EXAMPLE = "Do its tests pass? " + " ".join(
    [
        order(call="read", arguments={"name": "README.md"}),
        order(call="python", arguments={"code": RUN_TESTS}),
        order(say="Yes, says [README.md:1].", when="(?m)^0$"),
        order(say="No: [README.md:1] [src/adding.py:9].", when="(?m)^1$"),
    ]
)


def test_the_example_of_the_readme(upstream: ProviderProcess, tmp_path: Path) -> None:
    make_repository(tmp_path / "repos" / "good", PASSING)
    make_repository(tmp_path / "repos" / "bad", FAILING)
    upstream.renew(obeys=True)
    report = ask(tmp_path, ["repos/*"], ask=EXAMPLE)
    print(report.to_json())
    results = {item.key: item.result for item in report.items}
    assert results == {"repos/bad": "No: [README.md:1].", "repos/good": "Yes, says [README.md:1]."}
    assert "src/adding.py" in str(report.items[0].reason) and report.items[1].reason is None
    assert [item.calls for item in report.items] == [2, 2]
    assert int(report.budget.spent_usd * 10**9) == upstream.settled_stats()["billed_nano"]
