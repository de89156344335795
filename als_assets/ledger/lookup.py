"""Rows that must be there: found inside a transaction, or a named error instead of one of the database's own.

Here: two functions. Not here: queries that may find nothing.
"""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy.orm import Session

from als_assets.errors import DatasetUnknown, LedgerError
from als_assets.ledger.models import Base, Dataset

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
