"""Copies in the record: expecting one, moving it from state to state with evidence, and finding them.

Here: rows of replicas under the table of ``states``. Not here: looking at the bytes (``transfer``) or choosing what to delete
(``retention``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from als_assets.errors import CopyMismatch, LedgerError, PruneBlocked
from als_assets.ledger import lookup
from als_assets.ledger.audit import AuditTrail
from als_assets.ledger.database import reading, writing
from als_assets.ledger.manifest import Manifest
from als_assets.ledger.models import Replica
from als_assets.ledger.products import RAW
from als_assets.ledger.rebuild import note_change
from als_assets.ledger.states import ReplicaState, check_replica_move

S = ReplicaState


class Replicas:
    def __init__(self, engine: sa.Engine, audit: AuditTrail, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._audit = audit
        self._clock = clock

    def expect(self, dataset_key: str, product: str, location: str, path: str, variant: str = "") -> Replica:
        """The copy that must exist at this place: the row that is there, or a new one in state EXPECTED. One that was deleted
        or lost is expected again. Raises DatasetUnknown, and LedgerError for a place that belongs to something else."""
        with writing(self._engine) as session:
            row = session.scalar(sa.select(Replica).filter_by(location=location, path=path))
            if row is not None and (row.dataset_key, row.product, row.variant) != (dataset_key, product, variant):
                raise LedgerError(
                    f"The place {location}: {path} is on record for {row.name}; it cannot hold the {product} of {dataset_key} too.",
                    next_step="Give one of the two another name. Nothing was copied or overwritten.",
                )
            if row is None:
                lookup.dataset(session, dataset_key)
                row = Replica(dataset_key=dataset_key, product=product, variant=variant, location=location, path=path)
                row.state, row.created_at, row.changed_at = S.EXPECTED, self._clock(), self._clock()
                row.after_operation = lookup.newest_operation(session, dataset_key)
                row.evidence = {}
                session.add(row)
                note_change(self._audit, session, row, after=S.EXPECTED, why="it shall exist")
            elif row.state in (S.DELETED, S.LOST):
                self._move(session, row, S.EXPECTED, why="it is wanted again")
        return row

    def move(
        self,
        replica_id: int,
        state: ReplicaState,
        *,
        why: str,
        evidence: dict[str, Any] | None = None,
        while_verified: Sequence[int] = (),
        who: str | None = None,
    ) -> Replica:
        """Change the state. Raises IllegalTransition, or PruneBlocked unless the copies ``while_verified`` still are: asked in the
        same transaction, so that of two deletions at once neither can take the other's proof."""
        with writing(self._engine) as session:
            row = lookup.numbered(session, Replica, replica_id)
            for other in (lookup.numbered(session, Replica, i) for i in while_verified):
                if other.state is not S.VERIFIED:
                    raise PruneBlocked(
                        f"The copy {other.name} is {other.state} and proves nothing any more; nothing was deleted.",
                        next_step=f"Look at that copy: als scan show {other.dataset_key}",
                    )
            if row.state is not state:
                self._move(session, row, state, why=why, evidence=evidence, who=who)
        return row

    def verified(
        self,
        replica_id: int,
        manifest: Manifest,
        *,
        why: str,
        evidence: dict[str, Any],
        sha256: str | None = None,
        who: str | None = None,
        proven_at: datetime | None = None,
    ) -> Replica:
        """The proof succeeded: store manifest, sum and evidence, and the time (now, or ``proven_at``). Repeating it renews the proof.

        Raises:
            PruneBlocked: the copy is being deleted.
            CopyMismatch: it is a raw file, and another SHA-256 is known of it.
        """
        with writing(self._engine) as session:
            row = lookup.numbered(session, Replica, replica_id)
            if row.state is S.DELETING:  # a proof that was still going on when the copy was claimed must not take the claim back
                raise PruneBlocked(f"The copy {row.name} is being deleted.", next_step="Nothing to do: it does not count any more.")
            if row.product == RAW and sha256 is not None:
                _require_same(row, sha256, lookup.raw_sha256(session, row.dataset_key))
            self._proven(session, row, manifest, sha256, why=why, evidence=evidence, who=who, proven_at=proven_at)
        return row

    def adopted(self, replica_id: int, manifest: Manifest, *, why: str, evidence: dict[str, Any], who: str) -> Replica:
        """A person says that this copy is the raw file: its SHA-256 takes the place of the one on record, and what has another one
        proves nothing any more. Raises IllegalTransition."""
        with writing(self._engine) as session:
            row = lookup.numbered(session, Replica, replica_id)
            same = sa.select(Replica).filter_by(dataset_key=row.dataset_key, product=row.product).where(Replica.id != row.id)
            for other in session.scalars(same.where(Replica.sha256 != manifest.sha256)).all():
                other.sha256, other.packed_manifest = None, Manifest.single(other.size_bytes or 0).pack()
                words = f"it has another SHA-256 than the copy at {row.location}, which {who} says is the raw file"
                if other.state is S.VERIFIED:
                    self._move(session, other, S.SUSPECT, why=words, who=who)
                else:
                    note_change(self._audit, session, other, why=words, who=who)
            self._proven(session, row, manifest, manifest.sha256, why=why, evidence=evidence, who=who)
        return row

    def _proven(
        self,
        session: Session,
        row: Replica,
        manifest: Manifest,
        sha256: str | None,
        *,
        why: str,
        evidence: dict[str, Any],
        who: str | None,
        proven_at: datetime | None = None,
    ) -> None:
        before = row.state
        if before is not S.VERIFIED:
            check_replica_move(row.name, before, S.VERIFIED)
            row.state, row.changed_at, row.prune_announced_at = S.VERIFIED, self._clock(), None
        row.packed_manifest, row.size_bytes, row.files = manifest.pack(), manifest.size_bytes, manifest.files
        row.sha256 = sha256 or row.sha256
        row.verified_at, row.evidence = proven_at or self._clock(), evidence
        row.after_operation = lookup.newest_operation(session, row.dataset_key)
        note_change(self._audit, session, row, before=before, after=S.VERIFIED, why=why, evidence=evidence, who=who)

    def _move(
        self,
        session: Session,
        row: Replica,
        state: ReplicaState,
        *,
        why: str,
        evidence: dict[str, Any] | None = None,
        who: str | None = None,
    ) -> None:
        check_replica_move(row.name, row.state, state)
        before, row.state, row.changed_at = row.state, state, self._clock()
        row.after_operation = lookup.newest_operation(session, row.dataset_key)
        row.prune_announced_at = None
        if state is not S.VERIFIED and evidence is not None:
            row.evidence = evidence
        note_change(self._audit, session, row, before=before, after=state, why=why, evidence=evidence, who=who)

    def announce_pruning(self, replica_id: int, why: str) -> None:
        """First phase of a deletion: from now on everybody can see that the copy will go, and hold it."""
        with writing(self._engine) as session:
            row = lookup.numbered(session, Replica, replica_id)
            row.prune_announced_at = self._clock()
            note_change(self._audit, session, row, after="pruning announced", why=why)

    def get(self, replica_id: int) -> Replica:
        with reading(self._engine) as session:
            return lookup.numbered(session, Replica, replica_id)

    def raw_sha256(self, dataset_key: str) -> str | None:
        """The SHA-256 of a scan's raw file, by whichever copy it is known; None where none was ever taken."""
        with reading(self._engine) as session:
            return lookup.raw_sha256(session, dataset_key)

    def at(self, location: str, path: str) -> Replica | None:
        with reading(self._engine) as session:
            return session.scalar(sa.select(Replica).filter_by(location=location, path=path))

    def of(
        self,
        dataset_key: str,
        *,
        product: str | None = None,
        variant: str | None = None,
        location: str | None = None,
        state: ReplicaState | None = None,
    ) -> Sequence[Replica]:
        """Copies of a dataset, the most recently verified first."""
        wanted = {"product": product, "variant": variant, "location": location, "state": state}
        with reading(self._engine) as session:
            query = sa.select(Replica).filter_by(dataset_key=dataset_key, **{k: v for k, v in wanted.items() if v is not None})
            return session.scalars(query.order_by(Replica.verified_at.desc().nulls_last(), Replica.id)).all()

    def in_state(self, *states: ReplicaState) -> Sequence[Replica]:
        with reading(self._engine) as session:
            return session.scalars(sa.select(Replica).where(Replica.state.in_(states)).order_by(Replica.id)).all()

    def any_verified_at(self, location: str) -> bool:
        """Whether a location holds anything, as far as is known."""
        with reading(self._engine) as session:
            query = sa.select(Replica.id).filter_by(location=location, state=S.VERIFIED).limit(1)
            return session.scalar(query) is not None

    def at_location(self, location: str) -> Sequence[Replica]:
        """Every copy that was ever expected at a location, by path."""
        with reading(self._engine) as session:
            return session.scalars(sa.select(Replica).filter_by(location=location).order_by(Replica.path)).all()


def _require_same(row: Replica, sha256: str, known: str | None) -> None:
    """A raw file never changes: what has another sum than the one taken first is no copy of it, whoever says so."""
    if known not in (None, sha256):
        raise CopyMismatch(
            f"{row.name} has another SHA-256 than the one that is on record for the raw file of {row.dataset_key}.",
            next_step=f"It does not count as a copy. Look at the others: als scan show {row.dataset_key}",
            expected=known,
            found=sha256,
        )
