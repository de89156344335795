"""The outbox in the record: what SciCat shall hold, kept until it does, so that no outage of SciCat loses or delays anything else.

Here: rows and their four ways (enqueued, delayed, parked, done), and what is due. Not here: writing to SciCat
(``catalogue.delivery``) and what a record says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from als_assets.ledger import lookup
from als_assets.ledger.audit import AuditTrail
from als_assets.ledger.database import reading, writing
from als_assets.ledger.models import Audit, OutboxRow
from als_assets.ledger.states import OutboxKind

FIRST_DELAY = timedelta(seconds=15)
LONGEST_DELAY = timedelta(minutes=2)
_RECORDS = (OutboxKind.RAW, OutboxKind.DERIVED)
_OPEN = OutboxRow.done_at.is_(None)
_WAITING = sa.and_(_OPEN, OutboxRow.next_try_at.is_not(None))


class Outbox:
    def __init__(self, engine: sa.Engine, audit: AuditTrail, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._audit = audit
        self._clock = clock

    def enqueue(self, pid: str, dataset_key: str, kind: OutboxKind, body: dict[str, Any], variant: str = "") -> OutboxRow:
        """SciCat shall hold this. It is due at once; an open row with the same pid and kind takes the new body and keeps its place."""
        now = self._clock()
        with writing(self._engine) as session:
            row = session.scalar(sa.select(OutboxRow).where(_OPEN, OutboxRow.pid == pid, OutboxRow.kind == kind))
            if row is None:
                row = OutboxRow(pid=pid, dataset_key=dataset_key, kind=kind, enqueued_at=now, outcome={})
                session.add(row)
            row.body, row.variant, row.changed_at = body, variant, now
            row.next_try_at, row.attempts, row.last_error = now, 0, None
            row.after_operation = lookup.newest_operation(session, dataset_key)
        return row

    def delay(self, row_id: int, why: str) -> OutboxRow:
        """SciCat was not there: later again, each time after a longer pause."""
        with writing(self._engine) as session:
            row = session.get_one(OutboxRow, row_id)
            pause = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(row.attempts, 10))
            row.attempts, row.last_error, row.next_try_at = row.attempts + 1, why, self._clock() + pause
        return row

    def delay_all(self, until: datetime) -> None:
        """Nothing that waits is tried before then: where SciCat did not answer one, it does not answer the others."""
        with writing(self._engine) as session:
            session.execute(sa.update(OutboxRow).where(_WAITING, OutboxRow.next_try_at < until).values(next_try_at=until))

    def park(self, row_id: int, why: str) -> OutboxRow:
        """SciCat refused it: repeating it would be refused again, so it stays open and is not tried until it is enqueued anew."""
        with writing(self._engine) as session:
            row = session.get_one(OutboxRow, row_id)
            row.attempts, row.last_error, row.next_try_at = row.attempts + 1, why, None
        return row

    def done(self, row: OutboxRow, outcome: dict[str, Any]) -> bool:
        """SciCat holds it. False where a newer body came meanwhile: the row stays open for that one.

        Of what was written before under the same pid and kind only this row is kept, and of a record only its receipt.
        """
        with writing(self._engine) as session:
            fresh = session.get_one(OutboxRow, row.id)
            if fresh.done_at is None and fresh.changed_at != row.changed_at:
                return False
            fresh.done_at, fresh.outcome, fresh.last_error, fresh.next_try_at = self._clock(), outcome, None, None
            if fresh.kind in _RECORDS:
                fresh.body = {}
                why = f"SciCat holds the {row.kind} record"
                self._audit.add(session, row.pid, dataset_key=row.dataset_key, after="catalogued", why=why)
            same = sa.and_(OutboxRow.pid == row.pid, OutboxRow.kind == row.kind, OutboxRow.id != row.id)
            session.execute(sa.delete(OutboxRow).where(same, OutboxRow.done_at.is_not(None)))
        return True

    def get(self, row_id: int) -> OutboxRow:
        with reading(self._engine) as session:
            return session.get_one(OutboxRow, row_id)

    def due(self, limit: int) -> Sequence[OutboxRow]:
        """What is to be tried now, in the order in which it was first enqueued."""
        return self._all(sa.and_(_WAITING, OutboxRow.next_try_at <= self._clock()), limit)

    def open_rows(self, dataset_key: str | None = None) -> Sequence[OutboxRow]:
        """What SciCat does not hold yet, waiting or refused, oldest first."""
        return self._all(_OPEN if dataset_key is None else sa.and_(_OPEN, OutboxRow.dataset_key == dataset_key))

    def resting_until(self) -> datetime | None:
        """When the first of what SciCat did not take is tried again; None where nothing was tried in vain."""
        with reading(self._engine) as session:
            return session.scalar(sa.select(sa.func.min(OutboxRow.next_try_at)).where(_WAITING, OutboxRow.attempts > 0))

    def summary(self) -> tuple[int, int, str | None]:
        """How many wait, how many were refused, and why the oldest waits. Bodies are not read: in a long outage they are many."""
        with reading(self._engine) as session:
            count = sa.select(sa.func.count()).select_from(OutboxRow)
            waiting = session.scalar(count.where(_WAITING)) or 0
            refused = session.scalar(count.where(_OPEN, OutboxRow.next_try_at.is_(None))) or 0
            why = sa.select(OutboxRow.last_error).where(_WAITING, OutboxRow.last_error.is_not(None)).order_by(OutboxRow.id).limit(1)
            return waiting, refused, session.scalar(why)

    def refused(self) -> Sequence[OutboxRow]:
        """What SciCat refused and a person must look at."""
        return self._all(sa.and_(_OPEN, OutboxRow.next_try_at.is_(None)))

    def ahead_of(self, row: OutboxRow) -> Sequence[OutboxRow]:
        """What waits before this row and is about the same dataset: it must be written first."""
        return self._all(sa.and_(_WAITING, OutboxRow.dataset_key == row.dataset_key, OutboxRow.id < row.id))

    def written(self, dataset_key: str | None = None) -> Sequence[OutboxRow]:
        """The records (raw and derived) that SciCat holds, by their receipts."""
        done = sa.and_(OutboxRow.done_at.is_not(None), OutboxRow.kind.in_(_RECORDS))
        return self._all(done if dataset_key is None else sa.and_(done, OutboxRow.dataset_key == dataset_key))

    def newest(self, pid: str, kind: OutboxKind) -> OutboxRow | None:
        """The open row, else the one that was written last."""
        with reading(self._engine) as session:
            query = sa.select(OutboxRow).filter_by(pid=pid, kind=kind).order_by(OutboxRow.done_at.is_not(None), OutboxRow.id.desc())
            return session.scalar(query.limit(1))

    def moved_since(self, number: int) -> tuple[list[str], int]:
        """Datasets with a record in SciCat of which the audit tells anything after its row ``number``, and its newest row. By numbers: a
        clock may be set back, and what happened then must be told too."""
        with reading(self._engine) as session:
            newest = session.scalar(sa.select(sa.func.max(Audit.id))) or 0  # first: what comes meanwhile is looked at again
            recorded = sa.select(OutboxRow.dataset_key).where(OutboxRow.kind.in_(_RECORDS), OutboxRow.done_at.is_not(None))
            moved = sa.select(Audit.dataset_key).where(Audit.id > number, Audit.dataset_key.in_(recorded)).distinct()
            return sorted(key for key in session.scalars(moved) if key is not None), newest

    def _all(self, condition: sa.ColumnElement[bool], limit: int | None = None) -> Sequence[OutboxRow]:
        with reading(self._engine) as session:
            return _ordered(session, condition, limit)


def _ordered(session: Session, condition: sa.ColumnElement[bool], limit: int | None) -> Sequence[OutboxRow]:
    query = sa.select(OutboxRow).where(condition).order_by(OutboxRow.id)
    return session.scalars(query if limit is None else query.limit(limit)).all()
