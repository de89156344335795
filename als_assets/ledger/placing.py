"""Where scans shall be computed: what staff pinned, and the scans that wait until a site can take them.

Here: rows of pins and of waiting scans, each with its reason. Not here: the decision (``compute.routing``) and launching.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import sqlalchemy as sa

from als_assets.ledger.audit import AuditTrail
from als_assets.ledger.database import reading, writing
from als_assets.ledger.job_models import Pin, Waiting


class Placing:
    def __init__(self, engine: sa.Engine, audit: AuditTrail, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._audit = audit
        self._clock = clock

    def pin(self, dataset_key: str, site: str, *, who: str, reason: str) -> Pin:
        """The scan is computed at this site and nowhere else, until it is unpinned."""
        with writing(self._engine) as session:
            row = session.merge(Pin(dataset_key=dataset_key, site=site, who=who, reason=reason, at=self._clock()))
            why = f"{who} pinned it: {reason}"
            self._audit.add(session, f"pin of {dataset_key}", dataset_key=dataset_key, after=site, why=why, who=who)
        return row

    def unpin(self, dataset_key: str, *, who: str) -> bool:
        """Whether there was a pin to remove."""
        with writing(self._engine) as session:
            row = session.get(Pin, dataset_key)
            if row is None:
                return False
            session.delete(row)
            self._audit.add(session, f"pin of {dataset_key}", dataset_key=dataset_key, before=row.site, why=f"{who} removed it", who=who)
        return True

    def pin_of(self, dataset_key: str) -> Pin | None:
        with reading(self._engine) as session:
            return session.get(Pin, dataset_key)

    def hold(self, dataset_key: str, why: str, until: datetime | None) -> None:
        """The reconstruction waits; ``since`` stays that of the first time."""
        with writing(self._engine) as session:
            row = session.get(Waiting, dataset_key)
            if row is None:
                session.add(Waiting(dataset_key=dataset_key, since=self._clock(), why=why, until=until))
                self._audit.add(session, f"reconstruction of {dataset_key}", dataset_key=dataset_key, after="held", why=why)
            else:
                row.why, row.until = why, until

    def release(self, dataset_key: str, why: str) -> None:
        """The reconstruction was launched (or is not wanted any more)."""
        with writing(self._engine) as session:
            row = session.get(Waiting, dataset_key)
            if row is not None:
                session.delete(row)
                self._audit.add(session, f"reconstruction of {dataset_key}", dataset_key=dataset_key, before="held", why=why)

    def waiting(self, limit: int | None = None) -> Sequence[Waiting]:
        """The longest waiting first."""
        with reading(self._engine) as session:
            return session.scalars(sa.select(Waiting).order_by(Waiting.since, Waiting.dataset_key).limit(limit)).all()

    def waits(self, dataset_key: str) -> Waiting | None:
        with reading(self._engine) as session:
            return session.get(Waiting, dataset_key)
