"""Requests that were in a transaction which one row has failed: done apart from all others, until
the one that is at fault stands alone."""

from collections.abc import Iterator

from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.request import Request, as_unavailable


class Apart:
    """In the order in which they came; the one at fault again and again, if it must happen."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store, self._owner = store, owner
        self._requests: list[Request] = []

    def __iter__(self) -> Iterator[Request]:
        return iter(self._requests)

    def append(self, request: Request) -> None:
        self._requests.append(request)

    def catch_up(self) -> None:
        """Do and answer them."""
        pending, self._requests = self._requests, []
        self._do(pending)

    def _do(self, requests: list[Request]) -> bool:
        """Do them in one transaction; where a row of theirs fails it, each half in its own. False
        where the ledger fails."""
        if not requests:
            return True
        try:
            with self._store.transaction() as rows:
                batch = Batch(rows, self._owner)
                batch.foresee(each.call_id for each in requests if each.call_id is not None)
                for each in requests:
                    each.do(batch)
                batch.write()
        except LedgerUnavailable:
            self._requests += requests
            return False
        except Exception as error:
            return self._apart(requests, error)
        for each in requests:
            each.answer()
        return True

    def _apart(self, requests: list[Request], error: Exception) -> bool:
        half = len(requests) // 2
        if not half:
            (request,) = requests
            request.fail(as_unavailable(error))
            if request.must_happen:
                self._requests.append(request)
            return True
        if self._do(requests[:half]):
            return self._do(requests[half:])
        self._requests += requests[half:]
        return False
