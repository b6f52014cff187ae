"""The blocks behind a name on the command line: its budgets, its ledger, and the document that
holds its ceiling."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import BlockDocumentUpdate
from prefect.client.schemas.objects import BlockDocument

from prefect_governor.blocks.budget import Budget
from prefect_governor.blocks.documents.documents import (
    accounts_of,
    define,
    find,
    read,
    read_by_id,
    saved,
    validated,
)
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.governor import Governor
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.machine.private import make_folder, open_file
from prefect_governor.blocks.money.usd import plain_number
from prefect_governor.blocks.prefect_internals.block_documents import reference_to
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.terms.governor import GovernorTerms
from prefect_governor.blocks.work.ledgers import desk
from prefect_governor.blocks.work.registry import desk_of_governor, desk_of_name, ledger_url_of

_FIELDS = ("max_usd", "max_total_tokens")


@dataclass(frozen=True)
class Saved:
    """What a name of a saved block stands for.

    Attributes:
        kind: "Governor" or "Budget".
        accounts: its budgets that have a ceiling, leaf first.
        limits: the keys in the ledger of a governor's limits, and their names.
        desk: the ledger that it spends in.
        root: what the keys of a governor begin with; empty for a budget.
    """

    kind: str
    name: str
    accounts: tuple[Account, ...]
    limits: dict[str, str]
    desk: LedgerDesk
    root: str = ""


@dataclass(frozen=True)
class CeilingDocument:
    """The document that a ceiling stands in: a Budget's, or a Governor's with a budget of its own.

    `updated` is when it was last written, `budget` what it says, `data` the fields as they stand.
    """

    id: UUID
    kind: str
    name: str
    updated: datetime | None
    budget: Budget
    data: dict[str, Any]
    references: dict[str, Any]


def find_saved(name: str) -> Saved:
    """The block saved under a name, with its budgets as their documents have them.

    Raises ConfigurationError, LedgerUnavailable.
    """
    document = find(Governor, name)
    if document is not None:
        found = define(document)
        limits = {each.key: each.limit.name for each in found.limits}
        at = desk_of_governor(found)
        return Saved("Governor", name, found.accounts, limits, at, str(found.document_id))
    kind, accounts = accounts_of(name)
    url = _url_of_budget(accounts[0])
    return Saved(kind, name, accounts, {}, desk_of_name(name) if url is None else desk(url))


def find_ceiling(name: str) -> CeilingDocument:
    """The document that holds the ceiling of a saved Governor or Budget.

    Raises ConfigurationError: there is none, or the governor only draws on another budget's.
    """
    document = find(Governor, name)
    if document is None:
        document = read(Budget, name)
        return _ceiling("Budget", name, document, validated(Budget, document))
    governor: Governor = validated(Governor, document)
    inner = document.block_document_references.get("budget", {}).get("block_document")
    if inner is not None:
        own = read_by_id(UUID(str(inner["id"])))
        return _ceiling("Budget", own.name or name, own, validated(Budget, own))
    if governor.budget.max_usd is None and governor.budget.max_total_tokens is None:
        if governor.budget.parent == name:
            # As `init` makes them: there is no other name that could be said instead.
            document = read(Budget, name)
            return _ceiling("Budget", name, document, validated(Budget, document))
        raise ConfigurationError(
            f"governor {name!r} has no ceiling of its own, it draws on budget"
            f" {governor.budget.parent!r}: name that one instead"
        )
    return _ceiling("Governor", name, document, governor.budget)


def write_ceiling(document: CeilingDocument, budget: Budget) -> None:
    """Write a ceiling into the document that it was read from, leaving all else in it.

    Raises ConfigurationError where somebody else has written the document since it was read.
    """
    change: dict[str, Any] = {
        "max_usd": plain_number(budget.max_usd),  # type: ignore[arg-type]
        "max_total_tokens": budget.max_total_tokens,
    }
    if document.kind == "Governor":
        change = {"budget": {**document.data["budget"], **change}}
        # A document that is written loses the references that are not written with it.
        change |= {
            field: reference_to(each["block_document"]["id"])
            for field, each in document.references.items()
        }
    with _only_writer(), get_client(sync_client=True) as client:
        if client.read_block_document(document.id).updated != document.updated:
            raise _changed(document)
        client.update_block_document(document.id, BlockDocumentUpdate(data=change))
        # The server does not compare: another machine's writer may have come in between.
        after = client.read_block_document(document.id).data
    written = after["budget"] if document.kind == "Governor" else after
    found = Budget.model_validate({field: written.get(field) for field in written})
    if any(getattr(found, field) != getattr(budget, field) for field in _FIELDS):
        raise _changed(document)


def _changed(document: CeilingDocument) -> ConfigurationError:
    return ConfigurationError(
        f"the {document.kind} block {document.name!r} was changed by somebody else just now: look"
        f" at it with `prefect-governor budget show {document.name}`, then try again"
    )


def _ceiling(kind: str, name: str, document: BlockDocument, budget: Budget) -> CeilingDocument:
    return CeilingDocument(
        document.id,
        kind,
        name,
        document.updated,
        budget,
        document.data,
        document.block_document_references,
    )


def _url_of_budget(account: Account) -> str | None:
    """The PostgreSQL ledger that governors which draw on a saved budget name, if one does."""
    urls: dict[str, str] = {}
    for document in saved(GovernorTerms):
        try:
            found = define(document)
        except ConfigurationError:
            # A governor whose document is not valid spends nothing; the doctor names it.
            continue
        url = ledger_url_of(found.governor)
        if url is not None and any(each.key == account.key for each in found.accounts):
            urls.setdefault(url, found.name)
    if len(urls) > 1:
        raise ConfigurationError(
            f"governors with different ledgers draw on budget {account.name!r}"
            f" ({', '.join(sorted(urls.values()))}): give them one, or name one of them"
        )
    return next(iter(urls), None)


@contextmanager
def _only_writer() -> Iterator[None]:
    """One command on this machine reads, compares and writes at a time."""
    with open_file(make_folder(state_folder()) / "documents.lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
