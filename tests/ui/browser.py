"""Debian's Chromium, driven by Playwright. Nothing is downloaded."""

import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import BrowserContext, Route, async_playwright

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
    if shutil.which("chromium") is None:
        return "there is no browser to test with: `apt-get install chromium`"
    return None


@asynccontextmanager
async def browser(*, width: int = 1200, height: int = 800) -> AsyncIterator[BrowserContext]:
    """A browser with a profile of its own, light and English, that reaches this machine only.

    Playwright's sync API would leave a running loop in the thread, where Prefect's sync calls
    turn into coroutines.
    """

    async def refuse(route: Route) -> None:
        await route.abort()

    executable = shutil.which("chromium")
    assert executable is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        async with async_playwright() as playwright:
            context = await playwright.chromium.launch_persistent_context(
                profile,
                executable_path=executable,
                args=list(FLAGS),
                headless=True,
                color_scheme="light",
                locale="en-US",
                viewport={"width": width, "height": height},
            )
            # Prefect's UI asks for fonts, logos and news elsewhere.
            await context.route(re.compile(r"^https?://(?!127\.0\.0\.1:)"), refuse)
            yield context
            await context.close()
