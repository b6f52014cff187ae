"""How soon a command's first call arrives: `python -m tests.benchmarks.first_call [--rounds 5]`.

`fan-out` over the README, from the command's start to the arrival of its first call at the
provider, beside `python -c "import prefect, litellm"` from start to end, in turns. A Prefect
server, a ledger and the strict provider of its own; the server runs already, as after
anybody's first command.
Medians; the ratio is that of each round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests import ROOT
from tests.benchmarks.harness import promise, server
from tests.provider.process import ProviderProcess

COMMAND = (
    "-m", "prefect_governor.flows.cli", "fan-out", "README.md", "--ask", "What is this?", "--model",
    "openai/gpt-4o-mini", "--max-output-tokens", "24", "--max-usd", "1", "--yes", "--json",
)  # fmt: skip
IMPORTS = ("-c", "import prefect, litellm")
MOST = 1.1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    imports, calls = [], []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        with server(home) as api, ProviderProcess() as provider:
            environment = {
                **os.environ, "PREFECT_HOME": str(home), "PREFECT_API_URL": api,
                "DO_NOT_TRACK": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "OPENAI_API_KEY": "sk-bench", "OPENAI_API_BASE": provider.api_base,
            }  # fmt: skip
            # The first of each reads what the others find in the cache of files.
            for at in range(given.rounds + 1):
                provider.renew(output_tokens=5)
                importing = _run(IMPORTS, environment)
                began = time.monotonic()
                _run(COMMAND, environment)
                first = min(record["arrival"] for record in provider.log()) - began
                if at:
                    imports.append(importing)
                    calls.append(first)
    print(f"importing prefect and litellm: {statistics.median(imports):.2f} s")
    print(f"the first call arrives after: {statistics.median(calls):.2f} s")
    ratio = statistics.median(a / b for a, b in zip(calls, imports, strict=True))
    print(promise("first call ÷ importing prefect and litellm", ratio, MOST))
    return 0


def _run(command: tuple[str, ...], environment: dict[str, str]) -> float:
    began = time.monotonic()
    subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, check=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
