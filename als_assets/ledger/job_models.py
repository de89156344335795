"""The tables about jobs: what schedulers said last, how the sites are, where a scan shall be computed, and service sessions.

Here: columns and keys (the alembic migration 0004 creates the same). Not here: the operations themselves (``models``) and the
writing of rows (``watching``, ``placing``, ``sessions``).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from als_assets.ledger.models import Base


class JobView(Base):
    """What the scheduler of a site said last of a job that somebody follows. ``view`` is None while the scheduler does not know it,
    which is so since ``missing_since``; ``seen_at`` is None before the first answer. ``over``: that was its last word."""

    __tablename__ = "job_views"
    site: Mapped[str] = mapped_column(String(40), primary_key=True)
    job_id: Mapped[str] = mapped_column(primary_key=True)
    wanted_at: Mapped[datetime]
    seen_at: Mapped[datetime | None]
    view: Mapped[dict[str, Any] | None]
    missing_since: Mapped[datetime | None]
    over: Mapped[bool]


class SiteTick(Base):
    """When a site was last asked about jobs, by whom, and whether it answered (``problem`` is empty then)."""

    __tablename__ = "site_ticks"
    site: Mapped[str] = mapped_column(String(40), primary_key=True)
    asked_at: Mapped[datetime]
    problem: Mapped[str]


class SiteState(Base):
    """How a site was when it was last asked. Kept so that many decisions cost one question."""

    __tablename__ = "site_states"
    site: Mapped[str] = mapped_column(String(40), primary_key=True)
    asked_at: Mapped[datetime]
    ok: Mapped[bool]
    sentence: Mapped[str]
    outage_from: Mapped[datetime | None]
    outage_to: Mapped[datetime | None]
    credential_ends: Mapped[datetime | None]


class Pin(Base):
    """Staff said where a scan shall be computed."""

    __tablename__ = "pins"
    dataset_key: Mapped[str] = mapped_column(ForeignKey("datasets.key"), primary_key=True)
    site: Mapped[str] = mapped_column(String(40))
    who: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str]
    at: Mapped[datetime]


class Waiting(Base):
    """A scan whose reconstruction is held because no site can take it now."""

    __tablename__ = "waiting"
    dataset_key: Mapped[str] = mapped_column(ForeignKey("datasets.key"), primary_key=True)
    since: Mapped[datetime]
    until: Mapped[datetime | None]
    why: Mapped[str]


class ServiceSession(Base):
    """One live reconstruction service of a beamline: a job that is there for a time, not for a result."""

    __tablename__ = "service_sessions"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    beamline: Mapped[str] = mapped_column(String(40), index=True)
    site: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(20), index=True)
    who: Mapped[str] = mapped_column(String(200))
    sentence: Mapped[str]
    log_dir: Mapped[str]
    jobs: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    ends_at: Mapped[datetime | None]
    stop_asked_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    __table_args__ = (
        Index(
            "one_live_session_per_beamline",
            "beamline",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )
