"""The passages of Python source: definitions with docstrings, fields, comments, statements."""

import ast
import re
import warnings
from collections.abc import Iterator, Sequence

from prefect_governor.blocks.offline.quotes import Passage, Quote, one_line, sentences

# Names the text in warnings ("invalid escape sequence"), so that only they are kept quiet.
_NAME = "<prefect-governor document>"
_COMMENT = re.compile(r"^\s*#(?!!)[#\s]*")
_OPENING = re.compile(r"""^\s*[rRuU]?("{3}|'{3}|"|')""")
_CLOSING = re.compile(r"""("{3}|'{3}|"|')$""")
# In a docstring a section's name ("Args:") says nothing, and each of its entries stands alone.
_SECTION = re.compile(r"^\s*(?:[A-Z]\w*(?: [A-Z]\w*)?:+|-{3,}|={3,}|\.\. [\w-]+::.*)\s*$")
_ENTRY = re.compile(r"^\s*(?:[-*]\s|:\w|`*\w+`*(?: \(.+?\))?:(?:\s|$))")
_PARAMETER = re.compile(r"(?:[-*] )?(?::param \w+|`*[a-z_]\w*`*(?: \(.+?\))?): \S")
_MOST_LINES = 3
_MOST_FIELD_LINES = 8

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def python_passages(lines: Sequence[str]) -> list[Passage] | None:
    """The passages of a module's lines; None where they are not Python that this one can parse."""
    # A filter, not `catch_warnings`: that one swaps the whole list, under other threads' feet.
    warnings.filterwarnings("ignore", module=re.escape(_NAME))
    try:
        tree = ast.parse("\n".join(lines), filename=_NAME)
        return _Reader(lines).read(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class _Reader:
    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._documented: set[int] = set()
        self._scopes: list[tuple[int, int, str]] = []

    def read(self, tree: ast.Module) -> list[Passage]:
        found: list[Passage] = []
        docstring = self._docstring(tree.body)
        found.extend(Passage("title", (first,)) for first in docstring[:1])
        found.extend(_documented(docstring[1:], ""))
        found.extend(self._body(tree.body, "", in_function=False))
        found.extend(self._comments())
        return found

    def _docstring(self, body: Sequence[ast.stmt]) -> list[Quote]:
        """The sentences of the string that opens `body`, at their lines."""
        if not body or not _is_string(body[0]):
            return []
        return self._string(body[0])

    def _string(self, node: ast.stmt) -> list[Quote]:
        start, end = node.lineno, node.end_lineno or node.lineno
        self._documented.update(range(start, end + 1))
        texts = list(self._lines[start - 1 : end])
        # What follows the string on its last line is none of it; offsets count bytes.
        inside = texts[-1].encode()[: node.end_col_offset].decode()
        texts[-1] = _CLOSING.sub("", inside)
        texts[0] = _OPENING.sub("", texts[0])
        found: list[Quote] = []
        block: list[tuple[int, str]] = []
        fenced = False
        for number, text in [*enumerate(texts, start), (end + 1, "")]:
            fence = text.lstrip().startswith("```")
            example = fenced or fence or text.lstrip().startswith((">>>", "..."))
            fenced = fenced != fence
            if block and (example or not text.strip() or _ENTRY.match(text)):
                found.extend(sentences(block))
                block = []
            if text.strip() and not example and not _SECTION.match(text):
                block.append((number, text))
        return found

    def _body(
        self, body: Sequence[ast.stmt], scope: str, *, in_function: bool
    ) -> Iterator[Passage]:
        for at, node in enumerate(body):
            if isinstance(node, _DEFINITIONS):
                if any(ast.unparse(each).endswith("overload") for each in node.decorator_list):
                    continue
                yield from self._definition(node, scope)
            elif _is_string(node):
                # The first one is its owner's docstring; a later one documents the field above.
                if at:
                    yield from _documented(self._string(node), scope)
            elif isinstance(node, (ast.Import, ast.ImportFrom, ast.Pass)):
                continue
            elif nested := _nested(node):
                if in_function:
                    yield self._statement(node, scope, until=nested[0].lineno - 1)
                for handler in getattr(node, "handlers", []):
                    yield self._statement(handler, scope, until=handler.body[0].lineno)
                yield from self._body(nested, scope, in_function=in_function)
            else:
                yield self._statement(node, scope, field=not in_function)

    def _definition(self, node: Definition, scope: str) -> Iterator[Passage]:
        name = f"{scope}.{node.name}" if scope else node.name
        self._scopes.append((node.lineno, node.end_lineno or node.lineno, name))
        signature = self._signature(node)
        docstring = self._docstring(node.body)
        yield Passage("definition", (signature, *docstring[:1]), scope)
        yield from _documented(docstring[1:], name)
        yield from self._body(node.body, name, in_function=not isinstance(node, ast.ClassDef))

    def _signature(self, node: Definition) -> Quote:
        inner = node.body[0]
        below = min([inner.lineno, *(each.lineno for each in getattr(inner, "decorator_list", []))])
        last = node.lineno
        while last < below - 1 and not self._lines[last - 1].split("#")[0].rstrip().endswith(":"):
            last += 1
        text = one_line(" ".join(self._lines[node.lineno - 1 : last]))
        return Quote(node.lineno, last, text)

    def _statement(
        self,
        node: ast.stmt | ast.ExceptHandler,
        scope: str,
        *,
        until: int | None = None,
        field: bool = False,
    ) -> Passage:
        last = until if until is not None else (node.end_lineno or node.lineno)
        most = _MOST_FIELD_LINES if field else _MOST_LINES
        last = max(node.lineno, min(last, node.lineno + most - 1))
        text = one_line(" ".join(self._lines[node.lineno - 1 : last]))
        return Passage("field" if field else "code", (Quote(node.lineno, last, text),), scope)

    def _comments(self) -> Iterator[Passage]:
        block: list[tuple[int, str]] = []
        for number, line in [*enumerate(self._lines, 1), (len(self._lines) + 1, "")]:
            match = None if number in self._documented else _COMMENT.match(line)
            if match:
                block.append((number, line[match.end() :]))
            elif block:
                scope = self._scope_of(block[0][0])
                yield from (Passage("comment", (quote,), scope) for quote in sentences(block))
                block = []

    def _scope_of(self, line: int) -> str:
        inside = [scope for scope in self._scopes if scope[0] <= line <= scope[1]]
        return max(inside)[2] if inside else ""


def _documented(quotes: Sequence[Quote], scope: str) -> Iterator[Passage]:
    for quote in quotes:
        yield Passage("field" if _PARAMETER.match(quote.text) else "doc", (quote,), scope)


def _is_string(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _nested(node: ast.stmt) -> list[ast.stmt]:
    """The statements inside a compound one, in order of their lines."""
    bodies: list[ast.stmt] = []
    for field in ("body", "orelse", "finalbody"):
        bodies.extend(getattr(node, field, []))
    for part in (*getattr(node, "handlers", []), *getattr(node, "cases", [])):
        bodies.extend(part.body)
    return sorted(bodies, key=lambda each: each.lineno)
