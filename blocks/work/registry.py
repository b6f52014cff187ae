"""The governors at work in this process: one runtime and one keeper for each."""

import atexit
import logging
import os
import re
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5
from weakref import WeakSet

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client

from prefect_governor.blocks.documents.documents import (
    Definition,
    api,
    define,
    find,
    load_block,
    read,
    read_by_id,
    root_of,
)
from prefect_governor.blocks.documents.identity import Place, claim, ledger_of
from prefect_governor.blocks.documents.notices import DRAWS_LOST, Teller, alarm, send
from prefect_governor.blocks.documents.saved_models import saved_prices
from prefect_governor.blocks.draws.counters import PrefectCounters
from prefect_governor.blocks.draws.drawing import ByParts, Draws
from prefect_governor.blocks.draws.store import DrawnStore
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.leases.keeper import Keeper
from prefect_governor.blocks.leases.lease_keeper import LimitKeeper
from prefect_governor.blocks.leases.prefect_limits import PrefectLimits, impatient
from prefect_governor.blocks.leases.shared_election import SharedElection
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.machine.election import Electing, Election
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.records.budgets import PREFECT_API
from prefect_governor.blocks.statements.publishing import Publisher
from prefect_governor.blocks.telemetry.switch import keep, look
from prefect_governor.blocks.terms.budget import BudgetTerms
from prefect_governor.blocks.terms.governor import GovernorTerms
from prefect_governor.blocks.terms.limit import GovernedLimit, Limit
from prefect_governor.blocks.work.following import Follower, configure, set_policy
from prefect_governor.blocks.work.ledgers import (
    clock_of,
    desk,
    desk_of_ledger,
    drawn_store,
    home_of,
    ledger_of_desk,
    postgres_url,
)
from prefect_governor.blocks.work.measured import readings
from prefect_governor.blocks.work.runtime import Runtime

B = TypeVar("B", bound=Block)

logger = logging.getLogger("prefect_governor.budget")

_lock = threading.RLock()
_runtimes: dict[tuple[str, ...], Runtime] = {}
_keepers: list[Keeper] = []
_tellers: dict[tuple[str, str], Teller] = {}
_publishers: dict[str, Publisher] = {}
_drawn: "WeakSet[DrawnStore]" = WeakSet()
_by_name: dict[tuple[str, ...], Any] = {}


def loaded(kind: type[B], name: str) -> B:
    """The block of a kind saved under a name; read once in a process.

    Raises ConfigurationError.
    """
    key = (api(), str(state_folder()), kind.__name__, name)
    with _lock:
        if key not in _by_name:
            _by_name[key] = load_block(kind, name)
        found: B = _by_name[key]
        return found


def saved_runtime(document_id: UUID) -> Runtime:
    """A saved governor at work. Raises ConfigurationError, LedgerUnavailable."""
    look(readings)
    key = (api(), str(state_folder()), str(document_id))
    with _lock:
        if key not in _runtimes:
            _runtimes[key] = _work(document_id)
        return _runtimes[key]


def local_runtime(governor: GovernorTerms, name: str, version: str) -> Runtime:
    """A governor of this machine alone at work. Whoever gives the name with the latest `version`
    is right. Raises LedgerUnavailable."""
    look(readings)
    url = ledger_url_of(governor)
    known = ("local", str(state_folder()), url or "", name, version)
    with _lock:
        if known not in _runtimes:
            _runtimes[known] = _work_locally(governor, name, version)
        return _runtimes[known]


def desk_of_name(name: str) -> LedgerDesk:
    """The desk of the ledger that a saved Governor's or Budget's money stands in.

    Raises ConfigurationError, LedgerUnavailable.
    """
    document = find(GovernorTerms, name)
    if document is not None:
        return desk_of_governor(define(document))
    return desk_of_document(read(BudgetTerms, name).id, name)


def desk_of_governor(found: Definition) -> LedgerDesk:
    """The desk of the ledger that a saved Governor's money stands in.

    Raises ConfigurationError where that is not the one that this process has for it, in which
    nothing was spent; LedgerUnavailable.
    """
    own = desk(ledger_url_of(found.governor))
    for root in found.roots:
        told = ledger_of(root.document_id)
        if told not in (None, ledger_of_desk(own)):
            raise ConfigurationError(
                f"the money of {root.kind} {root.name!r} is counted in the ledger"
                f" {str(told)[:8]}, and this process has {ledger_of_desk(own)[:8]} for Governor"
                f" {found.name!r}: use the same PREFECT_HOME, or set ledger_url of the Governor"
                " block, or PREFECT_GOVERNOR_LEDGER_URL, to that ledger's PostgreSQL"
            )
    return own


def desk_of_document(document_id: UUID, name: str) -> LedgerDesk:
    """The desk of the ledger that a saved Budget's money stands in: of the one that its document
    was first worked with, this process's own where it never was.

    Raises ConfigurationError where that ledger is not this process's, LedgerUnavailable.
    """
    told = ledger_of(str(document_id))
    here = None if told is None else desk_of_ledger(told)
    if here is None and told == PREFECT_API:
        here = desk(PREFECT_API)
    if here is not None:
        return here
    own = desk()
    if told not in (None, ledger_of_desk(own)):
        raise ConfigurationError(
            f"the money of Budget {name!r} is counted in the ledger {str(told)[:8]}, and this"
            f" process has {ledger_of_desk(own)[:8]} at {home_of()}: use the same PREFECT_HOME, set"
            " PREFECT_GOVERNOR_LEDGER_URL to that ledger's PostgreSQL, or load a Governor that"
            " draws on the budget first"
        )
    return own


def ledger_url_of(governor: GovernorTerms) -> str | None:
    """The PostgreSQL ledger that a governor names, with its password; None where it names none."""
    url = governor.ledger_url
    return None if url is None else url.get_secret_value()


def _work_locally(governor: GovernorTerms, name: str, version: str) -> Runtime:
    key = f"local/{name}"
    ledger = desk(ledger_url_of(governor))
    runtime = Runtime(
        name=name,
        desk=ledger,
        accounts_=(governor.budget.account(key, name=name, version=version),),
        limits_=tuple(
            GovernedLimit(limit, f"{key}/{limit.name}", False) for limit in governor.every_limit
        ),
        queue_timeout_seconds=governor.queue_timeout_seconds,
        now=clock_of(ledger),
        key=key,
        opened_by=partial(_local_again, governor, name, version, ledger.store.ledger_id),
    )
    set_policy(runtime, governor)
    runtime.apply()
    if runtime.off is not None:
        logger.warning("%s", runtime.off)
    return runtime


def _local_again(governor: GovernorTerms, name: str, version: str, ledger_id: str) -> Runtime:
    """In another process: a governor of the machine that it was made on."""
    runtime = local_runtime(governor, name, version)
    if runtime.desk.store.ledger_id != ledger_id:
        here = home_of(ledger_url_of(governor))
        raise ConfigurationError(
            f"the money of governor {name!r} is counted in the ledger {ledger_id[:8]}, and this"
            f" process has {runtime.desk.store.ledger_id[:8]} at {here}: use the same PREFECT_HOME,"
            " or on several machines ledger_url or PREFECT_GOVERNOR_LEDGER_URL with one PostgreSQL"
        )
    return runtime


def _work(document_id: UUID) -> Runtime:
    definition = define(read_by_id(document_id))
    url = ledger_url_of(definition.governor)
    ledger = desk(url)
    place = Place(ledger_of_desk(ledger), home_of(url))
    claim(definition.roots, place)
    runtime = Runtime(
        name=definition.name, desk=ledger, accounts_=(), limits_=(), now=clock_of(ledger),
        key=str(document_id), opened_by=partial(saved_runtime, document_id),
    )  # fmt: skip
    runtime.saved_prices = saved_prices()
    configure(runtime, definition)
    runtime.apply()
    _draw(ledger)
    server = PrefectLimits(patient=False)
    limits: list[LimitKeeper] = []
    _keep(limits, runtime, server)
    follower = Follower(runtime, definition, place, lambda: _keep(limits, runtime, server))
    folder = state_folder() / "keepers"
    _keepers.append(
        Keeper(
            folder,
            str(document_id),
            limits,
            follower.refresh,
            now=clock_of(ledger),
            within=impatient,
            tell=_telling(_teller(ledger, folder), _publisher(runtime, folder)),
            elect=_elect(url),
        )
    )
    return runtime


def _draw(ledger: LedgerDesk) -> None:
    """What is drawn for a ledger of this kind, by one thread of the process."""
    store = drawn_store(ledger)
    if store is None or store in _drawn:
        return
    folder = store.path.parent / "keepers"
    clock = clock_of(ledger)
    draws = Draws(ledger, store, PrefectCounters(), folder, now=clock, alarm=_alarm_of_draws)
    _drawn.add(store)
    _keepers.append(
        Keeper(
            folder,
            "draws",
            [draws],
            _nothing,
            now=clock,
            within=impatient,
            elect=lambda _: ByParts(draws),
        )
    )


def _alarm_of_draws(account: str, name: str, why: str) -> None:
    logger.warning("%s", why)
    event = alarm(DRAWS_LOST, root_of(account), name, {"reason": why})
    with get_client(sync_client=True) as client:
        send(client, [event])


def _nothing() -> None:
    """What is drawn follows the ledger, which follows the documents."""


def _elect(url: str | None) -> Callable[[Path], Electing]:
    """Among the processes of a machine, or of all machines that share a ledger."""
    shared = postgres_url(url)
    if shared is None:
        return Election
    return lambda path: SharedElection(path, shared)


def _teller(ledger: LedgerDesk, folder: Path) -> Teller:
    key = (api(), ledger.store.ledger_id)
    if key not in _tellers:
        _tellers[key] = Teller(ledger, folder, api())
    return _tellers[key]


def _publisher(runtime: Runtime, folder: Path) -> Publisher:
    lock = uuid5(NAMESPACE_URL, f"{runtime.desk.store.ledger_id} {api()} {runtime.key}").hex
    election = Election(folder / f"{lock}.money")
    made = Publisher(runtime.name, lambda: runtime.accounts_, runtime.desk, election)
    _publishers[runtime.key] = made
    return made


def _telling(teller: Teller, publisher: Publisher) -> Callable[[bool], None]:
    def tell(last: bool) -> None:
        try:
            teller.tick(last)
        finally:
            publisher.tick(last)

    return tell


def statement_of(runtime: Runtime) -> str | None:
    """The key of a governor's page of money, an artifact; None for one that is not saved."""
    publisher = _publishers.get(runtime.key)
    return None if publisher is None else publisher.key


def publish_soon(statement: str) -> None:
    """A run has ended: the page of that key is written anew soon."""
    for publisher in list(_publishers.values()):
        if publisher.key == statement:
            publisher.soon()


def _keep(kept: list[LimitKeeper], runtime: Runtime, server: PrefectLimits) -> None:
    """A keeper for each limit. One that the document no longer has keeps its own: it gives back
    what is leased. One that stands as another of Prefect's limits now gets a new one, which gives
    back what was leased on the other."""
    names = {each.key: server_limit_name(runtime.name, each.limit) for each in runtime.limits_}
    kept[:] = [each for each in kept if names.get(each.key, each.name) == each.name]
    reserves = {each.key: each.limit.reserve_for_others for each in runtime.limits_}
    for each in kept:
        each.reserve = reserves.get(each.key, 0)
    known = {each.key for each in kept}
    kept += [
        LimitKeeper(
            runtime.desk,
            server,
            key=each.key,
            name=names[each.key],
            adopt=each.limit.share_with is not None,
            reserve=each.limit.reserve_for_others,
            now=clock_of(runtime.desk),
        )
        for each in runtime.limits_
        if each.key not in known
    ]


def server_limit_name(governor: str, limit: Limit) -> str:
    """Prefect's global concurrency limit that a limit of a saved governor stands as."""
    # A model's pattern may hold what the names of Prefect's limits may not.
    return limit.share_with or re.sub(r"[/%&<>]", "-", f"governor:{governor}:{limit.name}")


def stop_all() -> None:
    """Put every governor of this process out of work; leases that nobody needs go back."""
    keep()
    for keeper in _keepers:
        keeper.end()
    for keeper in _keepers:
        keeper.stop()
    _forget()


def _forget() -> None:
    _drawn.clear()
    for teller in _tellers.values():
        teller.close()
    _tellers.clear()
    for publisher in _publishers.values():
        publisher.close()
    _publishers.clear()
    _keepers.clear()
    _runtimes.clear()
    _by_name.clear()


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()
    for keeper in _keepers:
        keeper.forget()
    _forget()


# Registered after the desks' own, so that it runs before them: keepers write through desks.
atexit.register(stop_all)
os.register_at_fork(after_in_child=_after_fork)
