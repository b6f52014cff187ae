"""`python -m tests.benchmarks.tables`: are tables read flat in memory, however long they are?

100,000 rows of CSV and a JSON Lines file of a gigabyte (`--megabytes`), beside a thousand rows of
each: through `estimate`, as the command line runs it, and through what a fan-out reads its items
with (all checked, then taken one by one). Each in a process of its own; the CPU's seconds, and the
most memory that it held.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import ROOT
from tests.benchmarks.harness import server

MODEL = "openai/gpt-4o-mini"
ROWS = 100_000
SMALL = 1_000
WORDS = "the parcel came late and its box was wet but what was in it is fine "

_INTAKE = """
import sys
from prefect_governor.flows.items.intake import Intake
from prefect_governor.flows.run.job import make_request
request = make_request(sources=[sys.argv[1]], ask="What?", model=sys.argv[2])
count = len(request.items)
if request.more is not None:
    intake = Intake(iter(request.more), most=100)
    while not intake.ended:
        count += len(intake.take(100))
    assert intake.exhausted, intake.problem
print(count)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1_000, help="of JSON Lines")
    parser.add_argument("--row-bytes", type=int, default=2_000, help="of one such line")
    args = parser.parse_args()
    print("| file | bytes | through | items | CPU seconds | MiB at most |")
    print("|---|---:|---|---:|---:|---:|", flush=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        lines = args.megabytes * 10**6 // args.row_bytes
        with server(home) as api:
            for name, count in (("csv", SMALL), ("csv", ROWS), ("jsonl", SMALL), ("jsonl", lines)):
                path = home / f"{count}.{name}"
                (_csv if name == "csv" else _jsonl)(path, count, args.row_bytes)
                for through in ("estimate", "intake"):
                    _measured(path, through, home, api)
                path.unlink()
    return 0


def _csv(path: Path, count: int, _: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("id;review;stars\n")
        for at in range(count):
            file.write(f'{at:08d};"{WORDS}; {at}\n{WORDS}";4,5\n')


def _jsonl(path: Path, count: int, size: int) -> None:
    text = WORDS * (size // len(WORDS))
    with path.open("w", encoding="utf-8") as file:
        for at in range(count):
            file.write(json.dumps({"key": f"r{at}", "text": f"{at} {text}"}) + "\n")


def _measured(path: Path, through: str, home: Path, api: str) -> None:
    command = [sys.executable, "-c", _INTAKE, str(path), MODEL]
    if through == "estimate":
        command = [sys.executable, "-m", "prefect_governor.flows.cli", "estimate", str(path)]
        command += ["--ask", "What?", "--model", MODEL, "--json"]
    environment = {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": api,
        "OPENAI_API_KEY": "sk-none-is-called",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said
    items = json.loads(said)["items"] if through == "estimate" else int(said)
    seconds = usage.ru_utime + usage.ru_stime
    print(
        f"| {path.name} | {path.stat().st_size:,} | {through} | {items:,} | {seconds:,.1f} |"
        f" {usage.ru_maxrss // 1024:,} |",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
