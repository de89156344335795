"""Holds: somebody said keep, for one dataset or a whole proposal, and that wins over every policy.

Here: placing, extending, releasing, and asking whether one is in force. Not here: the policies that holds win over (``retention``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import sqlalchemy as sa

from als_assets.errors import LedgerError
from als_assets.ledger import lookup
from als_assets.ledger.audit import AuditTrail
from als_assets.ledger.database import reading, writing
from als_assets.ledger.models import Dataset, Hold


class Holds:
    def __init__(self, engine: sa.Engine, audit: AuditTrail, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._audit = audit
        self._clock = clock

    def place(
        self,
        *,
        who: str,
        reason: str,
        dataset_key: str | None = None,
        proposal: str | None = None,
        until: datetime | None = None,
    ) -> Hold:
        """Keep a dataset or all of a proposal, until then or until released. Raises DatasetUnknown; LedgerError for a day in the
        past, which would hold nothing."""
        if (dataset_key is None) == (proposal is None):
            raise ValueError("name either a dataset or a proposal")
        row = Hold(dataset_key=dataset_key, proposal=proposal, until=until, reason=reason, who=who, created_at=self._clock())
        with writing(self._engine) as session:
            if dataset_key is not None:
                lookup.dataset(session, dataset_key)
            self._require_future(until)
            session.add(row)
            self._audit.add(session, row.subject, dataset_key=dataset_key, after=_words("held", until), why=reason, who=who)
        return row

    def release(self, hold_id: int, *, who: str, reason: str) -> Hold:
        """End a hold. Raises LedgerError."""
        with writing(self._engine) as session:
            row = lookup.numbered(session, Hold, hold_id)
            row.released_at = self._clock()
            self._audit.add(session, row.subject, dataset_key=row.dataset_key, after="hold released", why=reason, who=who)
        return row

    def extend(self, hold_id: int, until: datetime | None, *, who: str, reason: str) -> Hold:
        """Let a hold end at another time (None: not before it is released). Raises LedgerError: unknown, released, or in the past."""
        with writing(self._engine) as session:
            row = lookup.numbered(session, Hold, hold_id)
            if row.released_at is not None:
                raise LedgerError(f"The hold on {row.subject} was released on {row.released_at:%Y-%m-%d}.", next_step="Place a new one.")
            self._require_future(until)
            before, row.until = _words("held", row.until), until
            after = _words("held", until)
            self._audit.add(session, row.subject, dataset_key=row.dataset_key, before=before, after=after, why=reason, who=who)
        return row

    def _require_future(self, until: datetime | None) -> None:
        if until is not None and until <= self._clock():
            raise LedgerError(f"A hold until {until:%Y-%m-%d %H:%M} UTC would hold nothing: that is past.", next_step="Give a later day.")

    def in_force(self) -> Sequence[Hold]:
        """Every hold that keeps something now, oldest first."""
        with reading(self._engine) as session:
            return session.scalars(sa.select(Hold).where(_in_force(self._clock())).order_by(Hold.id)).all()

    def on(self, dataset: Dataset) -> Hold | None:
        """The hold in force on a dataset, if any."""
        with reading(self._engine) as session:
            covers = Hold.dataset_key == dataset.key
            if dataset.proposal:
                covers = sa.or_(covers, Hold.proposal == dataset.proposal)
            return session.scalar(sa.select(Hold).where(covers, _in_force(self._clock())).order_by(Hold.id).limit(1))


def _in_force(now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(Hold.released_at.is_(None), sa.or_(Hold.until.is_(None), Hold.until > now))


def _words(what: str, until: datetime | None) -> str:
    return f"{what} until {until:%Y-%m-%d}" if until else what
