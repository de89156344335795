"""Moving and deleting bytes, with proof.

Here: the Mover protocol and its two kinds, the verification of what arrived, and ``ensure_replica``. Not here: which copies
should exist (``defs``) and which may go (``retention``).
"""

from als_assets.transfer.deleting import Deletion
from als_assets.transfer.ensure import TransferService
from als_assets.transfer.mover import Mover, TaskState, TaskView
from als_assets.transfer.proving import FreshProof
from als_assets.transfer.receipt import Receipt

__all__ = ["Deletion", "FreshProof", "Mover", "Receipt", "TaskState", "TaskView", "TransferService"]
