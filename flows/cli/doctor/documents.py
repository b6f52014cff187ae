"""The saved blocks that the doctor looks at, read once, each checked by itself."""

import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from prefect.client.schemas.objects import BlockDocument

from prefect_governor.blocks.documents.documents import saved, validated
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.leases.prefect_limits import impatient
from prefect_governor.blocks.terms.budget import BudgetTerms
from prefect_governor.blocks.terms.document import DocumentTerms
from prefect_governor.blocks.terms.governor import GovernorTerms
from prefect_governor.blocks.terms.model import ModelTerms
from prefect_governor.flows.cli.doctor.finding import Finding

_CALLED: dict[type[DocumentTerms], str] = {
    GovernorTerms: "governor",
    BudgetTerms: "budget",
    ModelTerms: "model",
}


@dataclass(frozen=True)
class Saved:
    """A saved block. `terms` is what it says, None where that is not valid, `wrong` says why; `url`
    is its page in Prefect's UI."""

    kind: type[DocumentTerms]
    document: BlockDocument
    terms: DocumentTerms | None
    wrong: str | None
    url: str

    @property
    def name(self) -> str:
        return str(self.document.name)

    @property
    def about(self) -> str:
        return f"{_CALLED[self.kind]} {self.name!r}"

    @property
    def invalid(self) -> Finding:
        """What is said of it where it is not valid."""
        held = (
            " A run that is under way keeps what was last good" if self.kind != ModelTerms else ""
        )
        return Finding(
            "fail", self.about, f"{self.wrong}.{held}".rstrip("."), f"edit it: {self.url}"
        )


class Documents:
    """The Governor, Budget and Model blocks of a server, with their secrets: nothing of these is
    shown. `ledger`: whether the ledger of governors that name none can be read.

    Read once, when first asked for; what Prefect's client raises is raised.
    """

    def __init__(self, ui_url: str, *, ledger: bool) -> None:
        self.ui_url = ui_url.rstrip("/")
        self.ledger = ledger
        self._reading = threading.Lock()
        self._known: dict[type[DocumentTerms], dict[str, Saved]] | None = None

    @property
    def governors(self) -> Mapping[str, Saved]:
        return self._all[GovernorTerms]

    @property
    def budgets(self) -> Mapping[str, Saved]:
        return self._all[BudgetTerms]

    @property
    def models(self) -> Mapping[str, Saved]:
        return self._all[ModelTerms]

    @cached_property
    def cycles(self) -> tuple[tuple[str, ...], ...]:
        """Budgets that are each other's parents, each cycle in order."""
        return tuple(cycles({name: parent_of(each) for name, each in self.budgets.items()}))

    def chain(self, block: Saved) -> list[str]:
        """The budgets above a block that are there, nearest first."""
        found: list[str] = []
        parent = parent_of(block)
        while parent in self.budgets and parent not in found:
            found.append(str(parent))
            parent = parent_of(self.budgets[found[-1]])
        return found

    def ledger_url(self, budget: Saved) -> str | None:
        """The PostgreSQL ledger of the governors that draw on a budget, where one names one."""
        for governor in self.governors.values():
            terms = governor.terms
            named = isinstance(terms, GovernorTerms) and terms.ledger_url
            if named and budget.name in self.chain(governor):
                return named.get_secret_value()
        return None

    def broken_above(self, block: Saved) -> str | None:
        """Why nothing can be drawn on the budgets above a block, None where it can be. What is
        said of those themselves is not said again."""
        at = block
        for name in (*self.chain(block), None):
            parent = parent_of(at)
            if parent is not None and parent not in self.budgets:
                return f"there is no Budget block named {parent!r}, which it draws on"
            if name is None:
                return None
            at = self.budgets[name]
            if at.terms is None or any(name in cycle for cycle in self.cycles):
                return f"it draws on budget {name!r}, which cannot be used (see there)"
        return None

    @property
    def _all(self) -> dict[type[DocumentTerms], dict[str, Saved]]:
        with self._reading:
            if self._known is None:
                with impatient():
                    self._known = {kind: dict(self._of(kind)) for kind in _CALLED}
            return self._known

    def _of(self, kind: type[DocumentTerms]) -> Iterator[tuple[str, Saved]]:
        for document in saved(kind):
            terms, wrong = None, None
            try:
                terms = validated(kind, document)
            except ConfigurationError as error:
                wrong = _plain(str(error))
            url = f"{self.ui_url}/blocks/block/{document.id}"
            yield str(document.name), Saved(kind, document, terms, wrong, url)


def cycles(parents: Mapping[str, str | None]) -> Iterator[tuple[str, ...]]:
    """Names that lead back to themselves, each cycle once. Pure."""
    told: set[str] = set()
    for name in sorted(parents):
        path: list[str] = []
        at: str | None = name
        while at is not None and at in parents and at not in path:
            path.append(at)
            at = parents[at]
        if at is not None and at in path and at not in told:
            cycle = tuple(path[path.index(at) :])
            told |= {*cycle}
            yield cycle


def parent_of(block: Saved) -> str | None:
    """The budget that a block draws on by name, whether or not it is valid besides."""
    data = block.document.data
    if block.kind is GovernorTerms:
        data = data.get("budget") or {}
    parent = data.get("parent") if isinstance(data, Mapping) else None
    return parent if isinstance(parent, str) and parent else None


def _plain(message: str) -> str:
    """Without the block's name and what to do about it, which the doctor says itself."""
    plain = re.sub(r"^the .* block '.*?' is not valid: ", "not valid: ", message)
    return plain.removesuffix("; edit it in the UI")
