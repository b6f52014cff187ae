"""`prefect-governor doctor`: the governors that are saved, with what is left."""

import os
import re

import pytest
from prefect.blocks.core import Block
from pydantic import SecretStr

from prefect_governor import Budget, Governor, Limit
from prefect_governor.blocks.governor import load_governor
from prefect_governor.flows.server.background import ServerInfo
from tests.integration.cli.commands import run
from tests.postgres import PASSWORD, free_port, shared_server

pytestmark = pytest.mark.usefixtures("server")


def test_doctor_names_the_governors_with_what_is_left(server: ServerInfo) -> None:
    name = f"doctor-{os.getpid()}"
    Governor(
        budget=Budget(max_usd=5, window="day"),
        limits=[Limit(tag="llm", max_concurrent=40, requests_per_minute=60)],
    ).save(name)
    result = run("doctor", OPENAI_API_KEY="sk-test")
    text = result.stdout
    assert f"server: {server.ui_url}" in text
    assert f"governor {name!r}: $5.00 of $5.00 left per day" in text
    assert "max concurrent 40" in text
    # How long a call takes is assumed, or what other tests' calls took.
    told = r"llm: 60 x [\d.,]+ s / 60 s|calls: 0\.00 s"
    assert re.search(rf"at once, the smallest first: .*({told})", text), text
    assert "model auto: openai/gpt-4o-mini (OPENAI_API_KEY is set)" in text
    assert "Traceback" not in result.output


def test_doctor_reads_what_is_left_in_the_ledger_that_a_governor_names() -> None:
    name, server = f"far-{os.getpid()}", shared_server()
    Governor(budget=Budget(max_usd=5), ledger_url=SecretStr(server.schema_url())).save(name)
    with load_governor(name).reserve(max_usd=2) as spend:
        spend.settle(2)
    text = run("doctor").stdout
    assert f"governor {name!r}: $3.00 of $5.00 left" in text
    assert f"governor {name!r}: its ledger is postgresql://" in text
    assert PASSWORD not in text
    gone = SecretStr(f"postgresql://me:{PASSWORD}@127.0.0.1:{free_port()}/gone")
    Governor(budget=Budget(max_usd=5), ledger_url=gone).save(name, overwrite=True)
    found = run("doctor")
    (line,) = [each for each in found.stdout.splitlines() if repr(name) in each]
    assert line.startswith("problem") and "gone" in line
    assert PASSWORD not in found.output
    assert found.exit_code == 1
    Block.delete(f"{Governor.get_block_type_slug()}/{name}")
