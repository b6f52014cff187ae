"""Pictures of a browser's pages for the docs: small, in few colours."""

import io
from typing import TYPE_CHECKING

from tests import ROOT

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page

FOLDER = ROOT / "docs" / "images"
MAX_BYTES = 100_000
COLOURS = 64
SIZE = (1200, 800)


async def new_page(context: "BrowserContext") -> "Page":
    page = await context.new_page()
    # A picture that is half drawn is none.
    await page.emulate_media(reduced_motion="reduce")
    return page


async def save(page: "Page", name: str) -> None:
    """Writes `<name>.png`, reduced, in few colours."""
    from PIL import Image

    # The timeline is a canvas, which nothing can be asked of.
    await page.wait_for_timeout(2_000)
    shot = Image.open(io.BytesIO(await page.screenshot(animations="disabled")))
    path = FOLDER / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    small = shot.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)
    for colours in (COLOURS, COLOURS // 2, COLOURS // 4):
        # A page full of text is large; it needs few.
        small.quantize(colours).save(path, optimize=True)
        size = path.stat().st_size
        if size <= MAX_BYTES:
            break
    print(f"{path.relative_to(ROOT)}: {size:,} bytes")
    assert size <= MAX_BYTES, f"{path} is too large"
