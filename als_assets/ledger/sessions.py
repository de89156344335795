"""Sessions of live services: at most one that has not ended for each beamline, with the jobs that serve it.

Here: rows of sessions and the lock that makes them one. Not here: what a session does at a site (``compute.streaming``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from als_assets.errors import HeldElsewhere
from als_assets.ledger.audit import AuditTrail
from als_assets.ledger.database import reading, writing
from als_assets.ledger.job_models import ServiceSession


class Sessions:
    def __init__(self, engine: sa.Engine, audit: AuditTrail, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._audit = audit
        self._clock = clock

    def open(self, new: ServiceSession) -> ServiceSession:
        """The intent, on record before anything is asked for. Raises HeldElsewhere while the beamline has a session."""
        with writing(self._engine) as session:
            other = session.scalar(sa.select(ServiceSession).filter_by(beamline=new.beamline, ended_at=None))
            if other is not None:
                raise HeldElsewhere(
                    f"{new.beamline} has a live session already: {other.id} at {other.site} ({other.state}), started by {other.who}.",
                    next_step="Use that session, or stop it first: als stream stop",
                    holder=other.id,
                )
            session.add(new)
            self._audit.add(session, f"session {new.id}", after=new.state, why=f"{new.who} started it", who=new.who)
        return new

    def change(self, session_id: str, state: str | None = None, *, why: str = "", **values: Any) -> ServiceSession:
        """Set columns; a new ``state`` (or the end) is written into the audit. An ended session stays as it is."""
        with writing(self._engine) as session:
            row = session.get_one(ServiceSession, session_id)
            if row.ended_at is not None:
                return row
            if state is not None and state != row.state:
                self._audit.add(session, f"session {row.id}", before=row.state, after=state, why=why)
                row.state = state
            for name, value in values.items():
                setattr(row, name, value)
        return row

    def get(self, session_id: str) -> ServiceSession:
        with reading(self._engine) as session:
            return session.get_one(ServiceSession, session_id)

    def live(self, beamline: str | None = None) -> Sequence[ServiceSession]:
        with reading(self._engine) as session:
            query = sa.select(ServiceSession).filter_by(ended_at=None).order_by(ServiceSession.created_at)
            return session.scalars(query if beamline is None else query.filter_by(beamline=beamline)).all()

    def ended_since(self, moment: datetime) -> Sequence[ServiceSession]:
        """Those that ended after the moment, the newest first."""
        with reading(self._engine) as session:
            query = sa.select(ServiceSession).where(ServiceSession.ended_at > moment)
            return session.scalars(query.order_by(ServiceSession.ended_at.desc())).all()

    def last(self, beamline: str) -> ServiceSession | None:
        with reading(self._engine) as session:
            query = sa.select(ServiceSession).filter_by(beamline=beamline).order_by(ServiceSession.created_at.desc()).limit(1)
            return session.scalar(query)
