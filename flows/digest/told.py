"""What a digest remembers, in the ledger: the answers that it has, and what it has told."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.flows.items.reading import reading_of
from prefect_governor.flows.items.skipped import Skipped
from prefect_governor.flows.items.stream import checked_sources

# What one transaction writes: few enough that calls in flight do not wait for it.
_CHUNK = 500


@dataclass(frozen=True)
class Series:
    """The digests that go on with one another, by the name that they have in a ledger."""

    name: str
    desk: LedgerDesk

    @property
    def _told(self) -> str:
        return f"{self.name}/told"

    def told(self) -> dict[str, str]:
        """What is remembered, by key: the name of the answer that was told."""
        records = self.desk.store.read_items(self._told)
        return {key: answer for (key, _), answer in records.items()}

    def remember(self, answers: Mapping[str, str]) -> None:
        """From now on these are told. Raises LedgerUnavailable; what is written stays so."""
        rows = sorted(answers.items())
        for at in range(0, len(rows), _CHUNK):
            chunk = rows[at : at + _CHUNK]

            def work(batch: Batch, chunk: Sequence[tuple[str, str]] = chunk) -> None:
                for key, answer in chunk:
                    batch.rows.put_item(self._told, key, "", answer)

            self.desk.write(work).result()


def series_desk(governor: str | None) -> LedgerDesk:
    """The desk of the ledger that a run under `governor` writes to. Raises ConfigurationError,
    LedgerUnavailable."""
    from prefect_governor.blocks.governor import resolve
    from prefect_governor.blocks.work.ledgers import desk

    return desk() if governor is None else resolve(governor).runtime.desk


def present_keys(
    sources: Sequence[str], *, folder: str | None, reading: object, told: Collection[str]
) -> set[str]:
    """Of the keys that are told, those that the sources still hold, as items or as what is no item.

    Raises ConfigurationError for sources that are not there at all: what is on a disk that is not
    mounted was not removed.
    """
    if not told:
        return set()
    skipped: list[Skipped] = []
    found = checked_sources(
        sources,
        cwd=folder,
        whole_folders=False,
        skipped=skipped,
        reading=reading_of(reading),
        said=[],
    )
    here = {item.key for item in found} | {each.key for each in skipped}
    return here & {*told}
