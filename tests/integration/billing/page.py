"""docs/reference/bounds.md, made of the table: `python -m tests.integration.billing.page`. What
stands above the table is head.md."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests import ROOT
from tests.integration.billing.asking import PARTS
from tests.integration.billing.table import Case, Outcome, Provider, Row, cases, providers

PAGE = ROOT / "docs" / "reference" / "bounds.md"

HEAD = Path(__file__).with_name("head.md")

BECOMES: dict[Outcome, str] = {
    "settled": "settled",
    "above": "settled above",
    "unconfirmed": "held",
    "released": "released",
    "again": "asked again",
    "refused": "refused",
    "free": "free",
}
APIS = {
    "chat": "chat completions",
    "responses": "responses",
    "embeddings": "embeddings",
    "messages": "messages",
    "generate": "generateContent",
    "ollama": "`/api/chat`",
    "cohere": "Cohere's chat",
    "embed": "Cohere's embed",
    "rerank": "rerank",
    "embedContent": "embedContent",
    "ollamaEmbed": "`/api/embed`",
    "converse": "Converse",
    "invoke": "InvokeModel",
    "rawPredict": "rawPredict",
}
LONGEST = 100


def written() -> str:
    """The whole page."""
    outcomes = Counter(case.row.outcome for case in cases())
    counted = ", ".join(f"{outcomes[name]} {BECOMES[name]}" for name in BECOMES)
    parts = [HEAD.read_text(encoding="utf-8"), f"{outcomes.total()} rows: {counted}.\n"]
    parts += [_of(provider) for provider in providers()]
    return "\n".join(parts)


def _of(provider: Provider) -> str:
    lines = [
        f"## {provider.name}",
        "",
        f"`{provider.origin}{provider.base}`",
        "",
        "| part | asked for by | what is billed | what becomes of it | where that is documented |",
        "|---|---|---|---|---|",
        *(_line(Case(provider, row)) for row in provider.rows),
    ]
    return "\n".join(lines) + "\n"


def _line(case: Case) -> str:
    row = case.row
    page = f"[{row.page}](https://{row.page})"
    cells = [row.part, _asked(case), row.billed or "nobody knows", _becomes(row), page]
    return "| " + " | ".join(cell.replace("|", r"\\|") for cell in cells) + " |"


def _asked(case: Case) -> str:
    """What of the request asks for the part."""
    row = case.row
    if row.path is not None:
        return f"`{row.path}`"
    found = [f"`{row.model}`"]
    if len({each.api for each in case.provider.rows}) > 1:
        found.append(APIS[row.api])
    if row.origin is not None:
        found.append(f"`{case.host}`")
    if row.place:
        found.append(f"`{row.place}`")
    if row.stream:
        found.append("a stream")
    found += [f"`{_field(name, value)}`" for name, value in row.asks.items()]
    found += [f"`{name}: {value}`" for name, value in row.headers.items()]
    status = row.reply.get("status")
    return ", ".join([*found, f"answered {status}"] if status else found)


def _field(name: str, value: object) -> str:
    """A field of the request, whole where it is short."""
    if value is None:
        return f"no {name}"
    if name == PARTS and isinstance(value, list):
        return ", ".join(str(each.get("type") or next(iter(each))) for each in value)
    whole = json.dumps(value)
    return f"{name}: {whole}" if len(whole) <= LONGEST else name


def _becomes(row: Row) -> str:
    found = BECOMES[row.outcome]
    if row.outcome == "refused":
        found += f": {row.says}" if "`" in row.says else f": `{row.says}`"
    said = []
    if row.unseen:
        said.append('`unseen="context"`')
    if row.allow:
        said.append("`allow_fields`")
    if row.given is not None:
        said.append("`prices`")
    if row.whose is not None:
        said.append(f"`provider={row.whose!r}`")
    return f"{found}, with {' and '.join(said)}" if said else found


def main() -> None:
    """Writes the page."""
    PAGE.write_text(written(), encoding="utf-8")


if __name__ == "__main__":
    main()
