"""What the doctor finds of sandboxes: which runtime holds here, proved by hostile lines."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect_governor.blocks.errors import GovernorError
from prefect_governor.flows.cli.doctor.finding import Finding

# What each tries, in words and in Python: it ends with 0 only where it was kept from it.
_LINES = (
    (
        "a network call",
        "import socket\n"
        "try: socket.create_connection(('1.1.1.1', 53), 2)\n"
        "except OSError: raise SystemExit(0)\nraise SystemExit(1)",
    ),
    (
        "a write outside",
        "import sys\n"
        "for name in ('/x', '/usr/x', '/etc/x', '/dev/x'):\n"
        "    try: open(name, 'w')\n    except OSError: continue\n    raise SystemExit(1)",
    ),
    (
        "a read of /root",
        "import os\n"
        "try: found = os.listdir('/root')\n"
        "except OSError: raise SystemExit(0)\nraise SystemExit(bool(found))",
    ),
)
_DELEGATED = "systemd-run --user --scope -p Delegate=yes prefect-governor …"


def sandbox() -> Iterator[Finding]:
    """The runtime that programs of a model would run in."""
    try:
        yield from asyncio.run(_found())
    except (GovernorError, OSError) as error:
        yield Finding("ok", "sandbox", str(error))


async def _found() -> list[Finding]:
    from prefect_governor.blocks.sandbox import Sandbox
    from prefect_governor.blocks.sandboxes.bubblewrap.runtime import BubblewrapRuntime

    box = Sandbox(seconds=10)
    runtime = await box.chosen()
    held: list[str] = []
    broken: list[str] = []
    with TemporaryDirectory() as folder:
        async with runtime.cell(Path(folder), box.bounds) as cell:
            for what, code in _LINES:
                result = await cell.run(["python3", "-c", code])
                (held if result.exit == 0 else broken).append(what)
    if broken:
        text = f"{runtime.name} does not hold back {' and '.join(broken)}"
        return [Finding("fail", "sandbox", text, "do not let models run code on this machine")]
    text = f"{runtime.name}, proved: it held back {', '.join(held)}"
    if not isinstance(runtime, BubblewrapRuntime):
        return [Finding("ok", "sandbox", text)]
    version = runtime.cgroup_version()
    if version is None:
        text += "; no cgroup can be made here, so memory and processes are counted by us"
        return [Finding("ok", "sandbox", text, "to have the kernel count them", _DELEGATED)]
    return [Finding("ok", "sandbox", f"{text}; cgroup v{version} counts memory and processes")]
