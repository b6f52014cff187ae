"""What a machine's ledger has drawn of one ceiling of a budget's window."""

from collections.abc import Callable
from dataclasses import dataclass

from prefect_governor.blocks.draws.store import DrawnRows
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.purse import Purse, PurseKey
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.records.drawn import ASKED, GRANTED, RETURNING, Drawn


@dataclass(frozen=True, slots=True)
class Held:
    """Its figures, in nano-dollars or tokens. `name` is the budget's; `used` what is spent,
    unconfirmed, reserved or set aside of `granted`; `wanted` what a call lacks."""

    name: str
    ceiling: int
    granted: int
    used: int
    wanted: int

    @property
    def spare(self) -> int:
        """What is drawn and not used; negative where more was billed than was drawn."""
        return self.granted - self.used


@dataclass
class Marks:
    """What the ledger keeps of it, in one transaction; `used` is what is used by then."""

    batch: Batch
    key: PurseKey
    meter: str
    used: int = 0

    @property
    def now(self) -> int:
        return self.batch.rows.now.boot

    @property
    def granted(self) -> int:
        return self._get(GRANTED)

    @property
    def returning(self) -> int:
        return self._get(RETURNING)

    @property
    def asked(self) -> int:
        return self._get(ASKED)

    def put(self, names: dict[str, str], value: int) -> int:
        self.batch.rows.put_mark(*self.key, names[self.meter], value)
        return value

    def add(self, names: dict[str, str], value: int) -> int:
        return self.put(names, self._get(names) + value)

    def _get(self, names: dict[str, str]) -> int:
        return self.batch.rows.mark(*self.key, names[self.meter])


class Holding:
    """Reads and changes it.

    Args:
        key: the budget's window.
        meter: "nano" for the ceiling in US dollars, "tokens" for that in tokens.
    """

    def __init__(self, desk: LedgerDesk, key: PurseKey, meter: str) -> None:
        self._desk = desk
        self.key = key
        self.meter = meter

    def read(self) -> Held | None:
        """None where there is no such ceiling, or nothing is drawn of it."""
        known = self._desk.store.read_purse(*self.key)
        return None if known is None else self._of(known[1])

    def change(self, work: Callable[[Marks], int]) -> int:
        """Change what is drawn, in one transaction with what calls do of it."""

        def do(batch: Batch) -> int:
            page = batch.page
            account = page.known_account(self.key[0])
            purse = page.purse(account, self.key[1])
            held = self._of(purse)
            marks = Marks(batch, self.key, self.meter, 0 if held is None else held.used)
            result = work(marks)
            # What is decided after this in the same transaction is decided by it.
            if isinstance(batch.rows, DrawnRows):
                purse.drawing = batch.rows.drawing(account, self.key[1])
            return result

        return self._desk.write(do).result()

    def _of(self, purse: Purse) -> Held | None:
        drawn = self._drawn(purse)
        if self.meter == "nano":
            ceiling = purse.ceiling_nano
            used = purse.gone_nano + purse.reserved_nano + purse.allocated_nano
        else:
            ceiling = purse.ceiling_tokens
            used = purse.gone_tokens + purse.reserved_tokens + purse.allocated_tokens
        if ceiling is None or drawn is None:
            return None
        return Held(purse.name, ceiling, drawn.granted, used, drawn.wanted)

    def _drawn(self, purse: Purse) -> Drawn | None:
        if purse.drawing is None:
            return None
        return purse.drawing.nano if self.meter == "nano" else purse.drawing.tokens
