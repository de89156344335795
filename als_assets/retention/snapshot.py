"""The part of the record that a plan depends on, as it was at one moment.

Here: the values, and reading them in one transaction without manifests (a facility has 100,000 copies). Not here: any judgement about
them (``plan``). Copies of products carry ``recipe``: what somebody needs to make them again is on record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from als_assets.ledger import Dataset, Hold, Ledger, Operation, OperationKind, Replica, ReplicaState
from als_assets.ledger.database import reading
from als_assets.ledger.products import RAW, STAGED_RAW
from als_assets.ledger.states import OPEN_OPERATIONS

_S = ReplicaState

ProductKey = tuple[str, str, str]  # dataset key, product, variant


@dataclass(frozen=True)
class Copy:
    """One replica. ``since``: when it became a verified copy there; ``proven_at``: when that was proven last."""

    id: int
    dataset_key: str
    product: str
    variant: str
    location: str
    path: str
    state: ReplicaState
    size_bytes: int
    since: datetime
    proven_at: datetime
    announced_at: datetime | None = None

    @property
    def of(self) -> ProductKey:
        return self.dataset_key, self.product, self.variant


@dataclass(frozen=True)
class Scan:
    key: str
    beamline: str
    proposal: str | None


@dataclass(frozen=True)
class Snapshot:
    """What is on record. ``copies`` are those in state VERIFIED or DELETING; ``raw_gone`` are scans of which a raw copy was deleted;
    ``disputed`` tells where a raw copy lies that is suspect;
    ``busy`` tells what is going on with a scan; ``holds`` are all that were not released (some may have run out); ``recipes`` are
    products whose parameters and image digest are known; ``free_bytes`` is known for some locations."""

    copies: Sequence[Copy]
    scans: Mapping[str, Scan]
    raw_gone: frozenset[str] = frozenset()
    disputed: Mapping[str, str] = field(default_factory=dict)
    busy: Mapping[str, str] = field(default_factory=dict)
    holds: Sequence[Hold] = ()
    recipes: frozenset[ProductKey] = frozenset()
    free_bytes: Mapping[str, int] = field(default_factory=dict)

    def hold_on(self, scan: Scan, now: datetime) -> Hold | None:
        """The first hold in force on a scan at a moment."""
        for hold in self.holds:
            covers = hold.dataset_key == scan.key or (scan.proposal is not None and hold.proposal == scan.proposal)
            if covers and (hold.until is None or hold.until > now):
                return hold
        return None


def holds_and_work(ledger: Ledger) -> Snapshot:
    """Only what can say *keep*: the holds that were not released, and the open operations."""
    with reading(ledger.engine) as session:
        return Snapshot((), {}, busy=_busy(session), holds=_holds(session))


def snapshot_of(ledger: Ledger, free_bytes: Mapping[str, int] | None = None, dataset_key: str | None = None) -> Snapshot:
    """The record now; of one scan only when ``dataset_key`` is given."""
    with reading(ledger.engine) as session:
        copies = _copies(session, dataset_key)
        return Snapshot(
            copies=copies,
            scans=_scans(session, dataset_key),
            raw_gone=_raw_gone(session),
            disputed=_disputed(session),
            busy=_busy(session),
            holds=_holds(session),
            recipes=_recipes(session, dataset_key),
            free_bytes=free_bytes or {},
        )


def _copies(session: Session, dataset_key: str | None) -> list[Copy]:
    r = Replica
    columns = (r.id, r.dataset_key, r.product, r.variant, r.location, r.path, r.state, r.size_bytes, r.changed_at)
    query = sa.select(*columns, r.verified_at, r.prune_announced_at).where(r.state.in_((_S.VERIFIED, _S.DELETING)))
    rows = session.execute(_only(query, r.dataset_key, dataset_key).order_by(r.id))
    return [
        Copy(number, key, product, variant, location, path, state, size or 0, since, proven or since, announced)
        for number, key, product, variant, location, path, state, size, since, proven, announced in rows
    ]


def _scans(session: Session, dataset_key: str | None) -> dict[str, Scan]:
    query = _only(sa.select(Dataset.key, Dataset.beamline, Dataset.proposal), Dataset.key, dataset_key)
    return {key: Scan(key, beamline, proposal) for key, beamline, proposal in session.execute(query)}


def _raw_gone(session: Session) -> frozenset[str]:
    query = sa.select(Replica.dataset_key).where(Replica.product == RAW, Replica.state == _S.DELETED)
    return frozenset(session.scalars(query))


def _disputed(session: Session) -> dict[str, str]:
    query = sa.select(Replica.dataset_key, Replica.location).where(Replica.product == RAW, Replica.state == _S.SUSPECT)
    return dict(session.execute(query).tuples().all())


def _holds(session: Session) -> Sequence[Hold]:
    return session.scalars(sa.select(Hold).where(Hold.released_at.is_(None)).order_by(Hold.id)).all()


def _busy(session: Session) -> dict[str, str]:
    query = sa.select(Operation).where(Operation.state.in_(OPEN_OPERATIONS))
    return {operation.dataset_key: operation.key for operation in session.scalars(query) if uses_its_scan(operation)}


def uses_its_scan(operation: Operation) -> bool:
    """Whether an open operation reads or writes what its scan has, so that nothing of it may go. Deletions and repeated proofs are
    retention's own: one that was cut off must not stop the next."""
    return operation.kind is not OperationKind.DELETE and not operation.key.startswith("prove:")


def _recipes(session: Session, dataset_key: str | None) -> frozenset[ProductKey]:
    """Products of which any copy, also a deleted one, tells how it was made. One that was made without parameters of its own was made
    from another of the same variant, whose recipe must be known then."""
    r = Replica
    query = sa.select(r.dataset_key, r.product, r.variant, r.evidence).where(r.product.not_in((RAW, STAGED_RAW)))
    full: set[ProductKey] = set()
    derived: set[ProductKey] = set()
    for key, product, variant, evidence in session.execute(_only(query, r.dataset_key, dataset_key)):
        if has_image(evidence):
            (full if evidence.get("parameters") else derived).add((key, product, variant))
    known = {(key, variant) for key, _, variant in full}
    return frozenset(full | {one for one in derived if (one[0], one[2]) in known})


def has_image(evidence: Mapping[str, Any]) -> bool:
    """Whether evidence names the container image that made a product, by digest."""
    return "@sha256:" in str((evidence.get("report") or {}).get("image", ""))


def _only(query: Any, column: Any, dataset_key: str | None) -> Any:
    return query if dataset_key is None else query.where(column == dataset_key)
