"""The rows of one SQLite transaction: what is spent, and by whom."""

from collections.abc import Iterable

from prefect_governor.blocks.ledger.decision.admission import Gate, Purse, Reservation
from prefect_governor.blocks.ledger.decision.store import NewReservation
from prefect_governor.blocks.ledger.sqlite.ended import EndedRows
from prefect_governor.blocks.ledger.sqlite.values import (
    PURSE_FIGURES,
    gate_row,
    gates_text,
    meters_text,
    purses_text,
    tags_text,
    to_account,
    to_gate,
    to_meters,
    to_purse,
    to_reservation,
)
from prefect_governor.blocks.limits.rates import RateMeter
from prefect_governor.blocks.machine.text import storable
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.limits import LimitRecord

_PURSE = f"SELECT {', '.join(PURSE_FIGURES)} FROM purses WHERE account = ? AND label = ?"
_PUT_PURSE = (
    f"INSERT OR REPLACE INTO purses (account, label, {', '.join(PURSE_FIGURES)})"
    f" VALUES (?, ?{', ?' * len(PURSE_FIGURES)})"
)
_ADD_RESERVATION = (
    "INSERT INTO reservations (call_id, owner, state, bound_nano, bound_input_tokens,"
    " bound_output_tokens, accounts, gates, created_wall, observed, request_id, flow, deployment,"
    " flow_run_id, task, task_run_id, tags, model, user, label, run_id, item)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_PUT_RESERVATION = (
    "UPDATE reservations SET state = ?, reason = ?, observed = ?, spent_nano = ?,"
    " input_tokens = ?, output_tokens = ?, cached_input_tokens = ?, resolved_wall = ?"
    " WHERE call_id = ?"
)
_PUT_GATE = (
    "UPDATE limits SET in_flight = ?, max_in_flight = ?, throttled = ?, hold_until = ?,"
    " meters = ?, adaptive = ? WHERE key = ?"
)
# Fewer values than any SQLite takes in one statement.
_MOST_IDS = 500


class SQLiteRows(EndedRows):
    """See `store.Rows`."""

    def account(self, key: str) -> tuple[Account, str | None] | None:
        def read() -> tuple[Account, str | None] | None:
            row = self._one("SELECT * FROM accounts WHERE key = ?", key)
            return None if row is None else (to_account(row), row["last_label"])

        return self._memory.get("accounts", key, read)

    def put_account(self, account: Account) -> None:
        self._memory.forget("accounts", account.key)
        self._db.execute(
            "INSERT INTO accounts (key, name, ceiling_nano, ceiling_tokens, window, time_zone,"
            " version) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
            " last_label = CASE WHEN window = excluded.window THEN last_label END,"
            " name = excluded.name, ceiling_nano = excluded.ceiling_nano,"
            " ceiling_tokens = excluded.ceiling_tokens, window = excluded.window,"
            " time_zone = excluded.time_zone, version = excluded.version",
            (
                account.key,
                storable(account.name),
                account.ceiling_nano,
                account.ceiling_tokens,
                account.window,
                account.time_zone,
                account.version,
            ),
        )

    def put_label(self, key: str, label: str) -> None:
        self._memory.forget("accounts", key)
        self._db.execute("UPDATE accounts SET last_label = ? WHERE key = ?", (label, key))

    def purse(self, account: Account, label: str) -> Purse:
        row = self._memory.get(
            "purses",
            (account.key, label),
            lambda: self._one(_PURSE, account.key, label),
        )
        return to_purse(account, label, row)

    def put_purse(self, purse: Purse) -> None:
        figures = {name: getattr(purse, name) for name in PURSE_FIGURES}
        self._db.execute(_PUT_PURSE, (purse.account, purse.label, *figures.values()))
        self._memory.put("purses", (purse.account, purse.label), figures)

    def terms(self, key: str) -> LimitRecord | None:
        row = self._one("SELECT * FROM limits WHERE key = ?", key)
        if row is None:
            return None
        rates = tuple(meter.rate for meter in to_meters(row["meters"]))
        adaptive = row["adaptive"] is not None
        return LimitRecord(
            key, row["name"], row["max_concurrent"], rates, bool(row["leased"]), adaptive
        )

    def put_terms(self, terms: LimitRecord) -> None:
        self._memory.forget("limits", terms.key)
        row = self._one("SELECT meters FROM limits WHERE key = ?", terms.key)
        known = [] if row is None else to_meters(row["meters"])
        # What was taken counts under the new amount too: the provider has not forgotten it.
        kept = {(meter.rate.meter, meter.rate.window_seconds): meter.taken for meter in known}
        meters = [
            RateMeter(rate, kept.get((rate.meter, rate.window_seconds), {})) for rate in terms.rates
        ]
        self._db.execute(
            "INSERT INTO limits (key, name, max_concurrent, leased, in_flight, max_in_flight,"
            " throttled, hold_until, meters, adaptive) VALUES (?, ?, ?, ?, 0, 0, 0, 0, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET name = excluded.name,"
            " max_concurrent = excluded.max_concurrent, leased = excluded.leased,"
            " meters = excluded.meters, adaptive = CASE WHEN excluded.adaptive IS NOT NULL"
            " THEN COALESCE(limits.adaptive, excluded.adaptive) END",
            (
                terms.key,
                storable(terms.name),
                terms.max_concurrent,
                terms.leased,
                meters_text(meters),
                "{}" if terms.adaptive else None,
            ),
        )

    def gate(self, key: str) -> Gate | None:
        row = self._memory.get("limits", key, lambda: gate_row(self._db, key, self.now))
        if row is not None and row["leased"]:
            # By the next transaction a lease may be over.
            self._memory.forget("limits", key)
        return None if row is None else to_gate(row)

    def put_gate(self, gate: Gate) -> None:
        figures = {
            "in_flight": gate.in_flight,
            "max_in_flight": gate.max_in_flight,
            "throttled": gate.throttled,
            "hold_until": gate.hold_until,
            "meters": meters_text(gate.meters),
            "adaptive": None if gate.upstream is None else gate.upstream.to_text(),
        }
        self._db.execute(_PUT_GATE, (*figures.values(), gate.key))
        if (known := self._memory.known("limits", gate.key)) is not None:
            self._memory.put("limits", gate.key, {**dict(known), **figures})

    def put_server_limit(self, key: str, slots: int | None) -> None:
        self._memory.forget("limits", key)
        self._db.execute("UPDATE limits SET server_limit = ? WHERE key = ?", (slots, key))

    def reservations(self, call_ids: Iterable[str]) -> dict[str, Reservation]:
        wanted, found = list(dict.fromkeys(call_ids)), {}
        for start in range(0, len(wanted), _MOST_IDS):
            some = wanted[start : start + _MOST_IDS]
            rows = self._db.execute(
                "SELECT call_id, bound_nano, bound_input_tokens, bound_output_tokens, accounts,"
                " gates, state, reason, observed FROM reservations"
                f" WHERE call_id IN (?{', ?' * (len(some) - 1)})",
                some,
            )
            for row in rows:
                found[row["call_id"]] = to_reservation(row)
        return found

    def add_reservations(self, added: Iterable[NewReservation]) -> None:
        self._db.executemany(_ADD_RESERVATION, [self._new(each) for each in added])

    def put_reservations(self, changed: Iterable[Reservation]) -> None:
        self._db.executemany(_PUT_RESERVATION, [self._resolved(each) for each in changed])

    def remove_reservations(self, call_ids: Iterable[str]) -> None:
        self._db.executemany(
            "DELETE FROM reservations WHERE call_id = ?", [(each,) for each in call_ids]
        )

    def open_reservations(self, owner: str) -> list[str]:
        rows = self._db.execute(
            "SELECT call_id FROM reservations WHERE owner = ? AND state = 'reserved'", (owner,)
        )
        return [row["call_id"] for row in rows]

    def _new(self, new: NewReservation) -> tuple[object, ...]:
        reservation, who = new.reservation, new.who
        bound = reservation.bound
        return (
            reservation.call_id,
            new.owner,
            reservation.state,
            bound.nano,
            bound.input_tokens,
            bound.output_tokens,
            purses_text(reservation.purses),
            gates_text(reservation.gates),
            self.now.wall,
            reservation.observed,
            new.request_id,
            who.flow,
            who.deployment,
            who.flow_run_id,
            who.task,
            who.task_run_id,
            tags_text(who.tags),
            who.model,
            who.user,
            who.label,
            who.run_id,
            who.item,
        )

    def _resolved(self, reservation: Reservation) -> tuple[object, ...]:
        usage = reservation.usage
        figures = (
            (None, None, None, None)
            if usage is None
            else (usage.nano, usage.input_tokens, usage.output_tokens, usage.cached_input_tokens)
        )
        return (
            reservation.state,
            reservation.reason,
            reservation.observed,
            *figures,
            self.now.wall,
            reservation.call_id,
        )
