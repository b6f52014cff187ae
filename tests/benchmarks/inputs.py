"""`python -m tests.benchmarks.inputs`: are inputs read flat in memory, however long they are?

100,000 rows of CSV, 20,000 files of a folder and a JSON Lines file of a gigabyte (`--megabytes`),
each beside a tenth of it: through `estimate` and `fan-out` as the command line runs them, the
latter with the offline model, which answers in the process itself. A run over the gigabyte is not
made: it would be of half a million items; what it reads its items with is (`intake`: all checked,
then taken one by one). Each in a process of its own: seconds by the clock and of the CPU, the most
memory that it held, and what each item beyond the tenth added to that.

`--only csv`, `--only files`, `--only jsonl` and `--through estimate` (or `fan-out`, `intake`)
measure some of it; `--share 0.1` a tenth of all sizes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from tests import ROOT
from tests.benchmarks.harness import server

MODEL = {
    "estimate": "openai/gpt-4o-mini",
    "intake": "openai/gpt-4o-mini",
    "fan-out": "offline/extract",
}
ROWS, FILES, ROW_BYTES = 100_000, 20_000, 2_000
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


@dataclass(frozen=True)
class Input:
    """A source of so many items, and what it is read through."""

    name: str
    write: Callable[[Path, int], None]
    items: int
    through: tuple[str, ...]


@dataclass(frozen=True)
class Figures:
    """What a process took."""

    items: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int


def main() -> int:
    args = _arguments()
    inputs = [
        Input("csv", _csv, ROWS, ("estimate", "fan-out")),
        Input("files", _files, FILES, ("estimate", "fan-out")),
        Input("jsonl", _jsonl, args.megabytes * 10**6 // ROW_BYTES, ("estimate", "intake")),
    ]
    print(
        "| input | bytes | through | items | seconds | CPU seconds | MiB at most | bytes an item |"
    )
    print("|---|---:|---|---:|---:|---:|---:|---:|", flush=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        # An estimate needs none.
        runs = args.through in (None, "fan-out")
        with server(home) if runs else nullcontext(None) as api:
            for each in inputs:
                if args.only in (None, each.name):
                    _at_two_sizes(each, args.share, args.through, home, api)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1_000, help="of JSON Lines")
    parser.add_argument("--only", choices=("csv", "files", "jsonl"))
    parser.add_argument("--through", choices=tuple(MODEL))
    parser.add_argument("--share", type=float, default=1.0, help="of all sizes")
    return parser.parse_args()


def _at_two_sizes(
    source: Input, share: float, through: str | None, home: Path, api: str | None
) -> None:
    most = int(source.items * share)
    for way in source.through:
        if through not in (None, way):
            continue
        smaller: Figures | None = None
        for count in (most // 10, most):
            path = home / f"{source.name}-{count}"
            if source.name != "files":
                path = path.with_suffix(f".{source.name}")
            if not path.exists():
                source.write(path, count)
            found = _measured(path, way, home, api)
            _tell(path, way, found, smaller)
            smaller = found


def _tell(path: Path, through: str, found: Figures, smaller: Figures | None) -> None:
    size = sum(each.stat().st_size for each in (path.iterdir() if path.is_dir() else [path]))
    each = ""
    if smaller is not None:
        added = found.peak_bytes - smaller.peak_bytes
        each = f"{added / (found.items - smaller.items):,.0f}"
    print(
        f"| {path.name} | {size:,} | {through} | {found.items:,} | {found.seconds:,.1f} |"
        f" {found.cpu_seconds:,.1f} | {found.peak_bytes >> 20:,} | {each} |",
        flush=True,
    )


def _csv(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("id;review;stars\n")
        for at in range(count):
            file.write(f'{at:08d};"{WORDS}; {at}\n{WORDS}";4,5\n')


def _files(path: Path, count: int) -> None:
    path.mkdir()
    for at in range(count):
        (path / f"note-{at:06d}.md").write_text(f"# Note {at}\n{WORDS * (1 + at % 20)}\n")


def _jsonl(path: Path, count: int) -> None:
    text = WORDS * (ROW_BYTES // len(WORDS))
    with path.open("w", encoding="utf-8") as file:
        for at in range(count):
            file.write(json.dumps({"key": f"r{at}", "text": f"{at} {text}"}) + "\n")


def _measured(path: Path, through: str, home: Path, api: str | None) -> Figures:
    command = [sys.executable, "-c", _INTAKE, str(path), MODEL[through]]
    if through != "intake":
        command = [sys.executable, "-m", "prefect_governor.flows.cli", through, str(path)]
        command += ["--ask", "What came late?", "--model", MODEL[through], "--json"]
    if through == "fan-out":
        command += ["--yes", "--max-usd", "100000"]
    environment = {
        **os.environ,
        "PREFECT_HOME": str(home),
        **({} if api is None else {"PREFECT_API_URL": api}),
        "OPENAI_API_KEY": "sk-none-is-called",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    said = home / "stdout"
    began = time.monotonic()
    with said.open("wb") as stdout, (home / "stderr").open("wb") as stderr:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=stdout, stderr=stderr)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (home / "stderr").read_text()[-2_000:]
    found = json.loads(said.read_text())
    if through == "fan-out":
        assert found["outcome"] == "complete", found["reason"]
        items = len(found["items"])
    else:
        items = found["items"] if through == "estimate" else found
    return Figures(
        items,
        time.monotonic() - began,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss * 1024,
    )


if __name__ == "__main__":
    sys.exit(main())
