"""Writing to SciCat as remote acts: the identifier is the intent, and repeating one is harmless because it is deterministic.

Here: what ``ledger.acting.carry_out`` drives. Not here: what a record says (``records``), how it is written (``ensure``,
``lifecycle``) and what follows when it cannot be (``delivery``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from als_assets.catalogue.accounts import Accounts
from als_assets.catalogue.ensure import ensure_record
from als_assets.catalogue.lifecycle import Standing, ensure_standing
from als_assets.catalogue.model import Json, Record
from als_assets.errors import AlsError
from als_assets.ledger import Operation, OperationKind, OperationState
from als_assets.ledger.acting import Ended, Running


@dataclass
class CatalogueAct:
    """One idempotent call. It is made while the act is followed, so that a process that dies in it leaves an act which the next one
    repeats, and one that SciCat refused or did not answer is closed with the reason instead of staying open.

    ``write(operation)`` returns the receipt, and what happened in a sentence.
    """

    key: str
    title: str
    dataset_key: str
    pid: str
    write: Callable[[Operation], tuple[Json, str]]
    replica_id: int | None = None
    kind: OperationKind = OperationKind.CATALOGUE
    poll_s: float = 1.0

    def request(self) -> dict[str, Any]:
        return {"pid": self.pid, "title": self.title}

    def submit(self, operation: Operation) -> dict[str, Any]:
        """Nothing of it is with SciCat before ``poll``."""
        return {}

    def poll(self, operation: Operation) -> Running | Ended:
        try:
            receipt, sentence = self.write(operation)
        except AlsError as error:
            return Ended(OperationState.FAILED, error.sentence, {"sentence": error.sentence}, error)
        return Ended(OperationState.SUCCEEDED, sentence, {**receipt, "sentence": sentence})


def record_act(accounts: Accounts, record: Record) -> CatalogueAct:
    """Make SciCat hold a record."""

    def write(operation: Operation) -> tuple[Json, str]:
        # The lease lets one writer act at a time, so a half-written record under this key is always our own.
        receipt = ensure_record(accounts, record, attempt=operation.key)
        return receipt.as_json(), f"the record {'was created' if receipt.created else 'was there and agrees'}"

    return CatalogueAct(f"catalogue:{record.pid}", f"SciCat record of {record.dataset_key}", record.dataset_key, record.pid, write)


def lifecycle_act(accounts: Accounts, dataset_key: str, pid: str, standing: Standing) -> CatalogueAct:
    """Make SciCat's record say where the data is."""

    def write(operation: Operation) -> tuple[Json, str]:
        outcome = ensure_standing(accounts, dataset_key, pid, standing)
        changed = ", ".join(outcome["changed"])
        return outcome, f"the record now says where the data is: {changed}" if changed else "the record said it already"

    return CatalogueAct(f"lifecycle:{pid}", f"SciCat lifecycle of {dataset_key}", dataset_key, pid, write)
