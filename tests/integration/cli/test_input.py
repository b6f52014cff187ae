"""What is given to `prefect-governor fan-out`: read, or refused in one line before a run starts."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from prefect.client.orchestration import get_client

from prefect_governor import Budget, Governor, Limit
from prefect_governor.flows.cli.main import main
from tests.integration.cli.commands import lines, run
from tests.integration.governing import MODEL
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server")


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
    (tmp_path / "missing.json").write_text('{"$ref": "#/$defs/Missing"}')
    (tmp_path / "away.json").write_text('{"$ref": "https://example.com/person.json"}')
    (tmp_path / "deep.json").write_text('{"items": ' * 2000 + "{}" + "}" * 2000)
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
    (["a.txt", "--max-concurrent", "0"], {}, "--max-concurrent"),
    (["a.txt", "--max-concurrent", "-5"], {}, "--max-concurrent"),
    (["a.txt", "--processes", "0"], {}, "processes"),
    (["a.txt", "--shards", "2"], {}, "deployment"),
    (["a.txt", "--shards", "2", "--deployment", "fan-out/none"], {}, "no deployment"),
    (["a.txt", "--shards", "2", "--deployment", "other/none"], {}, "'fan-out'"),
    (["a.txt", "--shards", "0", "--deployment", "fan-out/none"], {}, "shards"),
    (["a.txt", "--rpm", "0"], {}, "--rpm"),
    (["a.txt", "--max-total-tokens", "0"], {}, "--max-total-tokens"),
    (["a.txt", "--min-success", "1.5"], {}, "--min-success"),
    (["a.txt", "--min-success", "nan"], {}, "--min-success"),
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
    (["a.txt", "--schema", "missing.json"], {}, "'#/$defs/Missing' leads nowhere"),
    (["a.txt", "--schema", "away.json"], {}, "leads out of it, and nothing is fetched"),
    (["a.txt", "--schema", "deep.json"], {}, "nested too deeply"),
    (["a.txt", "--max-total-tokens", "9" * 23], {}, "--max-total-tokens must be"),
    (["a.txt", "--ask", "caf\udce9?"], {}, "--ask is not UTF-8 text at character 4"),
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


@pytest.mark.parametrize(
    ("raw", "encoding"), [(b"one\ncaf\xe9\n", "UTF-8"), (b"\xff\xfe\x00", "UTF-16")]
)
def test_stdin_that_is_not_text_is_refused(
    upstream: ProviderProcess, raw: bytes, encoding: str
) -> None:
    result = CliRunner().invoke(main, ["fan-out", "-", "--ask", "x"], input=raw)
    assert result.exit_code == 2
    assert encoding in result.stderr and "--encoding" in result.stderr


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


# Good input


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
