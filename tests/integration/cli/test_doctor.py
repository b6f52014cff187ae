"""`prefect-governor doctor`: the governors that are saved, with what is left."""

import json
import os
import re

import pytest
from prefect.blocks.core import Block
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr

from prefect_governor import Budget, Governor, Limit
from prefect_governor.blocks.governor import load_governor
from prefect_governor.flows.server.background import ServerInfo
from tests.integration.cli.commands import run
from tests.postgres import PASSWORD, free_port, shared_server

pytestmark = pytest.mark.usefixtures("server")


@pytest.mark.usefixtures("upstream")
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
    chosen = "model auto: openai/gpt-4o-mini (OPENAI_API_KEY is set): its key is there"
    assert f"{chosen} (OPENAI_API_KEY); 127.0.0.1 answers" in text
    assert "Traceback" not in result.output and "sk-test" not in text


def test_doctor_has_one_object_for_programs(server: ServerInfo) -> None:
    result = run("doctor", "--json")
    found = json.loads(result.stdout)
    marks = [each["mark"] for each in found["findings"]]
    assert [found[mark] for mark in ("ok", "warn", "fail")] == [
        marks.count(mark) for mark in ("ok", "warn", "fail")
    ]
    assert result.exit_code == (1 if found["outcome"] == "fail" else 0)
    (at,) = [each for each in found["findings"] if each["about"] == "server"]
    assert at["mark"] == "ok" and server.ui_url in at["text"]
    assert set(at) == {"mark", "about", "text", "todo", "command"}


def test_server_status_says_whether_it_answers_and_its_version(server: ServerInfo) -> None:
    from prefect import __version__

    well = run("server", "status")
    assert well.exit_code == 0
    assert f"answers, Prefect {__version__}" in well.stdout and "server.log" in well.stdout
    dead = f"http://127.0.0.1:{free_port()}/api"
    with temporary_settings({PREFECT_API_URL: dead}):
        ill = run("server", "status")
    assert ill.exit_code == 1
    assert f"{dead} (PREFECT_API_URL), does not answer: " in ill.stdout


def test_doctor_reads_what_is_left_in_the_ledger_that_a_governor_names() -> None:
    name, server = f"far-{os.getpid()}", shared_server()
    Governor(budget=Budget(max_usd=5), ledger_url=SecretStr(server.schema_url())).save(name)
    with load_governor(name).reserve(max_usd=2) as spend:
        spend.settle(2)
    text = run("doctor").stdout
    assert f"governor {name!r}: $3.00 of $5.00 left" in text
    assert "its ledger is postgresql://" in text
    assert PASSWORD not in text
    gone = SecretStr(f"postgresql://me:{PASSWORD}@127.0.0.1:{free_port()}/gone")
    Governor(budget=Budget(max_usd=5), ledger_url=gone).save(name, overwrite=True)
    found = run("doctor")
    (line,) = [each for each in found.stdout.splitlines() if repr(name) in each]
    assert line.startswith("fail") and "gone" in line
    assert PASSWORD not in found.output
    assert found.exit_code == 1
    Block.delete(f"{Governor.get_block_type_slug()}/{name}")
