"""Docstrings and help texts as reStructuredText: names between backticks, examples, variables.

In the sources a name stands between single backticks, and an example in a Markdown fence, which
Prefect's UI shows.
"""

import re
from pkgutil import resolve_name
from typing import Any

import click
from prefect.task_runners import TaskRunner
from sphinx.application import Sphinx

import prefect_governor

NAME = re.compile(r"(?<![:`\w])`([^`]+)`(?!`)(?=(\w?))")


def quoted(text: str) -> str:
    """Names between backticks as code; a public one as a link."""
    return NAME.sub(lambda found: _link(found[1]) + ("\\ " if found[2] else ""), text)


def _link(name: str) -> str:
    bare = name.removeprefix("prefect_governor.")
    public, _, member = bare.partition(".")
    if public not in prefect_governor.__all__:
        return f"``{name}``"
    if member and not hasattr(resolve_name(f"prefect_governor:{public}"), member):
        return f"``{name}``"
    return f":py:obj:`{name} <prefect_governor.{bare}>`"


def fenced(lines: list[str]) -> list[str]:
    """Markdown's fences as code blocks."""
    found, inside = [], False
    for line in lines:
        if line.strip().startswith("```"):
            inside = not inside
            line = line.replace("```python", ".. code-block:: python\n").replace("```", "")
            found += line.split("\n")
        else:
            found.append(f"    {line}" if inside and line.strip() else line)
    return found


def docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = quoted("\n".join(fenced(lines))).split("\n")


def signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, given: str, returned: str
) -> tuple[str, None] | None:
    """None are shown of what nobody makes by position: blocks, models, claims."""
    hidden = isinstance(obj, type) and not issubclass(obj, (TaskRunner, Exception))
    return ("", None) if hidden else None


def description(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """A command's examples as code."""
    text = quoted("\n".join(lines))
    examples = re.compile(r"^\| Examples:\n((?:\| .*\n)+)", re.MULTILINE)
    text = examples.sub(
        lambda found: ".. code-block:: sh\n\n" + found[1].replace("| ", "   ") + "\n", text
    )
    lines[:] = text.split("\n")


def options(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Each option with its variable, in place of a list of them after all options."""
    shown = [each for each in context.command.params if isinstance(each, click.Option)]
    blocks = "\n".join(lines).split(".. option::")[1:]
    found = []
    for option, block in zip(shown, blocks, strict=True):
        found += f".. option::{quoted(block.rstrip())}".split("\n")
        if option.envvar:
            found += ["", f"    In the environment: ``{option.envvar}``"]
            option.envvar = None
        found.append("")
    lines[:] = found


def setup(app: Sphinx) -> dict[str, bool]:
    # Before napoleon, which takes the sections out.
    app.connect("autodoc-process-docstring", docstring, priority=400)
    app.connect("autodoc-process-signature", signature)
    app.connect("sphinx-click-process-description", description)
    app.connect("sphinx-click-process-options", options)
    return {"parallel_read_safe": True}
