"""The lifecycle follows the record of copies: whatever changed there since the last look becomes due for SciCat.

Here: which records are concerned, which copies are theirs, and putting their statement into the outbox. Not here: the statement itself
(``lifecycle``) and its delivery.
"""

from __future__ import annotations

from collections.abc import Sequence

from als_assets.catalogue.lifecycle import Standing, standing_of
from als_assets.facility import ExportGate, Facility
from als_assets.ledger import Ledger, OutboxKind, OutboxRow, Replica
from als_assets.ledger.products import RAW, TIFF, ZARR


def follow_copies(facility: Facility, ledger: Ledger, gate: ExportGate, since: int = 0) -> tuple[int, int]:
    """Enqueue what SciCat must be told about copies that changed after row ``since`` of the audit.

    Returns how many records are concerned, and the row to pass at the next look. Scans that must stay are left alone.
    """
    keys, newest = ledger.outbox.moved_since(since)
    due = 0
    for key in keys:
        if not gate.may_leave(key, facility.scicat.site).may_leave:
            continue
        for row in ledger.outbox.written(key):
            due += tell(ledger, row, standing_of_row(facility, ledger, row))
    return due, newest


def standing_of_row(facility: Facility, ledger: Ledger, row: OutboxRow) -> Standing:
    """Where the data of a written record is now."""
    return standing_of(facility, ledger.datasets.get(row.dataset_key), row.pid, copies_behind(ledger, row))


def copies_behind(ledger: Ledger, row: OutboxRow) -> Sequence[Replica]:
    """The copies that a record is about."""
    if row.kind is OutboxKind.RAW:
        return ledger.replicas.of(row.dataset_key, product=RAW)
    return [r for product in (TIFF, ZARR) for r in ledger.replicas.of(row.dataset_key, product=product, variant=row.variant)]


def tell(ledger: Ledger, row: OutboxRow, standing: Standing, *, anew: bool = False) -> bool:
    """Enqueue the statement unless it is what was told since the record was written; ``anew`` in any case. Whether it was enqueued."""
    body = standing.to_json()
    last = ledger.outbox.newest(row.pid, OutboxKind.LIFECYCLE)
    if last is not None and last.body == body and not anew:
        told_before = last.done_at is not None and last.id < row.id  # what belongs to one scan is written in the order of the rows
        if not told_before:
            return False
    ledger.outbox.enqueue(row.pid, row.dataset_key, OutboxKind.LIFECYCLE, body, row.variant)
    return True
