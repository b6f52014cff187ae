"""What the doctor finds of installed packages that call models where no governor sees it: by gRPC,
in a process of their own, over a socket or by a client that is not Python's."""

import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution

from prefect_governor.flows.cli.doctor.finding import Finding

# By distribution: how it sends, and what to do instead.
PACKAGES = {
    "claude-agent-sdk": (
        "runs the claude command, a process of its own",
        "call it inside governor.reserve(max_usd=…) and settle what its result says that it cost",
    ),
    "curl-cffi": ("sends with libcurl", "send model calls with httpx, requests or aiohttp"),
    "google-cloud-aiplatform": (
        "calls Vertex AI by gRPC",
        'vertexai.init(api_transport="rest"), or google-genai',
    ),
    "google-generativeai": (
        "calls Gemini by gRPC",
        'genai.configure(transport="rest"), or google-genai',
    ),
    "langchain-google-vertexai": ("calls Vertex AI by gRPC", 'api_transport="rest"'),
    "openai-codex-sdk": (
        "runs the codex command, a process of its own",
        "call it inside governor.reserve(max_usd=…) and settle what it cost",
    ),
    "pycurl": ("sends with libcurl", "send model calls with httpx, requests or aiohttp"),
    "xai-sdk": ("calls xAI by gRPC", "openai with base_url=https://api.x.ai/v1"),
}
COMMANDS = ("claude", "codex", "gemini")


def unseen() -> Iterator[Finding]:
    """A warning for each package that is there; a line for the commands that are."""
    for name, (how, instead) in PACKAGES.items():
        try:
            found = distribution(name).version
        except PackageNotFoundError:
            continue
        yield Finding("warn", name, f"{found} {how}: no governor sees what it costs", instead)
    if commands := [name for name in COMMANDS if shutil.which(name)]:
        text = "started by a task, no governor sees what it costs"
        todo = "start it inside governor.reserve(max_usd=…)"
        yield Finding("ok", " and ".join(commands), text, todo)
