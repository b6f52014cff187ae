"""What a sub-agent found: the result that others receive by reference. Pure, but for its file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from prefect_governor.flows.deep_research.agent.evidence import Evidence

# What of one finding stands in the prompt of a task that depends on it, in characters; the whole of
# it is to be had with the tool `read_result`.
MOST_IN_PROMPT = 6_000


@dataclass(frozen=True)
class Finding:
    """A task's answer, and the lines that its agent was shown, which are what it may cite."""

    task: str
    answer: str
    evidence: dict[str, list[list[int]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def shown(self) -> Evidence:
        return Evidence.of_json(self.evidence)

    def to_record(self) -> str:
        """As the ledger keeps it."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def of_record(cls, record: str) -> "Finding":
        data = json.loads(record)
        return cls(data["task"], data["answer"], data["evidence"], tuple(data["notes"]))


@dataclass(frozen=True)
class Reference:
    """Where a finding stands: small enough to travel as a task's result."""

    task: str
    file: str
    sha256: str

    @classmethod
    def to(cls, finding: Finding, folder: Path) -> "Reference":
        """Write a finding's file and refer to it."""
        data = finding.to_record().encode()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{finding.task}.json"
        path.write_bytes(data)
        return cls(finding.task, str(path), hashlib.sha256(data).hexdigest())

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def in_prompt(findings: Mapping[str, Finding]) -> str:
    """Findings as a task that depends on them is told of them."""
    parts = []
    for name, finding in findings.items():
        text = finding.answer
        if len(text) > MOST_IN_PROMPT:
            text = (
                f"{text[:MOST_IN_PROMPT]}\n… cut: `read_result` with task {name!r} gives the whole"
            )
        parts.append(f'<result task="{name}">\n{text}\n</result>')
    return "\n\n".join(parts)
