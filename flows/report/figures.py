"""What a report needs to know of the ledger: a small protocol, filled by the governor."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class ItemSpend(Protocol):
    """What one task run's calls came to: nano-dollars and tokens billed, calls made."""

    @property
    def usd_nano(self) -> int: ...
    @property
    def input_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...
    @property
    def calls(self) -> int: ...


class Figures(Protocol):
    """The ledger's figures for a run, read when the report is made.

    `items` is by task run id. `budget` has the attributes of `BudgetReport`, `limits` those of
    `LimitsReport`. `notes` are lines that stand in every report (enforcement switched off, ...).
    `expects_calls`: a run whose items made no call is worth a line.
    """

    @property
    def items(self) -> Mapping[str, ItemSpend]: ...
    @property
    def budget(self) -> object: ...
    @property
    def limits(self) -> object: ...
    @property
    def notes(self) -> Sequence[str]: ...
    @property
    def expects_calls(self) -> bool: ...


def context_figures() -> Figures | None:
    """The figures of the governor of the context; None outside any governor."""
    from prefect_governor.blocks.figures.figures import current_figures

    figures: Figures | None = current_figures()
    return figures
