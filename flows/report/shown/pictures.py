"""How a picture stands in an artifact, by what Prefect's UIs make of it."""

import re
from base64 import b64encode

import prefect

# From this release on both UIs show a data: URI in Markdown. Before it the newer one did not, and
# an image artifact is what both show: with all of the URI as a link's text, across the page.
_IN_MARKDOWN_FROM = (3, 8, 7)


def as_uri(svg: str) -> str:
    """The SVG as a data: URI."""
    return "data:image/svg+xml;base64," + b64encode(svg.encode()).decode()


def picture_fields(svg: str, *, title: str, version: str = prefect.__version__) -> dict[str, str]:
    """The type and the data of an artifact that shows the SVG. `title` is read where it is not
    seen; `version` is Prefect's."""
    release = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if release < _IN_MARKDOWN_FROM:
        return {"type": "image", "data": as_uri(svg)}
    return {"type": "markdown", "data": f"![{title}]({as_uri(svg)})\n"}
