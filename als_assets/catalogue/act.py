"""Writing a record as a remote act: its identifier is the intent, and repeating it is harmless because it is deterministic.

Here: what ``ledger.acting.carry_out`` drives. Not here: what a record says (``records``) and how it is written (``ensure``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from als_assets.catalogue.client import CatalogueClient
from als_assets.catalogue.ensure import ensure_record
from als_assets.catalogue.model import Record
from als_assets.ledger import Operation, OperationKind, OperationState
from als_assets.ledger.acting import Ended, Running


@dataclass
class RecordAct:
    """Make SciCat agree with a record. The whole act is one idempotent call; the receipt is its handle."""

    client: CatalogueClient
    record: Record
    dataset_key: str
    replica_id: int | None = None
    kind: OperationKind = OperationKind.CATALOGUE
    poll_s: float = 1.0

    @property
    def key(self) -> str:
        return f"catalogue:{self.record.pid}"

    def request(self) -> dict[str, Any]:
        return {"pid": self.record.pid, "title": f"SciCat record of {self.dataset_key}"}

    def submit(self, operation: Operation) -> dict[str, Any]:
        # The lease lets one writer act at a time, so a half-written record under this key is always our own.
        receipt = ensure_record(self.client, self.record, attempt=operation.key)
        return {
            "pid": receipt.pid,
            "url": receipt.url,
            "created": receipt.created,
            "patched": list(receipt.patched),
            "files": receipt.files,
            "attachments": receipt.attachments,
            "warnings": [issue.sentence for issue in receipt.issues],
        }

    def poll(self, operation: Operation) -> Running | Ended:
        made = "created" if operation.handle["created"] else "was there and agrees"
        return Ended(OperationState.SUCCEEDED, f"the record {made}", dict(operation.handle))
