"""Which ledger a command is about."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.work.ledgers import home_of, open_store
from prefect_governor.flows.cli.terminal.terminal import say


@dataclass(frozen=True)
class Where:
    """A ledger: `url` of one on PostgreSQL, a secret; `place` says where it is without one."""

    url: str | None
    place: str


def find_ledger(governor: str | None) -> Where:
    """The ledger of a saved governor; without one, that of governors which name none.

    Raises ConfigurationError.
    """
    url = None if governor is None else _url_of(governor)
    return Where(url, home_of(url))


@contextmanager
def opened(where: Where) -> Iterator[Store]:
    """The ledger, closed at the end. Raises ConfigurationError where there is none yet."""
    store = open_store(where.url)
    if store is None:
        raise ConfigurationError(
            f"there is no ledger in {where.place} yet: the first call of a governor makes it. For"
            " that of other processes set PREFECT_HOME, PREFECT_GOVERNOR_LEDGER_URL or --governor"
        )
    try:
        yield store
    finally:
        store.close()


def _url_of(governor: str) -> str | None:
    from prefect_governor.blocks.documents.documents import define, find
    from prefect_governor.blocks.terms.governor import GovernorTerms
    from prefect_governor.blocks.work.registry import ledger_url_of
    from prefect_governor.flows.server.server import ensure_server, use_server

    use_server(ensure_server(on_progress=say))
    document = find(GovernorTerms, governor)
    if document is None:
        raise ConfigurationError(f"no Governor block is saved as {governor!r}")
    return ledger_url_of(define(document).governor)
