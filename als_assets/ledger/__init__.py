"""The record of every dataset, copy and remote act: what was intended, what was done, and the proof.

Here: ``Ledger``, the door to the tables. Not here: acting on the world; the record only remembers and refuses.
"""

from als_assets.ledger.manifest import Entry, Manifest
from als_assets.ledger.models import Audit, Dataset, Hold, Operation, OutboxRow, Replica, Sighting, Worker
from als_assets.ledger.states import OperationKind, OperationState, OutboxKind, ReplicaState
from als_assets.ledger.store import Ledger

__all__ = [
    "Audit",
    "Dataset",
    "Entry",
    "Hold",
    "Ledger",
    "Manifest",
    "Operation",
    "OperationKind",
    "OperationState",
    "OutboxKind",
    "OutboxRow",
    "Replica",
    "ReplicaState",
    "Sighting",
    "Worker",
]
