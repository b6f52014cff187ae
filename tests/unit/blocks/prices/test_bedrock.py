"""What a model costs at Amazon Bedrock: by region, by inference profile, by whatever is dearest."""

from decimal import Decimal

import pytest

from prefect_governor.blocks.prices.bedrock import entries_of, region_and_id, region_at
from prefect_governor.blocks.prices.places import provider_at
from prefect_governor.blocks.prices.prices import load_price, price_at
from tests.unit.prices import priced


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("bedrock-runtime.us-east-1.amazonaws.com", "us-east-1"),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("bedrock-runtime.eu-west-3.api.aws", "eu-west-3"),
        ("bedrock.us-east-1.amazonaws.com", None),
        ("bedrock-runtime.us-east-1.amazonaws.com.example.org", None),
        ("localhost", None),
    ],
)
def test_host_says_the_region(host: str, region: str | None) -> None:
    assert region_at(host) == region
    assert provider_at(host) == (None if region is None else "bedrock")


def test_name_may_say_the_region_and_the_api() -> None:
    assert region_and_id("bedrock/converse/us-east-1/meta.llama3-8b-instruct-v1:0") == (
        "us-east-1",
        "meta.llama3-8b-instruct-v1:0",
    )
    arn = "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc"
    assert region_and_id(f"bedrock/{arn}") == (None, arn)


LISTED = (
    "vendor.model", "bedrock/us-east-1/vendor.model", "bedrock/ap-south-1/vendor.model",
    "bedrock/ap-south-1/1-month-commitment/vendor.model", "us.other.model", "eu.other.model",
    "other.model",
)  # fmt: skip


@pytest.mark.parametrize(
    ("model", "region", "entries"),
    [
        ("bedrock/vendor.model", "ap-south-1", ["bedrock/ap-south-1/vendor.model"]),
        ("bedrock/ap-south-1/vendor.model", None, ["bedrock/ap-south-1/vendor.model"]),
        ("bedrock/converse/vendor.model", "us-west-2", ["vendor.model"]),
        # Where the list names no price of the region, another region's may be what it costs.
        (
            "bedrock/vendor.model",
            "eu-west-1",
            ["vendor.model", "bedrock/ap-south-1/vendor.model", "bedrock/us-east-1/vendor.model"],
        ),
        (
            "bedrock/vendor.model",
            "us-gov-west-1",
            ["vendor.model", "bedrock/ap-south-1/vendor.model", "bedrock/us-east-1/vendor.model"],
        ),
        (
            "bedrock/vendor.model",
            None,
            ["vendor.model", "bedrock/ap-south-1/vendor.model", "bedrock/us-east-1/vendor.model"],
        ),
        ("bedrock/us.other.model", "us-east-1", ["us.other.model"]),
        # A profile that nobody has listed.
        ("bedrock/jp.other.model", None, ["eu.other.model", "other.model", "us.other.model"]),
        ("bedrock/nobody.knows", "us-east-1", []),
        ("bedrock/arn:aws:bedrock:us-east-1:1:inference-profile/us.other.model", None, []),
    ],
)
def test_entries_that_may_be_the_price(model: str, region: str | None, entries: list[str]) -> None:
    assert list(entries_of(model, region, LISTED)) == entries


def test_model_of_converse_has_its_price_under_bedrocks_name() -> None:
    name = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
    assert priced(f"bedrock/{name}") == priced(name)
    assert priced(f"bedrock/converse/{name}").input == Decimal("0.0000011")
    assert load_price("bedrock/nobodys.model-v1") is None


def test_region_that_costs_more_does() -> None:
    name = "bedrock/deepseek.v3.2"
    there = price_at(name, "bedrock-runtime.ap-northeast-1.amazonaws.com")
    here = price_at(name, "bedrock-runtime.us-east-1.amazonaws.com")
    somewhere = price_at(name, "127.0.0.1")
    assert there is not None and here is not None and somewhere is not None
    assert here.input < there.input <= somewhere.input
    assert somewhere.service.keys() >= here.service.keys()
