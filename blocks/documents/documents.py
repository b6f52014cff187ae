"""The documents of governors and budgets, as Prefect's API has them, read and checked."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import BlockDocument
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from pydantic import ValidationError

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.prefect_internals.block_documents import block_of
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.terms.budget import BudgetTerms
from prefect_governor.blocks.terms.document import DocumentTerms
from prefect_governor.blocks.terms.governor import GovernorTerms, rate_parts
from prefect_governor.blocks.terms.limit import GovernedLimit

B = TypeVar("B", bound=Block)
T = TypeVar("T", bound=DocumentTerms)


@dataclass(frozen=True)
class Root:
    """A saved document whose rows are in a ledger."""

    document_id: str
    kind: str
    name: str


@dataclass(frozen=True)
class Definition:
    """What a governor's documents say together."""

    document_id: UUID
    name: str
    governor: GovernorTerms
    accounts: tuple[Account, ...]
    limits: tuple[GovernedLimit, ...]

    @property
    def roots(self) -> tuple[Root, ...]:
        """The governor's document, which its limits are keyed by, and every budget's."""
        own = str(self.document_id)
        others = [
            Root(root_of(each.key), "Budget", each.name)
            for each in self.accounts
            if root_of(each.key) != own
        ]
        return (Root(own, "Governor", self.name), *others)


def root_of(key: str) -> str:
    """The id of the document that an account's key belongs to."""
    return key.split("/", 1)[0]


def define(document: BlockDocument) -> Definition:
    """A governor with its budgets up the chain, all of them checked.

    Raises ConfigurationError.
    """
    governor = validated(GovernorTerms, document)
    return Definition(
        document.id,
        str(document.name),
        governor,
        _accounts(document, governor),
        _limits(document, governor),
    )


def load_block(kind: type[B], name: str) -> B:
    """A block of a kind saved under a name. Raises ConfigurationError."""
    terms: type[Any] = kind
    document = read(terms, name)
    validated(terms, document)
    return block_of(kind, document)


def accounts_of(name: str) -> tuple[str, tuple[Account, ...]]:
    """What the block of a name is ("Governor", or else "Budget"), and its budgets up the chain,
    leaf first, as their documents have them.

    Raises ConfigurationError.
    """
    document = find(GovernorTerms, name)
    if document is not None:
        return "Governor", _accounts(document, validated(GovernorTerms, document))
    document = find(BudgetTerms, name)
    if document is not None:
        return "Budget", budget_chain(document)
    raise ConfigurationError(
        f"there is no Governor or Budget block named {name!r}: `prefect block ls` lists those that"
        f" there are; make one in the UI (Blocks) or with Budget(…).save({name!r})"
    )


def budget_chain(document: BlockDocument) -> tuple[Account, ...]:
    """A saved budget and its parents, leaf first. Raises ConfigurationError."""
    return _chain(document, validated(BudgetTerms, document))


def saved(kind: type[DocumentTerms]) -> list[BlockDocument]:
    """All documents of a kind that have a name, sorted by it. They hold their secrets."""
    with _none_where_missing(), get_client(sync_client=True) as client:
        # All of them at once: the API takes neither an offset nor a limit here.
        found = client.read_block_documents_by_type(kind.block_type_slug)
        named = [each for each in found if each.name and not each.is_anonymous]
        return sorted(named, key=lambda each: str(each.name))
    # No such block was ever saved here.
    return []


def read(kind: type[DocumentTerms], name: str) -> BlockDocument:
    """The document of a kind saved under a name. Raises ConfigurationError."""
    document = find(kind, name)
    if document is None:
        raise ConfigurationError(
            f"there is no {kind.block_type_name} block named {name!r}; make one in the UI"
            f" (Blocks) or with {kind.block_class}(…).save({name!r})"
        )
    return document


def find(kind: type[DocumentTerms], name: str) -> BlockDocument | None:
    """The document of a kind saved under a name, None where there is none."""
    with _none_where_missing(), get_client(sync_client=True) as client:
        return client.read_block_document_by_name(name, kind.block_type_slug)
    return None


def find_by_id(document_id: UUID) -> BlockDocument | None:
    """A document, None where it was deleted."""
    with _none_where_missing(), get_client(sync_client=True) as client:
        return client.read_block_document(document_id)
    return None


def read_by_id(document_id: UUID) -> BlockDocument:
    """A document. Raises ConfigurationError where it was deleted."""
    document = find_by_id(document_id)
    if document is None:
        raise ConfigurationError(
            f"the block document {document_id} was deleted; load the block by its name again"
        )
    return document


def validated(kind: type[T], document: BlockDocument) -> T:
    """What a document says, read again and again by the keepers: without the event of a load.

    Raises ConfigurationError, whose message shows no secret.
    """
    try:
        terms: T = kind.model_validate(document.data)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in each['loc']) or 'document'}: {each['msg']}"
            for each in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(
            f"the {kind.block_type_name} block {document.name!r} is not valid: {wrong};"
            " edit it in the UI"
        ) from None
    return terms


def api() -> str:
    """Names the Prefect API that this process speaks to."""
    return str(PREFECT_API_URL.value() or "")


def version_of(updated: datetime | None) -> str:
    """Orders the states of one document: what is newer sorts later."""
    return "" if updated is None else updated.isoformat()


@contextmanager
def _none_where_missing() -> Iterator[None]:
    try:
        yield
    except ObjectNotFound:
        return


def _limits(document: BlockDocument, governor: GovernorTerms) -> tuple[GovernedLimit, ...]:
    names = [limit.name for limit in governor.every_limit]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigurationError(
            f"governor {document.name!r} has more than one limit for {sorted(twice)}: merge them"
        )
    return tuple(
        GovernedLimit(
            limit,
            f"{document.id}/{limit.name}",
            limit.max_concurrent is not None,
            rate_parts(governor),
        )
        for limit in governor.every_limit
    )


def _accounts(document: BlockDocument, governor: GovernorTerms) -> tuple[Account, ...]:
    """The governor's budget and its parents, leaf first; those without a ceiling hold nothing."""
    accounts = tuple(
        account
        for account in _budgets(document, governor)
        if account.ceiling_nano is not None or account.ceiling_tokens is not None
    )
    if not accounts:
        raise ConfigurationError(
            f"governor {document.name!r} has no ceiling, nor has any of its parents: set max_usd"
            " or max_total_tokens"
        )
    return accounts


def _budgets(document: BlockDocument, governor: GovernorTerms) -> tuple[Account, ...]:
    inner = document.block_document_references.get("budget", {}).get("block_document")
    if inner is None:
        # A budget that was never saved by itself is part of the governor's document.
        key, name = f"{document.id}/budget", str(document.name)
        leaf = governor.budget.account(key, name=name, version=version_of(document.updated))
        return (leaf, *_parents(governor.budget))
    budget_document = read_by_id(UUID(str(inner["id"])))
    return _chain(budget_document, governor.budget, name=str(document.name))


def _chain(document: BlockDocument, budget: BudgetTerms, *, name: str = "") -> tuple[Account, ...]:
    """A saved budget and its parents, leaf first. `name` is for a document that has none."""
    name = str(document.name or name)
    leaf = budget.account(str(document.id), name=name, version=version_of(document.updated))
    return (leaf, *_parents(budget, name))


def _parents(budget: BudgetTerms, *below: str) -> list[Account]:
    accounts: list[Account] = []
    parent, seen = budget.parent, {*below}
    child: str | None = below[-1] if below else None
    while parent is not None:
        if parent in seen:
            raise ConfigurationError(
                f"budget {parent!r} is its own parent; break the cycle: edit the parent of"
                f" {child or parent!r}"
            )
        seen.add(parent)
        above = read(BudgetTerms, parent)
        budget = validated(BudgetTerms, above)
        accounts.append(
            budget.account(str(above.id), name=parent, version=version_of(above.updated))
        )
        parent, child = budget.parent, parent
    return accounts
