"""`prefect-governor …` as a person runs it: real files, a real server, a provider with a bill."""

import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from pydantic import SecretStr

from prefect_governor import Budget, Governor, Limit, fan_out
from prefect_governor.blocks.governor import load_governor
from prefect_governor.flows.cli.main import main
from prefect_governor.flows.server.background import ServerInfo
from tests import ROOT
from tests.integration.conftest import Corpus
from tests.postgres import PASSWORD, free_port, shared_server
from tests.provider.process import ProviderProcess
from tests.waiting import until

MODEL = "openai/gpt-4o-mini"
Command = Callable[..., "subprocess.Popen[str]"]

REPORT = {"run_id", "outcome", "reason", "cost_multiple", "items", "budget", "limits"}
ITEM = {"key", "state", "reason", "result", "usd", "tokens", "calls", "attempts", "seconds"}
BUDGET = {"ceiling_usd", "spent_usd", "unconfirmed_usd", "reserved_usd"}
LIMITS = {"bottleneck", "cap", "max_in_flight", "throttled"}

pytestmark = pytest.mark.usefixtures("server")


def nano(usd: float) -> int:
    return int(Decimal(repr(usd)) * 10**9)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def ended(process: "subprocess.Popen[str]", *, timeout_seconds: float = 120) -> tuple[str, str]:
    try:
        return process.communicate(timeout=timeout_seconds)
    finally:
        process.kill()


def run(*arguments: str, stdin: str | None = None, **environment: str | None) -> Result:
    """A command in this process, which has imported everything."""
    return CliRunner(env=environment).invoke(main, list(arguments), input=stdin)


# What a person sees


def test_real_files_without_a_key(command: Command, server: ServerInfo, tmp_path: Path) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    files = sorted((ROOT / "flows").glob("*.py"))
    assert len(files) >= 20
    for file in files:
        (folder / file.name).write_bytes(file.read_bytes())
    # The strict provider is no model that answers; the offline one is what `auto` falls back to.
    process = command(
        "fan-out", "code", "--ask", "What does this module do?", "--model", "offline/extract",
        cwd=tmp_path,
    )  # fmt: skip
    stdout, stderr = ended(process)
    assert process.returncode == 0, stderr
    assert f"complete: {len(files)} succeeded" in stdout
    for file in files:
        assert f"code/{file.name}" in stdout
    assert "no model was called" in stdout
    assert "answers: " in stdout
    (page,) = [line for line in stdout.splitlines() if line.startswith("page: ")]
    assert page.startswith(f"page: {server.ui_url}/runs/flow-run/")
    assert page in stderr.splitlines()
    assert f"0/{len(files)} done" in stderr
    assert f"{len(files)}/{len(files)} done" in stderr
    assert "ceiling: $1.00 for this run" in stderr
    noise = [line for line in stderr.splitlines() if " | " in line or "Traceback" in line]
    assert noise == []


def test_partial_run_as_json_has_the_contracts_keys_and_the_whole_out_file(
    command: Command, upstream: ProviderProcess, corpus: Corpus, tmp_path: Path
) -> None:
    corpus(8)
    (tmp_path / "corpus" / "item-0003.pdf").write_bytes(b"%PDF-1.7 and then nothing of use")
    process = command(
        "fan-out", "corpus/*", "--ask", "What?", "--model", MODEL, "--json", "--out", "out.jsonl",
        "--max-usd", "0.5",
        cwd=tmp_path,
    )  # fmt: skip
    stdout, stderr = ended(process)
    assert process.returncode == 3, stderr
    report = json.loads(stdout)
    assert set(report) == REPORT
    assert set(report["budget"]) == BUDGET
    assert set(report["limits"]) == LIMITS
    for item in report["items"]:
        assert set(item) == ITEM
        assert set(item["tokens"]) == {"input", "output"}
    assert report["outcome"] == "partial"
    assert Counter(item["state"] for item in report["items"]) == {"succeeded": 8, "failed": 1}
    (failed,) = [item for item in report["items"] if item["state"] == "failed"]
    assert failed["key"] == "corpus/item-0003.pdf"
    assert "PDF" in failed["reason"]
    stats = upstream.settled_stats()
    assert stats["requests"] == 8
    assert nano(report["budget"]["spent_usd"]) == stats["billed_nano"]
    assert report["budget"]["ceiling_usd"] == 0.5
    assert lines(tmp_path / "out.jsonl") == report["items"]
    keys = [item["key"] for item in report["items"]]
    assert keys == sorted(keys)
    # The report has why an item failed; Prefect's line a failed task run is not repeated.
    assert "ERROR" not in stderr


# Bad input


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with what the table below names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("a text")
    (tmp_path / "empty").mkdir()
    (tmp_path / "rows.jsonl").write_text('{"key": "a", "text": "x"}\n{"key": "b", \n')
    (tmp_path / "twice.jsonl").write_text('{"key": "a", "text": "x"}\n{"key": "a", "text": "y"}\n')
    (tmp_path / "broken.json").write_text('{"type": "sentence"}')
    (tmp_path / "not.json").write_text("{")
    return tmp_path


BAD = [
    (["none.txt"], {}, "none.txt"),
    (["empty"], {}, "empty"),
    (["*.none"], {}, r"*.none"),
    (["-"], {}, "stdin"),
    (["rows.jsonl"], {}, "rows.jsonl:2"),
    (["twice.jsonl"], {}, "'a'"),
    (["a.txt", "a.txt"], {}, "a.txt"),
    (["a.txt", "--ask", "  "], {}, "ask"),
    (["a.txt", "--max-usd", "-1"], {}, "negative"),
    (["a.txt", "--max-usd", "nan"], {}, "finite"),
    (["a.txt", "--max-usd", "inf"], {}, "finite"),
    (["a.txt", "--max-usd", "abc"], {}, "abc"),
    (["a.txt", "--max-usd", "0.0000000001"], {}, "nano-dollars"),
    (["a.txt", "--max-concurrent", "0"], {}, "max_concurrent"),
    (["a.txt", "--max-concurrent", "-5"], {}, "max_concurrent"),
    (["a.txt", "--rpm", "0"], {}, "requests_per_minute"),
    (["a.txt", "--max-total-tokens", "0"], {}, "max_total_tokens"),
    (["a.txt", "--min-success", "1.5"], {}, "min_success"),
    (["a.txt", "--min-success", "nan"], {}, "min_success"),
    (["a.txt", "--max-cost-multiple", "0"], {}, "--max-cost-multiple"),
    (["a.txt", "--max-cost-multiple", "0.5"], {}, "--max-cost-multiple"),
    (["a.txt", "--governor", "nobody"], {}, "'nobody'"),
    (["a.txt", "--model", "block:nobody"], {}, "'nobody'"),
    (["a.txt", "--model", "openai/nobody-priced-this"], {}, "price"),
    (["a.txt", "--model", "anthropic/claude-sonnet-4-5"], {}, "anthropic"),
    (["a.txt", "--model", MODEL],
     {"OPENAI_API_KEY": None, "OPENAI_API_BASE": None, "OPENAI_BASE_URL": None},
     "OPENAI_API_KEY"),
    (["a.txt", "--schema", "broken.json"], {}, "schema"),
    (["a.txt", "--schema", "not.json"], {}, "not.json"),
    (["a.txt", "--schema", "none.json"], {}, "none.json"),
    (["a.txt", "--out", "a.txt/out.jsonl"], {}, "out.jsonl"),
    (["a.txt", "--out", "empty"], {}, "--out"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "environment", "words"), BAD, ids=[" ".join(each[0]) for each in BAD]
)
def test_bad_input_is_one_line_and_nothing_is_started_or_spent(
    upstream: ProviderProcess,
    files: Path,
    arguments: list[str],
    environment: dict[str, str | None],
    words: str,
) -> None:
    given = ["--ask", "What?", "--model", MODEL, "--max-usd", "1", *arguments]
    before = _runs()
    result = run("fan-out", *given, stdin="", **environment)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = [each for each in result.stderr.splitlines() if each]
    assert line.startswith("prefect-governor: ")
    assert words in line
    assert upstream.settled_stats()["requests"] == 0
    assert _runs() == before
    assert (files / "a.txt").read_text() == "a text"


def _runs() -> int:
    with get_client(sync_client=True) as client:
        return len(client.read_flow_runs(limit=200))


def test_stdin_that_is_not_text_is_refused(upstream: ProviderProcess) -> None:
    result = CliRunner().invoke(main, ["fan-out", "-", "--ask", "x"], input=b"\xff\xfe\x00")
    assert result.exit_code == 2
    assert "UTF-8" in result.stderr


def test_governor_that_cannot_work_is_refused_before_a_run_starts(
    upstream: ProviderProcess, files: Path
) -> None:
    Governor(
        budget=Budget(max_usd=1), limits=[Limit(tag="llm"), Limit(tag="llm", max_concurrent=2)]
    ).save("cli-twice", overwrite=True)
    before = _runs()
    result = run("fan-out", "a.txt", "--ask", "x", "--model", MODEL, "--governor", "cli-twice")
    assert result.exit_code == 2
    assert "more than one limit" in result.stderr
    assert _runs() == before


def test_dry_run_calls_nothing_and_has_the_most_it_can_cost(
    upstream: ProviderProcess, files: Path
) -> None:
    before = _runs()
    arguments = ["fan-out", "a.txt", "--ask", "x", "--model", MODEL, "--dry-run"]
    found = json.loads(run(*arguments, "--json").stdout)
    assert found["calls"] == 1
    assert 0 < found["max_usd"] < 0.01
    assert found["ceiling_usd"] == 1.0
    assert "cost: at most $" in run(*arguments).stdout
    assert upstream.settled_stats()["requests"] == 0
    assert _runs() == before


def test_lines_of_stdin_are_items_named_by_their_line(
    upstream: ProviderProcess, files: Path
) -> None:
    result = run("fan-out", "-", "--ask", "x", "--model", MODEL, "--json", stdin="one\n\nthree\n")
    assert result.exit_code == 0, result.stderr
    assert [item["key"] for item in json.loads(result.stdout)["items"]] == ["line-1", "line-3"]


def test_half_a_character_in_a_paid_answer_does_not_lose_the_run(
    upstream: ProviderProcess, files: Path
) -> None:
    (files / "schema.json").write_text('{"type": "object"}')
    upstream.configure(script={"": r'{"title": "\ud800"}'})
    result = run(
        "fan-out", "a.txt", "--ask", "x", "--model", MODEL, "--schema", "schema.json", "--json",
        "--out", "out.jsonl",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["items"][0]["result"] == {"title": "\ud800"}
    assert lines(files / "out.jsonl")[0]["result"] == {"title": "\ud800"}


# Ctrl-C


def test_ctrl_c_finishes_what_is_in_flight_and_accounts_for_the_rest(
    command: Command, upstream: ProviderProcess, corpus: Corpus, tmp_path: Path
) -> None:
    upstream.configure(latency_seconds=2)
    corpus(40)
    process = command(
        "fan-out", "corpus", "--ask", "What?", "--model", MODEL, "--max-concurrent", "10",
        "--json", "--out", "out.jsonl", "--min-success", "1",
        cwd=tmp_path,
    )  # fmt: skip
    until(lambda: upstream.stats()["open"] == 10)
    process.send_signal(signal.SIGINT)
    stdout, stderr = ended(process)
    assert process.returncode == 3, stderr
    report = json.loads(stdout)
    stats = upstream.settled_stats()
    # A call that was admitted when the signal came may be on its way.
    assert 10 <= stats["requests"] <= 12
    states = Counter(item["state"] for item in report["items"])
    assert states == {"succeeded": stats["requests"], "not_started": 40 - stats["requests"]}
    assert report["outcome"] == "partial"
    assert report["budget"]["unconfirmed_usd"] == report["budget"]["reserved_usd"] == 0
    assert nano(report["budget"]["spent_usd"]) == stats["billed_nano"]
    assert lines(tmp_path / "out.jsonl") == report["items"]
    assert "finishing what is in flight" in stderr
    assert f"interrupted; what finished is in {tmp_path / 'out.jsonl'}" in stderr
    assert "Traceback" not in stderr


def test_second_ctrl_c_cancels_what_is_in_flight_and_it_stays_charged(
    command: Command, upstream: ProviderProcess, corpus: Corpus, tmp_path: Path
) -> None:
    # Far longer than the test waits: what is in flight must not be waited for.
    upstream.configure(latency_seconds=300)
    corpus(40)
    process = command(
        "fan-out", "corpus", "--ask", "What?", "--model", MODEL, "--max-concurrent", "10",
        "--json", "--out", "out.jsonl",
        cwd=tmp_path,
    )  # fmt: skip
    until(lambda: upstream.stats()["open"] == 10)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    heard = ""
    while "finishing what is in flight" not in heard:
        heard += process.stderr.readline()
    process.send_signal(signal.SIGINT)
    stdout, stderr = ended(process, timeout_seconds=60)
    assert process.returncode == 3, heard + stderr
    report = json.loads(stdout)
    stats = upstream.settled_stats()
    assert stats["abandoned"] == stats["requests"] == 10
    states = Counter(item["state"] for item in report["items"])
    assert states == {"failed": 10, "not_started": 30}
    reasons = {item["reason"] for item in report["items"] if item["state"] == "failed"}
    assert all("unconfirmed" in reason for reason in reasons)
    budget = report["budget"]
    charged = nano(budget["spent_usd"]) + nano(budget["unconfirmed_usd"])
    assert charged >= stats["billed_nano"] > 0
    assert budget["reserved_usd"] == 0
    assert [line["key"] for line in lines(tmp_path / "out.jsonl")] == [
        item["key"] for item in report["items"]
    ]
    assert "Traceback" not in heard + stderr


# Two at once


def test_two_commands_under_one_governor_share_its_cap_and_its_money(
    command: Command, upstream: ProviderProcess, corpus: Corpus, tmp_path: Path
) -> None:
    items = corpus(60)
    one = fan_out(items[:1], ask="the 1st?", model=MODEL, max_output_tokens=24).budget.spent_usd
    # So slow that the first to start has not finished before the other starts, and then quick.
    upstream.renew(latency_seconds=10.0)
    ceiling = one * 80
    name = f"cli-{os.getpid()}"
    Governor(
        budget=Budget(max_usd=ceiling, window="day"), limits=[Limit(tag="llm", max_concurrent=8)]
    ).save(name)
    processes = [
        command(
            "fan-out", "corpus", "--ask", f"the {which}?", "--model", MODEL, "--governor", name,
            "--json", "--max-output-tokens", "24",
            cwd=tmp_path,
        )
        for which in ("1st", "2nd")
    ]  # fmt: skip
    used, slow = 0, True
    with get_client(sync_client=True) as client:
        while any(process.poll() is None for process in processes):
            used = max(used, _active_slots(client, f"governor:{name}:llm"))
            if slow and len({record["tag"] for record in upstream.log()}) == 2:
                upstream.configure(latency_seconds=0.5)
                slow = False
            time.sleep(0.1)
        reports = []
        for process in processes:
            stdout, stderr = ended(process)
            assert process.returncode in (0, 3), stderr
            reports.append(json.loads(stdout))
        until(lambda: _active_slots(client, f"governor:{name}:llm") == 0)
    stats = upstream.settled_stats()
    assert 0 < used <= 8
    assert stats["max_open"] <= 8
    assert stats["billed_nano"] <= nano(float(ceiling))
    assert stats["billed_nano"] >= 0.9 * nano(float(ceiling))
    states = Counter(item["state"] for report in reports for item in report["items"])
    assert set(states) == {"succeeded", "over_budget"}
    assert sum(states.values()) == 120
    assert states["succeeded"] == stats["requests"]
    assert any(process.returncode == 3 for process in processes)
    assert all(report["limits"]["bottleneck"] for report in reports), "both were made to wait"
    spent = max(report["budget"]["spent_usd"] for report in reports)
    assert nano(spent) == stats["billed_nano"]
    spans = [_span(upstream, f"the {which}?") for which in ("1st", "2nd")]
    (first_from, first_to), (second_from, second_to) = spans
    both = min(first_to, second_to) - max(first_from, second_from)
    print(f"overlap: {both / (max(first_to, second_to) - min(first_from, second_from)):.0%}")
    assert both > 0
    shown = json.loads(run("budget", "show", name, "--json", "--by", "model").stdout)
    assert nano(shown["spent_usd"]) == stats["billed_nano"]
    assert len(shown["spent_by"]) == 1
    assert shown["spent_by"][0]["name"].endswith("gpt-4o-mini")
    assert nano(shown["spent_by"][0]["spent_usd"]) == stats["billed_nano"]


def _active_slots(client: Any, name: str) -> int:
    from prefect.exceptions import ObjectNotFound

    try:
        return int(client.read_global_concurrency_limit_by_name(name).active_slots)
    except ObjectNotFound:
        return 0


def _span(upstream: ProviderProcess, tag: str) -> tuple[float, float]:
    """When the calls of one command began and ended, by the provider's clock."""
    records = [record for record in upstream.log() if record["tag"] == tag]
    return min(each["arrival"] for each in records), max(each["end"] for each in records)


# Around the run


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
    assert re.search(
        r"at once, the smallest first: \w+ [\d.]+ \(.*llm: 60 x \d\.\d\d s / 60 s", text
    )
    assert "no call was seen yet" in text
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


def test_budget_show_reads_a_saved_budget_with_those_above_it() -> None:
    above, below = f"above-{os.getpid()}", f"below-{os.getpid()}"
    Budget(max_usd=9, window="month").save(above)
    Budget(max_usd="0.5", max_total_tokens=1000, parent=above).save(below)
    text = run("budget", "show", below).stdout
    assert f"Budget {below!r}, counted for ever" in text
    assert f"under Budget {above!r}, per month" in text
    assert "$0.50 and 1,000 tokens" in text
    found = json.loads(run("budget", "show", below, "--json").stdout)
    assert found["left_usd"] == found["ceiling_usd"] == 0.5
    assert found["tokens"]["left"] == 1000
    assert [each["name"] for each in found["parents"]] == [above]
    rows = run("budget", "show", below, "--csv").stdout.splitlines()
    assert rows[0].startswith("budget,window,ceiling_usd,spent_usd")
    assert rows[1].startswith(f"{below},")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nobody"], "'nobody'"),
        (["local/nobody"], "Governor.local('nobody'"),
        (["x", "--json", "--csv"], "--csv"),
        (["x", "--since", "lately"], "lately"),
    ],
)
def test_budget_show_says_what_is_wrong(arguments: list[str], words: str) -> None:
    result = run("budget", "show", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_budget_show_breaks_a_local_governors_spend_down(
    upstream: ProviderProcess,
) -> None:
    from prefect_governor import completion

    name = f"show-{os.getpid()}"
    governor = Governor.local(name, max_usd=1)
    for user in ("ann", "bob", "ann"):
        with governor.activate(tags=("web", user), user=user):
            completion(MODEL, [{"role": "user", "content": "hello"}], max_tokens=9)
    billed = upstream.settled_stats()["billed_nano"]
    by_user = json.loads(run("budget", "show", f"local/{name}", "--by", "user", "--json").stdout)
    assert [each["name"] for each in by_user["spent_by"]] == ["ann", "bob"]
    assert sum(nano(each["spent_usd"]) for each in by_user["spent_by"]) == billed
    by_tag = json.loads(run("budget", "show", f"local/{name}", "--by", "tag", "--json").stdout)
    assert {each["name"]: each["calls"] for each in by_tag["spent_by"]} == {
        "web": 3,
        "ann": 2,
        "bob": 1,
    }
    rows = run("budget", "show", f"local/{name}", "--by", "user", "--since", "1h", "--csv").stdout
    assert rows.splitlines()[0].startswith("user,calls,spent_usd")
    assert rows.splitlines()[1].startswith("ann,2,0.0000")
    text = run("budget", "show", f"local/{name}", "--by", "tag").stdout
    assert "spent in this window, by tag" in text
    assert "a call counts under each of its tags" in text
