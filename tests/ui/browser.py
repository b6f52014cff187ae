"""Debian's Chromium, driven by Playwright. Nothing is downloaded."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

# No sandbox, as CI is root; no calls home, which a closed network refuses by the dozen.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def missing() -> str | None:
    """What has to be installed before there is a browser; None where all is there."""
    needed = []
    if shutil.which("chromium") is None:
        needed.append("`apt-get install chromium`")
    if find_spec("playwright") is None:
        needed.append("`uv sync --group ui`")
    return f"there is no browser to test with: {' and '.join(needed)}" if needed else None


@contextmanager
def browser(*, width: int = 1200, height: int = 800) -> Iterator["BrowserContext"]:
    """A browser with a profile of its own, light and English, that reaches this machine only."""
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium")
    assert executable is not None
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=executable,
            args=list(FLAGS),
            headless=True,
            color_scheme="light",
            locale="en-US",
            viewport={"width": width, "height": height},
        )
        context.set_default_timeout(30_000)
        # Prefect's UI asks for fonts, logos and news elsewhere.
        context.route(
            lambda url: not url.startswith("http://127.0.0.1:"), lambda route: route.abort()
        )
        yield context
        context.close()
