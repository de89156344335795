"""Datasets in the record: admission (once), release for export, start and retirement.

Here: the rows of scans. Not here: whether a file is fit to be a dataset (``beamlines``) or what is launched for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from als_assets.errors import LedgerError
from als_assets.ledger import lookup
from als_assets.ledger.audit import AuditTrail
from als_assets.ledger.database import reading, writing
from als_assets.ledger.models import Dataset, Replica
from als_assets.ledger.rebuild import note_change
from als_assets.ledger.states import ReplicaState

_PARAMETERS = "chosen_parameters"


@dataclass(frozen=True)
class NewDataset:
    """What is known of a scan when it is admitted. ``source_path`` is its path below the location's prefix."""

    key: str
    beamline: str
    folder: str
    file_name: str
    proposal: str | None
    size_bytes: int
    acquired_at: datetime | None
    may_leave: bool
    release_reason: str
    source_location: str
    source_path: str
    facts: dict[str, Any] = field(default_factory=dict)


class Datasets:
    def __init__(self, engine: sa.Engine, audit: AuditTrail, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._audit = audit
        self._clock = clock

    def admit(self, new: NewDataset) -> Dataset:
        """Record a new scan together with its first copy, the file at acquisition. The same file again returns the row that is
        there: admission happens once, however often it is asked for. Raises LedgerError for a key that another file has."""
        with writing(self._engine) as session:
            known = session.scalar(_same_file(new))
            if known is not None:
                return known
            if session.get(Dataset, new.key) is not None:
                raise LedgerError(f"The key {new.key} belongs to another file.", next_step="Announce the file again: it gets another key.")
            columns = {k: v for k, v in vars(new).items() if k not in ("source_location", "source_path")}
            row = Dataset(**columns, admitted_at=self._clock())
            copy = Replica(dataset_key=new.key, product="raw", variant="", location=new.source_location, path=new.source_path)
            copy.state, copy.size_bytes, copy.files = ReplicaState.VERIFIED, new.size_bytes, 1
            copy.evidence = {"how": "complete when it was admitted: its frames were counted", "size_bytes": new.size_bytes}
            copy.created_at = copy.verified_at = copy.changed_at = row.admitted_at
            session.add(row)
            session.flush()
            session.add(copy)
            why = f"new scan {new.folder}/{new.file_name}; {new.release_reason}"
            self._audit.add(session, f"dataset {new.key}", dataset_key=new.key, after="admitted", why=why)
            note_change(self._audit, session, copy, after=copy.state, why="the file at acquisition", evidence=copy.evidence)
        return row

    def by_file(self, beamline: str, folder: str, file_name: str) -> Dataset | None:
        with reading(self._engine) as session:
            query = sa.select(Dataset).filter_by(beamline=beamline, folder=folder, file_name=file_name)
            return session.scalar(query)

    def files(self, beamline: str) -> set[tuple[str, str]]:
        """(folder, file name) of every dataset of a beamline: what the walk over the watched folder may skip."""
        with reading(self._engine) as session:
            rows = session.execute(sa.select(Dataset.folder, Dataset.file_name).filter_by(beamline=beamline))
            return {(folder, name) for folder, name in rows}

    def find(self, key: str) -> Dataset | None:
        with reading(self._engine) as session:
            return session.get(Dataset, key)

    def get(self, key: str) -> Dataset:
        """Raises DatasetUnknown."""
        with reading(self._engine) as session:
            return lookup.dataset(session, key)

    def list(self, *, beamline: str | None = None, limit: int = 200, newest_first: bool = True, retired: bool = False) -> Sequence[Dataset]:
        """Scans that were not retired, or (``retired``) all; ``find`` knows every scan anyway."""
        with reading(self._engine) as session:
            query = sa.select(Dataset) if retired else sa.select(Dataset).where(Dataset.retired_at.is_(None))
            if beamline is not None:
                query = query.where(Dataset.beamline == beamline)
            order = Dataset.admitted_at.desc() if newest_first else Dataset.admitted_at
            return session.scalars(query.order_by(order, Dataset.key).limit(limit)).all()

    def not_started(self, beamline: str, limit: int) -> Sequence[Dataset]:
        """Admitted scans for which no run has begun, oldest first."""
        with reading(self._engine) as session:
            query = sa.select(Dataset).where(Dataset.beamline == beamline, Dataset.started_at.is_(None))
            return session.scalars(query.order_by(Dataset.admitted_at).limit(limit)).all()

    def mark_started(self, key: str, run_id: str) -> None:
        with writing(self._engine) as session:
            row = lookup.dataset(session, key)
            if row.started_at is None:
                row.started_at = self._clock()
                self._audit.add(session, f"dataset {key}", dataset_key=key, after="started", why=f"run {run_id} began")

    def retire(self, key: str, *, why: str) -> None:
        """Take a scan out of the lists; the record keeps it, and ``find`` finds it. Raises DatasetUnknown."""
        with writing(self._engine) as session:
            row = lookup.dataset(session, key)
            if row.retired_at is None:
                row.retired_at = self._clock()
                self._audit.add(session, f"dataset {key}", dataset_key=key, after="retired", why=why)

    def set_release(self, key: str, *, may_leave: bool, reason: str, who: str | None = None) -> None:
        """Flag a scan as staying at the ALS, or release it. Raises DatasetUnknown."""
        before = self.get(key)
        with writing(self._engine) as session:
            row = lookup.dataset(session, key)
            row.may_leave, row.release_reason = may_leave, reason
            words = {True: "may leave", False: "stays"}
            self._audit.add(
                session,
                f"dataset {key}",
                dataset_key=key,
                before=words[before.may_leave],
                after=words[may_leave],
                why=reason,
                who=who,
            )

    def set_parameter(self, key: str, name: str, value: object, *, who: str | None = None) -> None:
        """Keep a reconstruction parameter for a scan's full run, or with None forget it. Raises DatasetUnknown."""
        with writing(self._engine) as session:
            row = lookup.dataset(session, key)
            chosen = {n: v for n, v in parameters_of(row).items() if n != name}
            before = parameters_of(row).get(name)
            row.facts = {**row.facts, _PARAMETERS: chosen if value is None else {**chosen, name: value}}
            told = [None if v is None else f"{name} = {v}" for v in (before, value)]
            why = "chosen for the full reconstruction" if value is not None else "the choice was taken back"
            self._audit.add(session, f"dataset {key}", dataset_key=key, before=told[0], after=told[1], why=why, who=who)


def parameters_of(dataset: Dataset) -> dict[str, Any]:
    """The reconstruction parameters that somebody chose for this scan."""
    return dict(dataset.facts.get(_PARAMETERS) or {})


def _same_file(new: NewDataset) -> sa.Select[tuple[Dataset]]:
    return sa.select(Dataset).filter_by(beamline=new.beamline, folder=new.folder, file_name=new.file_name)
