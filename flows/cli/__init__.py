"""The command line. Parses, calls a flow, prints; heavy imports wait until they are needed.

May import: answers, automations, blocks, cli.budget, cli.doctor, cli.init, cli.ledger,
cli.research, cli.terminal, estimate, fan_out_flow, items, items.encodings, publications, recovery,
research_flow, run, server,
shards.
Begin with: main.py: the commands.
"""

import sys

# Before anything is imported that is not there elsewhere.
if sys.platform not in ("linux", "darwin"):
    sys.stderr.write(
        "prefect-governor: it runs on Linux and macOS, and on Windows through WSL"
        f" (`wsl --install`), not on {sys.platform}\n"
    )
    sys.exit(2)
