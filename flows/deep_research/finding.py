"""What a sub-agent found: the result that others receive by reference. Pure, but for its file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from prefect_governor.blocks.machine.private import make_folder, open_file
from prefect_governor.flows.agent.evidence import Evidence
from prefect_governor.flows.agent.showing import Citing, Told
from prefect_governor.flows.run.outcomes import FINE

# What of one finding stands in the prompt of a task that depends on it, in characters; the whole of
# it is to be had with the tool `read_result`.
MOST_IN_PROMPT = 6_000


@dataclass(frozen=True)
class Finding:
    """A task's answer, and the lines that its agent was shown, which are what it may cite. `ended`
    is how the answer ended, where such are taken that did not end well; `files` where the files are
    that its agent left, as `ItemFiles` records them."""

    task: str
    answer: str
    evidence: dict[str, list[list[int]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    ended: str = FINE
    files: dict[str, Any] | None = None

    @property
    def shown(self) -> Evidence:
        return Evidence.of_json(self.evidence)

    def as_told(self, most: int | None = None) -> Told:
        """The answer as others are given it, `most` characters of it where that is given, and the
        lines that it shows them: those that it cites."""
        rest = f"`read_result` with task {self.task!r} gives the whole"
        return Citing(self.answer, self.shown, rest).within(most)

    def to_record(self) -> str:
        """As the ledger keeps it."""
        record = asdict(self)
        if self.files is None:
            del record["files"]
        return json.dumps(record, sort_keys=True)

    def to_others(self) -> str:
        """What others get of it, as JSON: they do not see its files."""
        return replace(self, files=None).to_record()

    @classmethod
    def of_record(cls, record: str) -> "Finding":
        data = json.loads(record)
        notes, ended = tuple(data["notes"]), data.get("ended", FINE)
        files = data.get("files")
        return cls(data["task"], data["answer"], data["evidence"], notes, ended, files)


@dataclass(frozen=True)
class Reference:
    """Where a finding stands: small enough to travel as a task's result."""

    task: str
    file: str
    sha256: str

    @classmethod
    def to(cls, finding: Finding, folder: Path) -> "Reference":
        """Write a finding's file and refer to it."""
        record = finding.to_record()
        path = make_folder(folder) / f"{finding.task}.json"
        with open_file(path) as file:
            file.write(record)
        return cls(finding.task, str(path), hashlib.sha256(record.encode()).hexdigest())

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def in_prompt(findings: Mapping[str, Finding]) -> str:
    """Findings as a task that depends on them is told of them."""
    return "\n\n".join(
        f'<result task="{name}">\n{finding.as_told(MOST_IN_PROMPT).text}\n</result>'
        for name, finding in findings.items()
    )
