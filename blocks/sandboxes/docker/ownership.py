"""Whose a container is: it says so in its labels, by which the containers of the dead are found."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from prefect_governor.blocks.ledger.liveness import Process

# What the labels of all of our containers begin with.
LABEL = "prefect-governor"
LEDGER, OWNER = f"{LABEL}.ledger", f"{LABEL}.owner"


@dataclass(frozen=True)
class Ownership:
    """This process, as whoever makes containers.

    Args:
        ledger_id: of the ledger at which the process is known. Only who has the same ledger can
            tell whether it lives: by a lock on the same machine, by a session of PostgreSQL.
        process: the process there.
    """

    ledger_id: str
    process: Process

    @classmethod
    def here(cls) -> "Ownership":
        """By the ledger that this process uses. Raises LedgerUnavailable."""
        from prefect_governor.blocks.work.ledgers import desk

        found = desk()
        return cls(found.store.ledger_id, found.process)

    def labels(self) -> dict[str, str]:
        """What a container of this process is labelled with."""
        return {
            LABEL: "sandbox",
            LEDGER: self.ledger_id,
            OWNER: self.process.id,
            f"{LABEL}.process": f"{os.getpid()}@{socket.gethostname()}",
        }

    def orphaned(self, labels: Mapping[str, str]) -> bool:
        """Whether a container with these labels has an owner who is known to be dead. Of another
        ledger's nothing is known."""
        owner = labels.get(OWNER)
        return (
            labels.get(LEDGER) == self.ledger_id
            and owner is not None
            and owner != self.process.id
            and self.process.is_dead(owner)
        )
