"""A provider's export of costs: read as it is documented, or refused with what it is to be."""

import json
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.cli.ledger.costs import read_costs

OPENAI = {
    "object": "page",
    "data": [
        {
            "object": "bucket",
            "start_time": 1730419200,
            "end_time": 1730505600,
            "results": [
                {
                    "object": "organization.costs.result",
                    "amount": {"value": 0.06, "currency": "usd"},
                    "line_item": "gpt-4o-mini, input",
                    "project_id": None,
                }
            ],
        }
    ],
    "has_more": False,
}
ANTHROPIC = {
    "data": [
        {
            "starting_at": "2024-11-01T00:00:00Z",
            "ending_at": "2024-11-02T00:00:00Z",
            "results": [{"amount": "6.00012", "currency": "USD", "model": "claude-x"}],
        }
    ],
    "has_more": False,
}
FORMS = {
    "plain.csv": "day,model,usd\n2024-11-01,gpt,0.06\n",
    "semicolons.csv": "Day;USD\n2024-11-01;0.06\n",
    "openai.csv": (
        "start_time,end_time,start_time_iso,amount_value,amount_currency,line_item\n"
        "1730419200,1730505600,2024-11-01T00:00:00+00:00,0.06,usd,gpt\n"
    ),
    "anthropic.csv": "usage_date_utc,model,token_type,cost_usd\n2024-11-01,Claude X,input,0.06\n",
    "openai.json": json.dumps(OPENAI),
    "pages.json": json.dumps([OPENAI | {"has_more": True}, {"data": []}]),
    "anthropic.json": json.dumps(ANTHROPIC).replace("6.00012", "6"),
}


def written(folder: Path, text: str, name: str = "costs.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", FORMS)
def test_each_documented_form_says_the_same(tmp_path: Path, name: str) -> None:
    (cost,) = read_costs(written(tmp_path, FORMS[name], name))
    assert cost.day == datetime(2024, 11, 1, tzinfo=timezone.utc)
    assert cost.usd == Decimal("0.06") and cost.where.startswith(name)


def test_cents_are_exact(tmp_path: Path) -> None:
    (cost,) = read_costs(written(tmp_path, json.dumps(ANTHROPIC)))
    assert cost.usd == Decimal("0.0600012") and cost.model == "claude-x"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("model,tokens\nx,3\n", "no day with a cost in USD"),
        ("day,usd\n2024-11-31,1\n", "line 2: '2024-11-31' is no day"),
        ("day,usd\n2024-11-01,-1\n", "'-1' is no cost"),
        ("day,usd\n2024-11-01,NaN\n", "'NaN' is no cost"),
        ("day,usd\n2024-11-01,1,2\n", "more fields than the header"),
        ("day,usd,currency\n2024-11-01,1,EUR\n", "'EUR', not USD"),
        ("day,usd\n", "has no rows"),
        ("{", "neither JSON nor CSV"),
        ('{"error": 1}', "no `data`"),
        ('{"data": [{"start_time": 1730419200}]}', "no `results`"),
        (json.dumps(OPENAI | {"has_more": True}), "not all of it"),
    ],
)
def test_what_cannot_be_read_is_refused_whole(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        read_costs(written(tmp_path, text))
