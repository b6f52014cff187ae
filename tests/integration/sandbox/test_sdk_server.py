"""A server that is written with the official SDK, on its stdio in a sandbox."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from prefect_governor.blocks.sandbox import Sandbox
from prefect_governor.flows.mcp.servers import servers_of
from prefect_governor.flows.mcp.serving import Serving
from tests.engine import skip_loudly
from tests.integration.sandbox import sdk_server
from tests.integration.sandbox.runtimes import runtime_named


def installed(name: str, into: Path, seen: set[str]) -> None:
    """Copy a package of this environment, and what it needs, as `pip install --target` would."""
    try:
        package = distribution(name)
    except PackageNotFoundError:
        # Of another platform, or of an extra.
        return
    if package.name in seen:
        return
    seen.add(package.name)
    for file in package.files or ():
        if file.suffix != ".pyc" and ".." not in file.parts:
            (into / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(file.locate()), into / file)
    for needed in package.requires or ():
        if "extra ==" not in needed:
            installed(re.split(r"[^\w.-]", needed, maxsplit=1)[0], into, seen)


def test_a_server_of_the_official_sdk_is_listed_and_called_in_a_sandbox(
    tmp_path: Path,
) -> None:
    runtime_named("bubblewrap")
    theirs = "import sys; print(*sys.version_info[:2])"
    version = subprocess.run(["/usr/bin/python3", "-c", theirs], capture_output=True, text=True)
    if version.stdout.split() != [str(each) for each in sys.version_info[:2]]:
        skip_loudly(f"NOT TESTED, the sandbox's Python is another one: {version.stdout.strip()}")
    installed("mcp", tmp_path / "lib", set())
    shutil.copy(sdk_server.__file__, tmp_path / "server.py")
    told = {
        "command": "python3", "args": ["server.py"], "cwd": ".", "env": {"PYTHONPATH": "lib"}
    }  # fmt: skip
    serving = Serving(
        servers_of({"mcpServers": {"parts": told}}, folder=tmp_path), Sandbox(runtime="bubblewrap")
    )
    assert [offer.name for offer in serving.offers] == ["parts__in_stock"]

    async def called() -> list[str]:
        async with serving.agent() as [tool]:
            return [(await tool.call(json.dumps({name: "P-1"}))).text for name in ("part", "item")]

    with serving.open():
        good, bad = asyncio.run(called())
    assert "12 of P-1" in good and "12 of" not in bad and "part" in bad
