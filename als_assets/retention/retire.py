"""Retiring: scans that are old and have nothing left to delete leave the lists; the record keeps everything about them.

Here: which scans those are. Not here: taking them out of Dagster (``defs``) and the mark on the scan (``ledger``).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from als_assets.facility import Facility
from als_assets.facility.retention import Retention
from als_assets.ledger import Dataset, Ledger, Operation, Replica, ReplicaState
from als_assets.ledger.database import reading
from als_assets.ledger.states import OPEN_OPERATIONS

# States in which nothing is, or shall be, at a place.
_NOTHING = (ReplicaState.DELETED, ReplicaState.LOST)


def to_retire(facility: Facility, retention: Retention, ledger: Ledger, beamline: str, now: datetime, limit: int = 200) -> list[str]:
    """Keys of scans admitted more than ``retire_after_days`` ago without a copy at a place with a rule, and without open work; the
    oldest first. One whose copy there is suspect or lies waiting for proof is not among them."""
    disposable = [n for n, place in facility.locations.items() if retention.rule_for(n, place.location_class) is not None]
    left = sa.select(Replica.dataset_key).where(Replica.location.in_(disposable), Replica.state.not_in(_NOTHING))
    busy = sa.select(Operation.dataset_key).where(Operation.state.in_(OPEN_OPERATIONS))
    query = (
        sa.select(Dataset.key)
        .where(Dataset.beamline == beamline, Dataset.retired_at.is_(None))
        .where(Dataset.admitted_at < now - timedelta(days=retention.retire_after_days))
        .where(Dataset.key.not_in(left), Dataset.key.not_in(busy))
        .order_by(Dataset.admitted_at, Dataset.key)
        .limit(limit)
    )
    with reading(ledger.engine) as session:
        return list(session.scalars(query))


def retired_since(ledger: Ledger, beamline: str, moment: datetime) -> list[str]:
    """Scans that were retired after a moment, the latest first."""
    query = sa.select(Dataset.key).where(Dataset.beamline == beamline, Dataset.retired_at >= moment)
    with reading(ledger.engine) as session:
        return list(session.scalars(query.order_by(Dataset.retired_at.desc(), Dataset.key)))
