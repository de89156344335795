"""Rows that must be there: found inside a transaction, or a named error instead of one of the database's own; and the newest number.

Here: four functions. Not here: other queries that may find nothing.
"""

from __future__ import annotations

from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from als_assets.errors import DatasetUnknown, LedgerError
from als_assets.ledger.models import Base, Dataset, Operation, Replica
from als_assets.ledger.products import RAW

Row = TypeVar("Row", bound=Base)


def dataset(session: Session, key: str) -> Dataset:
    """Raises DatasetUnknown."""
    row = session.get(Dataset, key)
    if row is None:
        raise DatasetUnknown(f"No scan with the key '{key}' is known.", next_step="Look for it with: als scan list, or announce its file.")
    return row


def numbered(session: Session, model: type[Row], number: int) -> Row:
    """The row of a table by its number. Raises LedgerError."""
    row = session.get(model, number)
    if row is None:
        raise LedgerError(
            f"The record has no {model.__name__.lower()} with the number {number}.",
            next_step="Reload the page, or look at the scan it belongs to with: als scan show",
        )
    return row


def newest_operation(session: Session, dataset_key: str) -> int:
    """The number of the newest operation about a scan, 0 where there was none. Numbers only grow, whatever the clock does."""
    with session.no_autoflush:  # the audit asks the session what a change is about to write
        return session.scalar(sa.select(sa.func.max(Operation.id)).filter_by(dataset_key=dataset_key)) or 0


def raw_sha256(session: Session, dataset_key: str) -> str | None:
    """The SHA-256 of a scan's raw file, by whichever copy it is known, also one that is gone or in doubt: raw files never change."""
    known = sa.select(Replica.sha256).filter_by(dataset_key=dataset_key, product=RAW).where(Replica.sha256.is_not(None))
    with session.no_autoflush:
        return session.scalar(known.order_by(Replica.id).limit(1))
