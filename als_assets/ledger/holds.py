"""Holds: somebody said keep, for one dataset or a whole proposal, and that wins over every policy.

Here: placing, releasing, and asking whether one is in force. Not here: the policies that holds win over (``retention``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa

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
        """Keep a dataset or all of a proposal, until then or until released."""
        if (dataset_key is None) == (proposal is None):
            raise ValueError("name either a dataset or a proposal")
        row = Hold(dataset_key=dataset_key, proposal=proposal, until=until, reason=reason, who=who, created_at=self._clock())
        with writing(self._engine) as session:
            session.add(row)
            subject = f"dataset {dataset_key}" if dataset_key else f"proposal {proposal}"
            self._audit.add(session, subject, dataset_key=dataset_key, after="held", why=reason, who=who)
        return row

    def release(self, hold_id: int, *, who: str, reason: str) -> None:
        with writing(self._engine) as session:
            row = session.get_one(Hold, hold_id)
            row.released_at = self._clock()
            subject = f"dataset {row.dataset_key}" if row.dataset_key else f"proposal {row.proposal}"
            self._audit.add(session, subject, dataset_key=row.dataset_key, after="hold released", why=reason, who=who)

    def on(self, dataset: Dataset) -> Hold | None:
        """The hold in force on a dataset, if any."""
        now = self._clock()
        with reading(self._engine) as session:
            covers = Hold.dataset_key == dataset.key
            if dataset.proposal:
                covers = sa.or_(covers, Hold.proposal == dataset.proposal)
            in_force = sa.and_(Hold.released_at.is_(None), sa.or_(Hold.until.is_(None), Hold.until > now))
            return session.scalar(sa.select(Hold).where(covers, in_force).order_by(Hold.id).limit(1))
