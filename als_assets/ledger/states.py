"""The states of replicas and operations, and the only ways from one to another.

Here: the two tables that the code obeys and the documentation is drawn from. Not here: who moves what (``store``), and
why a state was left (that is in the audit).
"""

from __future__ import annotations

from enum import StrEnum

from als_assets.errors import IllegalTransition


class ReplicaState(StrEnum):
    """What is known about one copy. Only VERIFIED counts as a copy."""

    EXPECTED = "expected"  # it shall exist; nothing is there that we vouch for
    COPYING = "copying"  # an operation is writing it
    VERIFIED = "verified"  # size, files and checksum were proven
    SUSPECT = "suspect"  # a later look disagreed with the proof
    DELETING = "deleting"  # a deletion is under way
    DELETED = "deleted"  # deleted by policy, with evidence
    LOST = "lost"  # it is gone and we did not delete it


class OperationState(StrEnum):
    """One remote act. INTENT is committed before the first request leaves."""

    INTENT = "intent"
    SUBMITTED = "submitted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class OutboxKind(StrEnum):
    """What waits for SciCat: a scan's record, a reconstruction's, or where the copies of either are."""

    RAW = "raw"
    DERIVED = "derived"
    LIFECYCLE = "lifecycle"


class OperationKind(StrEnum):
    TRANSFER = "transfer"
    DELETE = "delete"
    JOB = "job"
    CATALOGUE = "catalogue"


R = ReplicaState
O = OperationState  # noqa: E741 - reads as a table

REPLICA_MOVES: dict[ReplicaState, frozenset[ReplicaState]] = {
    R.EXPECTED: frozenset({R.COPYING, R.VERIFIED}),
    R.COPYING: frozenset({R.VERIFIED, R.EXPECTED, R.LOST}),
    R.VERIFIED: frozenset({R.SUSPECT, R.DELETING, R.COPYING}),
    R.SUSPECT: frozenset({R.VERIFIED, R.COPYING, R.LOST}),
    R.DELETING: frozenset({R.DELETED, R.VERIFIED, R.SUSPECT}),
    R.DELETED: frozenset({R.EXPECTED}),
    R.LOST: frozenset({R.EXPECTED}),
}

OPERATION_MOVES: dict[OperationState, frozenset[OperationState]] = {
    O.INTENT: frozenset({O.SUBMITTED, O.FAILED, O.CANCELLED}),
    O.SUBMITTED: frozenset({O.SUCCEEDED, O.FAILED, O.CANCELLED}),
    O.SUCCEEDED: frozenset(),
    O.FAILED: frozenset(),
    O.CANCELLED: frozenset(),
}

OPEN_OPERATIONS = frozenset({O.INTENT, O.SUBMITTED})


def check_replica_move(name: str, old: ReplicaState, new: ReplicaState) -> None:
    """Raises IllegalTransition unless the table allows the move."""
    if new not in REPLICA_MOVES[old]:
        raise _illegal(f"The copy {name}", old, new, REPLICA_MOVES[old])


def check_operation_move(name: str, old: OperationState, new: OperationState) -> None:
    """Raises IllegalTransition unless the table allows the move."""
    if new not in OPERATION_MOVES[old]:
        raise _illegal(f"The operation {name}", old, new, OPERATION_MOVES[old])


def _illegal(what: str, old: str, new: str, allowed: frozenset[ReplicaState] | frozenset[OperationState]) -> IllegalTransition:
    names = ", ".join(sorted(allowed)) or "none, it is final"
    return IllegalTransition(
        f"{what} cannot go from {old} to {new} (allowed: {names}).",
        next_step="Reload the page: the record has changed. If it stays so, report it with the name above.",
        old=str(old),
        new=str(new),
    )
