"""`python` and `shell`: programs in an item's sandbox."""

from prefect_governor.blocks.sandboxes.results import SandboxResult
from prefect_governor.flows.agent.tools import Tool, tool_of
from prefect_governor.flows.tools.bench import Bench

# Of either output, in characters: both, and what stands beside them, fit one tool's answer.
_MOST_OUTPUT = 10_000
# The end says more than the beginning: a summary, an error.
_MOST_BEGINNING = 3_000
_MOST_FILES = 50


def python_tool(bench: Bench) -> Tool:
    async def python(code: str) -> str:
        """Run a Python program in a sandbox, in your workspace, which is its working directory.
        It has no network. Files that it writes are there for your next call. Gives its exit
        status and what it printed."""
        return told_of(await bench.run(["python3", "-"], stdin=code.encode(errors="replace")))

    return tool_of(python)


def shell_tool(bench: Bench) -> Tool:
    async def shell(command: str) -> str:
        """Run a shell command in a sandbox, in your workspace, which is its working directory. It
        has no network. Files that it writes are there for your next call. Gives its exit status and
        what it printed."""
        return told_of(await bench.run(["sh", "-c", command]))

    return tool_of(shell)


def told_of(result: SandboxResult) -> str:
    """What a model is told of a program. Pure."""
    lines = [f"ended: {result.reason}"] if result.reason else []
    if result.exit is not None:
        lines.append(f"exit: {result.exit}")
    for name, text in (("stdout", result.stdout), ("stderr", result.stderr)):
        if text:
            lines.append(f"{name}:\n{_without_middle(text.rstrip())}")
    if result.files:
        more = len(result.files) - _MOST_FILES
        shown = ", ".join(result.files[:_MOST_FILES])
        lines.append(f"files written: {shown}" + (f" and {more:,} more" if more > 0 else ""))
    if not (result.stdout or result.stderr):
        lines.append("it printed nothing")
    return "\n".join(lines)


def _without_middle(text: str) -> str:
    if len(text) <= _MOST_OUTPUT:
        return text
    end = text[_MOST_BEGINNING - _MOST_OUTPUT :]
    cut = len(text) - _MOST_OUTPUT
    return f"{text[:_MOST_BEGINNING]}\n… cut: {cut:,} characters here …\n{end}"
