"""The audit: append-only rows that say who changed what, when and why.

Here: writing a row inside the transaction of the change, and reading rows. Not here: changing or deleting rows, ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from als_assets.ledger.database import reading, writing
from als_assets.ledger.models import Audit


class AuditTrail:
    def __init__(self, engine: sa.Engine, who: str, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._who = who
        self._clock = clock

    @contextmanager
    def signed_by(self, who: str | None) -> Iterator[None]:
        """Inside the block somebody else signs; None changes nothing."""
        before, self._who = self._who, who or self._who
        try:
            yield
        finally:
            self._who = before

    def add(
        self,
        session: Session,
        subject: str,
        *,
        why: str,
        dataset_key: str | None = None,
        before: str | None = None,
        after: str | None = None,
        evidence: dict[str, Any] | None = None,
        record: dict[str, Any] | None = None,
        who: str | None = None,
    ) -> None:
        """Add a row to the transaction that makes the change, so that neither is without the other."""
        row = Audit(at=self._clock(), who=who or self._who, dataset_key=dataset_key, subject=subject)
        row.before, row.after, row.why, row.evidence, row.record = before, after, why, evidence or {}, record
        session.add(row)

    def note(
        self,
        subject: str,
        *,
        why: str,
        dataset_key: str | None = None,
        evidence: dict[str, Any] | None = None,
        who: str | None = None,
    ) -> None:
        """A row of its own, for a decision that changes no table."""
        with writing(self._engine) as session:
            self.add(session, subject, why=why, dataset_key=dataset_key, evidence=evidence, who=who)

    def of(self, dataset_key: str, limit: int = 500) -> Sequence[Audit]:
        """The newest ``limit`` rows about a dataset, newest first."""
        with reading(self._engine) as session:
            query = sa.select(Audit).where(Audit.dataset_key == dataset_key).order_by(Audit.id.desc()).limit(limit)
            return session.scalars(query).all()
