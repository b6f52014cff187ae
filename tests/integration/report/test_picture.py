"""The picture of a run is on its page, beside its report, and says what the ledger says."""

import asyncio
import base64
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import Artifact

from prefect_governor import Report, fan_out, research
from prefect_governor.flows.report.shown.amounts import usd
from tests.integration.conftest import Corpus
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server")

SVG = "{http://www.w3.org/2000/svg}"


def artifacts(run_id: str) -> dict[str, Artifact]:
    async def read() -> list[Artifact]:
        wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(run_id)]))
        async with get_client() as client:
            return await client.read_artifacts(artifact_filter=wanted)

    return {str(artifact.key): artifact for artifact in asyncio.run(read())}


def picture(artifact: Artifact) -> str:
    data = str(artifact.data).partition("data:image/svg+xml;base64,")[2]
    assert artifact.type in ("image", "markdown") and data
    return base64.b64decode(data.strip().removesuffix(")")).decode()


def texts(svg: str) -> list[str]:
    return [str(each.text) for each in ET.fromstring(svg).iter(f"{SVG}text")]


def test_the_picture_of_a_fan_out_says_what_the_ledger_and_the_provider_say(
    upstream: ProviderProcess, corpus: Corpus
) -> None:
    upstream.configure(latency_seconds=0.2, output_tokens=[5, 20])
    report = fan_out(
        corpus(60), ask="What is this?", model="openai/gpt-4o-mini", max_output_tokens=24,
        max_concurrent=10, requests_per_minute=6000, max_usd="0.02",
    )  # fmt: skip
    assert isinstance(report, Report)
    stats = upstream.settled_stats()
    found = artifacts(report.run_id)
    svg = picture(found["fan-out-over-time"])

    assert report.picture is not None and report.picture in report.files
    assert Path(report.picture).read_text() == svg
    assert svg.count("<path") > 10
    said = texts(svg)
    assert said[0].startswith("fan-out: 60 items, ")
    in_flight = next(text for text in said if text.startswith("most") and "cap" in text)
    most = int(in_flight.split(",")[0].removeprefix("most "))
    assert in_flight.endswith("cap 10")
    assert 5 <= most <= report.limits.max_in_flight == stats["max_open"]
    assert f"{stats['requests']} requests, limit 6,000" in said
    assert f"{usd(report.budget.spent_usd)} of $0.0200" in said
    assert report.budget.spent_usd * 10**9 == stats["billed_nano"]
    queue = next(text for text in said if "at the end" in text)
    assert queue.endswith("at the end 0")

    link = re.search(
        r"\[In flight[^]]*\]\(\./([0-9a-f-]{36})\)", str(found["fan-out-summary"].data)
    )
    assert link is not None
    assert link[1] == str(found["fan-out-over-time"].id)


def test_a_research_run_has_its_picture_too(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("The ledger is a file.\nA budget is a ceiling.\n")
    report = research(
        "What is the ledger, and what is a budget?", corpus=[str(tmp_path)],
        model="offline/extract", folder=str(tmp_path),
    )  # fmt: skip
    found = artifacts(report.run_id)
    said = texts(picture(found["research-over-time"]))
    assert said[0].startswith(f"research: {len(report.items)} items, ")
    assert f"{usd(report.budget.spent_usd)} of $1.00" in said
    assert report.picture in report.files
