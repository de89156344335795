"""The way back: a deletion that must not happen any more is called off, and the copy is a copy again once it has been looked at.

Here: from DELETING back to VERIFIED, or to SUSPECT or DELETED where the bytes say so, and the second look at those that became SUSPECT.
Not here: the decision to call it off (``deleting``).
"""

from __future__ import annotations

from als_assets.errors import AlsError
from als_assets.ledger import Ledger, Manifest, Operation, OperationState, Replica, ReplicaState
from als_assets.ledger.acting import Actor
from als_assets.ledger.states import OPEN_OPERATIONS
from als_assets.transfer import TransferService


def operation_of(ledger: Ledger, replica: Replica) -> Operation | None:
    """The newest deletion of a copy that was begun since it was claimed."""
    last = ledger.operations.last(f"delete:{replica.location}:{replica.path}")
    return last if last is not None and (last.id > replica.after_operation or last.state in OPEN_OPERATIONS) else None


def call_off(ledger: Ledger, transfers: TransferService, actor: Actor, replica: Replica, reason: str) -> str:
    """Call off the deletion of a copy in state DELETING; ``reason`` is a sentence. Returns what was found, in words.

    Never raises for what is found: what cannot be looked at now stays in state DELETING, and is looked at in the next round.
    """
    operation = operation_of(ledger, replica)
    try:
        if operation is not None and operation.state in OPEN_OPERATIONS:
            _cancel(ledger, transfers, actor, operation, reason)
        found = transfers.listing(replica)
    except AlsError as error:
        return f"It could not be looked at: {error.sentence}"
    why = f"its deletion was called off: {reason}"
    if found is None:
        return _nothing_there(ledger, replica, operation, why)
    wrong = (replica.manifest or Manifest.single(replica.size_bytes or 0)).differences(found)
    if wrong:
        ledger.replicas.move(replica.id, ReplicaState.SUSPECT, why=f"{why} What lies there is not what was proven: {'; '.join(wrong)}")
        return f"It does not count as a copy any more: {'; '.join(wrong)}."
    ledger.replicas.move(replica.id, ReplicaState.VERIFIED, why=f"{why} Its files and sizes are as they were proven")
    return "It was looked at and is a verified copy as before."


def _cancel(ledger: Ledger, transfers: TransferService, actor: Actor, operation: Operation, reason: str) -> None:
    """Close an open deletion. Its task is stopped first, also one whose acceptance nobody heard of."""
    taken = ledger.operations.take(operation.id, actor.run_id, actor.may_take_over)
    transfers.cancel(taken)
    # What the rest of its batch was going to send names this copy too: without the preparation here, theirs is not used any more.
    taken = ledger.operations.annotate(taken, prepared=None)
    ledger.operations.finish(taken, OperationState.CANCELLED, why=f"called off: {reason}", outcome={"sentence": f"Called off. {reason}"})


def _nothing_there(ledger: Ledger, replica: Replica, operation: Operation | None, why: str) -> str:
    if operation is not None:  # our own request came through before it could be called off
        evidence = {**replica.evidence, "deleted_by": operation.key}
        ledger.replicas.move(replica.id, ReplicaState.DELETED, why="deleted; it was called off too late", evidence=evidence)
        return "It was too late: it is deleted."
    ledger.replicas.move(replica.id, ReplicaState.SUSPECT, why=f"{why} Nothing is there, although nobody asked to delete it")
    return "Nothing is there, although nobody asked to delete it."
