"""Remote acts in the record: intent before act, one open at a time, done under a lease with a fencing number.

Here: rows of operations and who may touch them. Not here: the act itself; movers, transports and the catalogue do it and report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from als_assets.errors import HeldElsewhere, LeaseLost
from als_assets.ledger import lookup
from als_assets.ledger.audit import AuditTrail
from als_assets.ledger.database import reading, writing
from als_assets.ledger.models import Operation
from als_assets.ledger.states import OPEN_OPERATIONS, OperationKind, OperationState, check_operation_move

S = OperationState


class Operations:
    def __init__(self, engine: sa.Engine, audit: AuditTrail, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._audit = audit
        self._clock = clock

    def begin(self, key: str, kind: OperationKind, dataset_key: str, request: dict[str, Any], replica_id: int | None = None) -> Operation:
        """The open operation with this key (whatever its request says), or a new INTENT with ``request``. Once this returns, the
        intent is on disk. Raises DatasetUnknown."""
        with writing(self._engine) as session:
            row = session.scalar(_open(key))
            if row is None:
                lookup.dataset(session, dataset_key)
                row = Operation(key=key, kind=kind, dataset_key=dataset_key, replica_id=replica_id, request=request)
                row.attempt = 1 + (session.scalar(sa.select(sa.func.max(Operation.attempt)).filter_by(key=key)) or 0)
                row.state, row.created_at, row.fence = S.INTENT, self._clock(), 0
                row.handle, row.outcome = {}, {}
                session.add(row)
                self._audit.add(session, f"operation {key}", dataset_key=dataset_key, after=S.INTENT, why="it shall be done")
        return row

    def take(self, operation_id: int, run_id: str, may_take_over: Callable[[str], bool]) -> Operation:
        """Become the one who works on the operation; every taking raises the fencing number.

        ``may_take_over(other_run)`` says whether the other holder is provably out of the way.

        Raises:
            HeldElsewhere: a living run works on it.
        """
        holder = self.get(operation_id).holder
        if holder not in (None, run_id) and not may_take_over(holder):
            raise HeldElsewhere(f"Run {holder} is working on this.", next_step="Wait for that run; this one follows it.", holder=holder)
        with writing(self._engine) as session:
            row = lookup.numbered(session, Operation, operation_id)
            if row.holder != holder:  # somebody else was quicker between the look and the lock
                raise HeldElsewhere(f"Run {row.holder} took this over.", next_step="Wait for that run.", holder=row.holder)
            if row.holder != run_id:
                row.holder, row.fence = run_id, row.fence + 1
        return row

    def require_lease(self, operation: Operation) -> None:
        """Call before every remote act. Raises LeaseLost when another run has taken the operation over."""
        self._require(self.get(operation.id), operation)

    def _require(self, row: Operation, mine: Operation) -> None:
        if row.fence != mine.fence or row.holder != mine.holder:
            raise LeaseLost(
                f"Run {row.holder} has taken over the work on {mine.key}.",
                next_step="Nothing to do: the other run carries on.",
                holder=row.holder,
            )

    def annotate(self, operation: Operation, **handle: Any) -> Operation:
        """Add to the handle without changing the state (for instance the submission id, before the first request)."""
        with writing(self._engine) as session:
            row = self._mine(session, operation)
            row.handle = {**row.handle, **handle}
        return row

    def submitted(self, operation: Operation, **handle: Any) -> Operation:
        """The remote side accepted it. Raises LeaseLost, IllegalTransition."""
        with writing(self._engine) as session:
            row = self._mine(session, operation)
            if row.state is not S.SUBMITTED:
                self._move(session, row, S.SUBMITTED, why="the remote side accepted it", evidence=handle)
                row.submitted_at = self._clock()
            row.handle = {**row.handle, **handle}
        return row

    def finish(self, operation: Operation, state: OperationState, *, why: str, outcome: dict[str, Any]) -> Operation:
        """Close it. Raises LeaseLost, IllegalTransition."""
        with writing(self._engine) as session:
            row = self._mine(session, operation)
            self._move(session, row, state, why=why, evidence=outcome)
            row.finished_at, row.outcome = self._clock(), outcome
        return row

    def _mine(self, session: Session, operation: Operation) -> Operation:
        row = lookup.numbered(session, Operation, operation.id)
        self._require(row, operation)
        return row

    def _move(self, session: Session, row: Operation, state: OperationState, *, why: str, evidence: dict[str, Any]) -> None:
        check_operation_move(row.key, row.state, state)
        before, row.state = row.state, state
        self._audit.add(
            session, f"operation {row.key}", dataset_key=row.dataset_key, before=before, after=state, why=why, evidence=evidence
        )

    def get(self, operation_id: int) -> Operation:
        with reading(self._engine) as session:
            return lookup.numbered(session, Operation, operation_id)

    def open_with(self, key: str) -> Operation | None:
        with reading(self._engine) as session:
            return session.scalar(_open(key))

    def of(self, dataset_key: str) -> Sequence[Operation]:
        """All operations of a dataset, newest first."""
        with reading(self._engine) as session:
            query = sa.select(Operation).filter_by(dataset_key=dataset_key).order_by(Operation.id.desc())
            return session.scalars(query).all()

    def open_ones(self) -> Sequence[Operation]:
        with reading(self._engine) as session:
            return session.scalars(sa.select(Operation).where(Operation.state.in_(OPEN_OPERATIONS)).order_by(Operation.id)).all()

    def recent(self, kinds: Sequence[OperationKind], since: datetime) -> Sequence[Operation]:
        """Operations of these kinds that are open or ended after a moment."""
        with reading(self._engine) as session:
            current = sa.or_(Operation.state.in_(OPEN_OPERATIONS), Operation.finished_at >= since)
            return session.scalars(sa.select(Operation).where(Operation.kind.in_(kinds), current).order_by(Operation.id)).all()

    def newest(self, dataset_key: str) -> int:
        """The number of the newest operation about a scan, 0 where there was none."""
        with reading(self._engine) as session:
            return lookup.newest_operation(session, dataset_key)

    def last(self, key: str) -> Operation | None:
        """The newest operation with this key, open or closed."""
        with reading(self._engine) as session:
            return session.scalar(sa.select(Operation).filter_by(key=key).order_by(Operation.id.desc()).limit(1))


def _open(key: str) -> sa.Select[tuple[Operation]]:
    return sa.select(Operation).where(Operation.key == key, Operation.state.in_(OPEN_OPERATIONS))
