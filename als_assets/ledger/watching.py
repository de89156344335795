"""What schedulers and sites said last, shared by all processes: so that each site is asked by one of them, once in a while, for all.

Here: rows of job views, ticks and site states, and the claim by which one process becomes the one that asks. Not here: asking
(``compute.poller``) and what an answer means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from als_assets.ledger.database import reading, writing
from als_assets.ledger.job_models import JobView, SiteState, SiteTick

# Who follows a job says so again after this time; whose follower is silent for twice as long is not asked about.
INTEREST = timedelta(minutes=2)
# Rows of jobs that nobody follows any more.
KEEP = timedelta(days=1)


@dataclass(frozen=True)
class Seen:
    """A row of the memory: the scheduler's words (None: it did not know the job), and the tick's problem if it could not be asked."""

    view: Mapping[str, Any] | None
    seen_at: datetime | None
    missing_since: datetime | None
    problem: str


class Watching:
    def __init__(self, engine: sa.Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock

    def look(self, site: str, job_id: str, every: timedelta) -> tuple[Seen, bool]:
        """What is known of a job, and whether its site is due to be asked. Makes the job one that is asked about."""
        now = self._clock()
        with reading(self._engine) as session:
            row, tick = session.get(JobView, (site, job_id)), session.get(SiteTick, site)
        if row is None or abs(now - row.wanted_at) > INTEREST:
            self._want(site, job_id, now)
        return _seen(row, tick), not (row is not None and row.over) and _due(tick, now, every)

    def _want(self, site: str, job_id: str, now: datetime) -> None:
        with writing(self._engine) as session:
            row = session.get(JobView, (site, job_id))
            if row is None:
                session.add(JobView(site=site, job_id=job_id, wanted_at=now, seen_at=None, view=None, missing_since=None, over=False))
            else:
                row.wanted_at = now

    def claim(self, site: str, every: timedelta) -> list[str] | None:
        """Become the one who asks a site now: the jobs to ask about, or None because another process was quicker. A claim needs no
        release: whoever dies while asking is followed by the next tick."""
        now = self._clock()
        with writing(self._engine) as session:
            tick = session.get(SiteTick, site)
            if not _due(tick, now, every):
                return None
            if tick is None:
                session.add(SiteTick(site=site, asked_at=now, problem=""))
            else:
                tick.asked_at = now
            session.execute(sa.delete(JobView).where(JobView.site == site, JobView.wanted_at < now - KEEP))
            live = sa.select(JobView.job_id).where(JobView.site == site, JobView.over.is_(False), JobView.wanted_at > now - 2 * INTEREST)
            return list(session.scalars(live.order_by(JobView.job_id)))

    def answered(self, site: str, asked: Sequence[str], views: Mapping[str, tuple[dict[str, Any], bool]]) -> None:
        """Store the answer: job id -> its view and whether that was the last word. What was asked and is absent is missing."""
        now = self._clock()
        with writing(self._engine) as session:
            self._tell(session, site, "")
            for row in session.scalars(sa.select(JobView).where(JobView.site == site, JobView.job_id.in_(asked))):
                row.seen_at = now
                row.view, row.over = views.get(row.job_id, (None, False))
                row.missing_since = None if row.view is not None else row.missing_since or now

    def unanswered(self, site: str, problem: str) -> None:
        """The site could not be asked; everybody who follows a job there reads why."""
        with writing(self._engine) as session:
            self._tell(session, site, problem)

    def _tell(self, session: Session, site: str, problem: str) -> None:
        session.execute(sa.update(SiteTick).filter_by(site=site).values(problem=problem))

    def forget(self, site: str, job_id: str) -> None:
        """The job is over and its report is on record."""
        with writing(self._engine) as session:
            session.execute(sa.delete(JobView).filter_by(site=site, job_id=job_id))

    # --- how the sites are ----------------------------------------------------------------------------------------------

    def note_state(self, state: SiteState) -> None:
        with writing(self._engine) as session:
            session.merge(state)

    def states(self) -> dict[str, SiteState]:
        with reading(self._engine) as session:
            return {row.site: row for row in session.scalars(sa.select(SiteState))}


def _due(tick: SiteTick | None, now: datetime, every: timedelta) -> bool:
    """A tick that lies in the future is due: the clock was set back."""
    return tick is None or tick.asked_at > now or now - tick.asked_at >= every


def _seen(row: JobView | None, tick: SiteTick | None) -> Seen:
    problem = tick.problem if tick is not None else ""
    if row is None:
        return Seen(None, None, None, problem)
    return Seen(row.view, row.seen_at, row.missing_since, "" if row.over else problem)
