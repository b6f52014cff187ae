"""Rows of the audit that say again what another says."""

from collections.abc import Iterable

from prefect_governor.blocks.records.notices import Audit

_BY_COMMAND = ("raised", "lowered")
# A document is written, and the ledger told of it, within so much.
_ECHO_NS = 60 * 10**9


def without_echoes(rows: Iterable[Audit]) -> tuple[Audit, ...]:
    """The rows without the edits that a `budget raise` or `lower` made of a document. Pure."""
    found = tuple(rows)
    said = [(row.subject, row.after, row.wall) for row in found if row.action in _BY_COMMAND]
    return tuple(
        row
        for row in found
        if row.action != "edited"
        or not any(
            subject == row.subject and after == row.after and abs(wall - row.wall) < _ECHO_NS
            for subject, after, wall in said
        )
    )
