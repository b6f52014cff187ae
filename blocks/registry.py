"""The governors at work in this process: one runtime and one keeper for each."""

import atexit
import os
import re
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import BlockDocument
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from pydantic import ValidationError

from prefect_governor.blocks.budget.block import Budget
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.governor import Governor
from prefect_governor.blocks.home import state_folder
from prefect_governor.blocks.ledger.clock import machine_now
from prefect_governor.blocks.ledger.records import Account
from prefect_governor.blocks.limits.keeper import Keeper
from prefect_governor.blocks.limits.lease_keeper import LimitKeeper
from prefect_governor.blocks.limits.limit import Limit
from prefect_governor.blocks.limits.prefect_limits import PrefectLimits, impatient
from prefect_governor.blocks.office import desk
from prefect_governor.blocks.runtime import GovernedLimit, Runtime

B = TypeVar("B", bound=Block)

_lock = threading.RLock()
_runtimes: dict[tuple[str, ...], Runtime] = {}
_keepers: list[Keeper] = []
_by_name: dict[tuple[str, ...], Governor] = {}


def load_governor(name: str) -> Governor:
    """The governor saved under a name; read once in a process, then kept fresh by its keeper.

    Raises ConfigurationError.
    """
    key = (_api(), str(state_folder()), name)
    with _lock:
        if key not in _by_name:
            _by_name[key] = load_block(Governor, name)
        return _by_name[key]


def load_block(kind: type[B], name: str) -> B:
    """A block of a kind saved under a name. Raises ConfigurationError."""
    block: B = _hydrate(kind, _read(kind, name))
    return block


def accounts_of(name: str) -> tuple[str, tuple[Account, ...]]:
    """What the block of a name is ("Governor", or else "Budget"), and its budgets up the chain,
    leaf first, as their documents have them.

    Raises ConfigurationError.
    """
    document = _find(Governor, name)
    if document is not None:
        return "Governor", _accounts(document, _hydrate(Governor, document))
    document = _find(Budget, name)
    if document is not None:
        return "Budget", _chain(document, _hydrate(Budget, document))
    raise ConfigurationError(
        f"there is no Governor or Budget block named {name!r}: `prefect block ls` lists those that"
        f" there are; make one in the UI (Blocks) or with Budget(…).save({name!r})"
    )


def saved_governors() -> list[str]:
    """The names of the Governor blocks that are saved, sorted."""
    with get_client(sync_client=True) as client:
        documents = client.read_block_documents(include_secrets=False)
    slug = Governor.get_block_type_slug()
    return sorted(
        each.name
        for each in documents
        if each.name and each.block_type and each.block_type.slug == slug
    )


def runtime_of(governor: Governor) -> Runtime:
    """See `Governor.runtime`."""
    with _lock:
        if governor._local_name is not None:
            return _local_runtime(governor, governor._local_name)
        document_id = governor._block_document_id
        if document_id is None:
            raise ConfigurationError(
                "this Governor was never saved: save it with .save(name), load one with"
                " Governor.load(name), or use Governor.local(name, max_usd=…) in a script"
            )
        key = (_api(), str(state_folder()), str(document_id))
        if key not in _runtimes:
            _runtimes[key] = _saved_runtime(document_id)
        return _runtimes[key]


def _local_runtime(governor: Governor, name: str) -> Runtime:
    version = governor._local_version
    known = ("local", str(state_folder()), name, version)
    if known in _runtimes:
        return _runtimes[known]
    key = f"local/{name}"
    runtime = Runtime(
        name=name,
        desk=desk(),
        accounts_=(governor.budget.account(key, name=name, version=version),),
        limits_=tuple(
            GovernedLimit(limit, f"{key}/{limit.name}", False) for limit in governor.limits
        ),
        queue_timeout_seconds=governor.queue_timeout_seconds,
    )
    runtime.apply()
    _runtimes[known] = runtime
    return runtime


def _saved_runtime(document_id: UUID) -> Runtime:
    document = _read_by_id(document_id)
    governor = _validated(Governor, document)
    runtime = Runtime(
        name=str(document.name),
        desk=desk(),
        accounts_=_accounts(document, governor),
        limits_=_limits(document, governor),
        queue_timeout_seconds=governor.queue_timeout_seconds,
    )
    runtime.apply()
    server = PrefectLimits(patient=False)
    limits: list[LimitKeeper] = []
    _keep(limits, runtime, server)
    _keepers.append(
        Keeper(
            state_folder() / "keepers",
            f"{_api()} {document_id}",
            limits,
            lambda: _refresh(runtime, document_id, lambda: _keep(limits, runtime, server)),
            now=machine_now,
            within=impatient,
        )
    )
    return runtime


def _keep(kept: list[LimitKeeper], runtime: Runtime, server: PrefectLimits) -> None:
    """A keeper for each limit. One that the document no longer has keeps its own: it gives back
    what is leased. One that stands as another of Prefect's limits now gets a new one, which gives
    back what was leased on the other."""
    names = {each.key: server_limit_name(runtime.name, each.limit) for each in runtime.limits_}
    kept[:] = [each for each in kept if names.get(each.key, each.name) == each.name]
    known = {each.key for each in kept}
    kept += [
        LimitKeeper(
            runtime.desk,
            server,
            key=each.key,
            name=names[each.key],
            adopt=each.limit.share_with is not None,
            now=machine_now,
        )
        for each in runtime.limits_
        if each.key not in known
    ]


def server_limit_name(governor: str, limit: Limit) -> str:
    """Prefect's global concurrency limit that a limit of a saved governor stands as."""
    # A model's pattern may hold what the names of Prefect's limits may not.
    return limit.share_with or re.sub(r"[/%&<>]", "-", f"governor:{governor}:{limit.name}")


def _refresh(runtime: Runtime, document_id: UUID, keep: Callable[[], None]) -> None:
    """Apply what is newer in the governor's documents. One that does not validate keeps the last
    good one in force."""
    document = _read_by_id(document_id)
    governor = _validated(Governor, document)
    accounts, limits = _accounts(document, governor), _limits(document, governor)
    if (accounts, limits) != (runtime.accounts_, runtime.limits_):
        runtime.accounts_, runtime.limits_ = accounts, limits
        runtime.queue_timeout_seconds = governor.queue_timeout_seconds
        runtime.apply()
        keep()


def _limits(document: BlockDocument, governor: Governor) -> tuple[GovernedLimit, ...]:
    names = [limit.name for limit in governor.limits]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigurationError(
            f"governor {document.name!r} has more than one limit for {sorted(twice)}: merge them"
        )
    return tuple(
        GovernedLimit(limit, f"{document.id}/{limit.name}", limit.max_concurrent is not None)
        for limit in governor.limits
    )


def _accounts(document: BlockDocument, governor: Governor) -> tuple[Account, ...]:
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


def _budgets(document: BlockDocument, governor: Governor) -> tuple[Account, ...]:
    inner = document.block_document_references.get("budget", {}).get("block_document")
    if inner is None:
        # A budget that was never saved by itself is part of the governor's document.
        key, name = f"{document.id}/budget", str(document.name)
        leaf = governor.budget.account(key, name=name, version=_version(document.updated))
        return (leaf, *_parents(governor.budget))
    budget_document = _read_by_id(UUID(str(inner["id"])))
    return _chain(budget_document, governor.budget, name=str(document.name))


def _chain(document: BlockDocument, budget: Budget, *, name: str = "") -> tuple[Account, ...]:
    """A saved budget and its parents, leaf first. `name` is for a document that has none."""
    name = str(document.name or name)
    leaf = budget.account(str(document.id), name=name, version=_version(document.updated))
    return (leaf, *_parents(budget, name))


def _parents(budget: Budget, *below: str) -> list[Account]:
    accounts: list[Account] = []
    parent, seen = budget.parent, {*below}
    while parent is not None:
        if parent in seen:
            raise ConfigurationError(f"budget {parent!r} is its own parent; break the cycle")
        seen.add(parent)
        above = _read(Budget, parent)
        budget = _validated(Budget, above)
        accounts.append(budget.account(str(above.id), name=parent, version=_version(above.updated)))
        parent = budget.parent
    return accounts


def _version(updated: datetime | None) -> str:
    return "" if updated is None else updated.isoformat()


def _read(kind: type[Any], name: str) -> BlockDocument:
    document = _find(kind, name)
    if document is None:
        raise ConfigurationError(
            f"there is no {kind.get_block_type_name()} block named {name!r}; make one in the UI"
            f" (Blocks) or with {kind.__name__}(…).save({name!r})"
        )
    return document


def _find(kind: type[Any], name: str) -> BlockDocument | None:
    try:
        with get_client(sync_client=True) as client:
            return client.read_block_document_by_name(name, kind.get_block_type_slug())
    except ObjectNotFound:
        return None


def _read_by_id(document_id: UUID) -> BlockDocument:
    with get_client(sync_client=True) as client:
        return client.read_block_document(document_id)


def _validated(kind: type[Any], document: BlockDocument) -> Any:
    """What a document says, read again and again by the keepers: without the event of a load."""
    try:
        return kind.model_validate(document.data)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in each['loc']) or 'document'}: {each['msg']}"
            for each in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(
            f"the {kind.get_block_type_name()} block {document.name!r} is not valid: {wrong};"
            " edit it in the UI"
        ) from None


def _hydrate(kind: type[Any], document: BlockDocument) -> Any:
    """A document as the block that a user loads."""
    _validated(kind, document)
    return kind._from_block_document(document)


def _api() -> str:
    return str(PREFECT_API_URL.value() or "")


def stop_all() -> None:
    """Put every governor of this process out of work; leases that nobody needs go back."""
    for keeper in _keepers:
        keeper.end()
    for keeper in _keepers:
        keeper.stop()
    _keepers.clear()
    _runtimes.clear()
    _by_name.clear()


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()
    for keeper in _keepers:
        keeper.forget()
    _keepers.clear()
    _runtimes.clear()
    _by_name.clear()


# Registered after the desks' own, so that it runs before them: keepers write through desks.
atexit.register(stop_all)
os.register_at_fork(after_in_child=_after_fork)
