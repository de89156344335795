"""A transfer and a deletion as remote acts: their intent, their start, their look, and the proof at their end.

Here: what ``ledger.acting.carry_out`` drives. Not here: which copy is wanted (``ensure``) and how a mover talks (``globus``, ``posix``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from als_assets.errors import (
    AlsError,
    CopyMismatch,
    DeleteFailed,
    TransferDamaged,
    TransferFailed,
    TransferNeedsPerson,
    TransferStateUnknown,
)
from als_assets.ledger import Ledger, Manifest, Operation, OperationKind, OperationState
from als_assets.ledger.acting import Ended, Running
from als_assets.transfer.mover import DeleteRequest, Mover, TaskState, TaskView, TransferRequest


@dataclass
class TransferAct:
    """Copy, follow, and prove that what arrived is what was sent. ``check`` is a further proof (a checksum of our own); it
    returns a row of evidence or raises CopyMismatch."""

    ledger: Ledger
    mover: Mover
    todo: TransferRequest
    manifest: Manifest
    key: str
    dataset_key: str
    replica_id: int | None
    check: Callable[[], dict[str, Any]] | None = None
    kind: OperationKind = OperationKind.TRANSFER

    @property
    def poll_s(self) -> float:
        return self.mover.poll_s

    def request(self) -> dict[str, Any]:
        source, destination = self.todo.source, self.todo.destination
        return {
            "from": {"location": source.location_name, "path": source.path},
            "to": {"location": destination.location_name, "path": destination.path},
            "directory": self.todo.is_directory,
            "files": self.manifest.files,
            "bytes": self.manifest.size_bytes,
            "sha256": self.todo.sha256,
        }

    def submit(self, operation: Operation) -> dict[str, Any]:
        return self.mover.start_transfer(self.todo, _prepared(self.ledger, self.mover, operation))

    def poll(self, operation: Operation) -> Running | Ended:
        view = self.mover.look(operation.handle)
        if view.state in (TaskState.QUEUED, TaskState.ACTIVE):
            return Running(view.sentence)
        if view.state is TaskState.SUCCEEDED:
            return self._prove(view)
        return _not_done(self.mover, operation, view, f"The copy of {self.dataset_key} to {self.todo.destination.location_name}")

    def _prove(self, view: TaskView) -> Ended:
        destination = self.todo.destination
        found = self.mover.listing(destination)
        wrong = ["nothing is there"] if found is None else self.manifest.differences(found)
        evidence: dict[str, Any] = {"task": dict(view.facts), "link": view.link, "compared_files": len(found or {})}
        try:
            if wrong:
                raise _mismatch(f"The copy of {self.dataset_key} at {destination.location_name} is wrong: {'; '.join(wrong)}.")
            if self.check is not None:
                evidence |= self.check()
        except CopyMismatch as error:
            return Ended(OperationState.FAILED, error.sentence, {**evidence, "sentence": error.sentence}, error)
        return Ended(OperationState.SUCCEEDED, "copied; files and sizes were compared at the destination", evidence)


@dataclass
class DeleteAct:
    """Delete one replica, and prove that nothing is left."""

    ledger: Ledger
    mover: Mover
    todo: DeleteRequest
    key: str
    dataset_key: str
    replica_id: int | None
    proof: dict[str, Any]
    kind: OperationKind = OperationKind.DELETE

    @property
    def poll_s(self) -> float:
        return self.mover.poll_s

    def request(self) -> dict[str, Any]:
        place = self.todo.place
        return {"delete": {"location": place.location_name, "path": place.path}, "proof": self.proof}

    def submit(self, operation: Operation) -> dict[str, Any]:
        return self.mover.start_delete(self.todo, _prepared(self.ledger, self.mover, operation))

    def poll(self, operation: Operation) -> Running | Ended:
        view = self.mover.look(operation.handle)
        if view.state in (TaskState.QUEUED, TaskState.ACTIVE):
            return Running(view.sentence)
        what = f"The deletion of {self.todo.place.path} at {self.todo.place.location_name}"
        if view.state is not TaskState.SUCCEEDED:
            return _not_done(self.mover, operation, view, what)
        left = self.mover.listing(self.todo.place)
        if left is not None:
            error = DeleteFailed(
                f"{what} was reported as done, but {len(left)} file(s) are still there.",
                next_step="Look at the folder's rights, then run prune again.",
            )
            return Ended(OperationState.FAILED, error.sentence, {"task": dict(view.facts), "sentence": error.sentence}, error)
        return Ended(OperationState.SUCCEEDED, "deleted; nothing is left there", {"task": dict(view.facts), "link": view.link})


def _prepared(ledger: Ledger, mover: Mover, operation: Operation) -> dict[str, Any]:
    """What must be on record before the first request: that of an earlier process, or a new one, stored before it is used."""
    prepared: dict[str, Any] | None = operation.handle.get("prepared")
    if prepared is None:
        prepared = mover.prepare()
        ledger.operations.annotate(operation, prepared=prepared)
    return prepared


def _mismatch(sentence: str) -> CopyMismatch:
    return CopyMismatch(sentence, next_step="Re-execute from failure: the copy is made again and compared again.")


def _not_done(mover: Mover, operation: Operation, view: TaskView, what: str) -> Ended:
    """A task that did not succeed. Raises for states in which the task lives on and is kept; cancels hopeless ones."""
    details: dict[str, Any] = {**view.facts, "link": view.link}
    if view.state is TaskState.NEEDS_PERSON:
        raise TransferNeedsPerson(
            f"{what} waits for a person. {view.sentence}",
            next_step="Have the collection's manager or an operator resume it, then re-execute from failure: the same task goes on.",
            **details,
        )
    if view.state is TaskState.UNKNOWN:
        raise TransferStateUnknown(
            f"{what}: {view.sentence}",
            next_step="Look at the task by its link; re-execute from failure follows it on.",
            **details,
        )
    if view.state in (TaskState.DAMAGED, TaskState.HOPELESS):
        mover.cancel(operation.handle)
    error = _error_for(view.state, f"{what} failed. {view.sentence}", details)
    return Ended(OperationState.FAILED, error.sentence, {**details, "sentence": error.sentence}, error)


def _error_for(state: TaskState, sentence: str, details: dict[str, Any]) -> AlsError:
    if state is TaskState.DAMAGED:
        return TransferDamaged(
            f"{sentence} The task was cancelled.",
            next_step="Re-execute from failure once; if it happens again, tell an operator: a disk or network path damages data.",
            **details,
        )
    return TransferFailed(
        sentence, next_step="See the last events of the task below; mend the cause, then re-execute from failure.", **details
    )
