"""Deleting replicas: many in one Globus task, yet each with an operation, a proof and an end of its own.

Here: the deletion as a remote act, and batches of them. Not here: whether a replica may go (``retention``). All operations of a
batch hold the same submission id and the same paths before the first request leaves, so any of them can carry the batch on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from als_assets.errors import AlsError, DeleteFailed, HeldElsewhere, LeaseLost, TransferFailed
from als_assets.ledger import Ledger, Operation, OperationKind, OperationState, Replica, ReplicaState
from als_assets.ledger.acting import Actor, Ended, Running, carry_out, done_after
from als_assets.transfer.acts import MoverAct
from als_assets.transfer.breaker import Breaker
from als_assets.transfer.looking import Looks, manifest_of
from als_assets.transfer.mover import DeleteRequest, TaskView, away


@dataclass(frozen=True)
class Deletion:
    """What became of one replica: DELETED, or still DELETING with the error."""

    replica: Replica
    error: AlsError | None = None


@dataclass
class DeleteAct(MoverAct):
    """Delete one replica, and prove that nothing is left. ``posted`` are the tasks that this process has sent for the batch."""

    todo: DeleteRequest
    proof: dict[str, Any]
    posted: dict[str, dict[str, Any]] = field(default_factory=dict)
    kind = OperationKind.DELETE
    failure = DeleteFailed

    def request(self) -> dict[str, Any]:
        place = self.todo.place
        return {"delete": {"location": place.location_name, "path": place.path}, "proof": self.proof}

    def submit(self, operation: Operation) -> dict[str, Any]:
        sent = self.posted.get(str((operation.handle.get("prepared") or {}).get("submission_id")))
        return dict(sent) if sent is not None and self.is_whole(operation) else super().submit(operation)

    def is_whole(self, operation: Operation) -> bool:
        """Whether every operation of the batch holds the preparation. If not, its process died before anything was sent (it is sent
        only when all hold it), or another run has begun some of it anew: then the preparation is not used."""
        prepared = operation.handle.get("prepared")
        if prepared is None:
            return False
        others = (self.ledger.operations.get(other).handle.get("prepared") or {} for other in prepared.get("together", []))
        return all(other.get("submission_id") == prepared.get("submission_id") for other in others)

    def prepared(self, operation: Operation) -> dict[str, Any]:
        if operation.handle.get("prepared") is not None and not self.is_whole(operation):
            operation = self.ledger.operations.annotate(operation, prepared=None)
        return super().prepared(operation)

    def _what(self) -> str:
        return f"The deletion of {self.todo.place.path} at {self.todo.place.location_name}"

    def _start(self, operation: Operation) -> dict[str, Any]:
        prepared = self.prepared(operation)
        try:
            handle = self.mover.start_delete(self.todo, prepared)
        except TransferFailed as refused:
            raise DeleteFailed(
                f"{self._what()}: {refused.sentence}",
                next_step="Check the rights of the identity 'pruner' there; prune tries again.",
                **refused.details,
            ) from refused
        if "submission_id" in prepared:
            self.posted[prepared["submission_id"]] = handle
        return handle

    def _going_on(self, view: TaskView) -> Running:
        return Running(view.sentence or "Globus is deleting.", phase=f"deleting {view.sentence}")

    def _prove(self, operation: Operation, view: TaskView) -> Ended | Running:
        left = self._left()
        if left is not None:
            error = DeleteFailed(
                f"{self._what()} was reported as done, but {len(left)} file(s) are still there.",
                next_step="Look at the folder's rights, then run prune again.",
            )
            return Ended(OperationState.FAILED, error.sentence, {"task": dict(view.facts), "sentence": error.sentence}, error)
        return Ended(OperationState.SUCCEEDED, "deleted; nothing is left there", {"task": dict(view.facts), "link": view.link})

    def _left(self) -> dict[str, int] | None:
        """What still lies there. Nothing is believed only where its location is seen: not even of a deletion that the service calls done.

        Raises:
            LocationAway: nothing is seen of the whole location. A deletion leaves the folder of what it deleted; where there was none,
                other copies on record tell an emptied root from a disk that is away.
        """
        place = self.todo.place
        left = self.mover.listing(place)
        leaves_more = "/" in place.path or self.ledger.replicas.any_verified_at(place.location_name)
        if left is None and leaves_more and self.mover.is_away(place):
            raise away(place)
        return left

    def _not_done(self, operation: Operation, view: TaskView) -> Ended:
        """A task may fail after this replica was deleted (another one of the batch failed), or because it was gone before."""
        ended = super()._not_done(operation, view)
        if ended.error is None or self._left() is not None:
            return ended
        why = f"nothing is left there, although the task failed: {view.sentence}"
        return Ended(OperationState.SUCCEEDED, why, {**ended.outcome, "sentence": why})


class Deletions:
    """Deletions of one facility."""

    def __init__(self, ledger: Ledger, breaker: Breaker, looks: Looks) -> None:
        self._ledger, self._breaker, self._looks = ledger, breaker, looks

    def carry_out(self, actor: Actor, doomed: Sequence[tuple[Replica, dict[str, Any]]]) -> list[Deletion]:
        """Answers in the order given. Raises LeaseLost."""
        posted: dict[str, dict[str, Any]] = {}
        acts = [self._act(actor, replica, proof, posted) for replica, proof in doomed]
        errors: dict[str, AlsError] = {}
        for batch in _batches(acts):
            try:
                self._begin(actor, batch, {replica.id: replica for replica, _ in doomed})
            except LeaseLost:
                raise
            except AlsError as error:
                errors |= {act.key: error for act in batch}
        return self._ends(actor, doomed, acts, errors)

    def _act(self, actor: Actor, replica: Replica, proof: dict[str, Any], posted: dict[str, dict[str, Any]]) -> DeleteAct:
        place = self._looks.place_of(replica)
        is_directory = not manifest_of(replica).is_single_file
        todo = DeleteRequest(replica.dataset_key, place, is_directory, f"prune {replica.dataset_key[:80]}")
        mover, key = self._looks.deleter_at(place), f"delete:{replica.location}:{replica.path}"
        act = DeleteAct(self._ledger, mover, key, replica.dataset_key, replica.id, todo, proof, posted)
        if place.location.collection is not None:
            act.gate = lambda operation: self._breaker.require(operation, [replica.location], actor)
        return act

    def _begin(self, actor: Actor, batch: list[DeleteAct], replicas: Mapping[int, Replica]) -> None:
        """Commit the intents of those that are to be sent together, then the one preparation that they share."""
        fresh = []
        for act in batch:
            if done_after(self._ledger, act.key, replicas[act.replica_id or 0].after_operation) is not None:
                continue
            operation = self._ledger.operations.begin(act.key, act.kind, act.dataset_key, act.request(), act.replica_id)
            try:
                operation = self._ledger.operations.take(operation.id, actor.run_id, actor.may_take_over)
            except HeldElsewhere:
                continue  # followed later
            if operation.state is OperationState.INTENT and not act.is_whole(operation):
                fresh.append((act, operation))
        if len(fresh) < 2:
            return  # one alone prepares itself
        together = {"paths": [act.todo.place.mover_path for act, _ in fresh], "together": [operation.id for _, operation in fresh]}
        with fresh[0][0]._on_record(fresh[0][1]):
            prepared = {**batch[0].mover.prepare(), **together}
        for _, operation in fresh:
            self._ledger.operations.annotate(operation, prepared=prepared)

    def _ends(
        self, actor: Actor, doomed: Sequence[tuple[Replica, dict[str, Any]]], acts: Sequence[DeleteAct], errors: Mapping[str, AlsError]
    ) -> list[Deletion]:
        """A place that does not answer, or where everything is paused, is waited for once and not for each copy of a batch anew."""
        actors: dict[str, Actor] = {}
        ends = []
        for (replica, _), act in zip(doomed, acts, strict=True):
            here = actors.get(replica.location, actor)
            ends.append(self._end(here, replica, act, errors))
            actors[replica.location] = here.after(ends[-1].error)
        return ends

    def _end(self, actor: Actor, replica: Replica, act: DeleteAct, errors: Mapping[str, AlsError]) -> Deletion:
        if act.key in errors:
            return Deletion(replica, errors[act.key])
        try:
            operation = carry_out(self._ledger, actor, act, after=replica.after_operation)
        except LeaseLost:
            raise
        except AlsError as error:
            return Deletion(self._ledger.replicas.get(replica.id), error)
        evidence = {**replica.evidence, "deleted_by": operation.key, "proof": act.proof, "link": operation.outcome.get("link", "")}
        return Deletion(self._ledger.replicas.move(replica.id, ReplicaState.DELETED, why="pruned by policy", evidence=evidence))


def _batches(acts: Iterable[DeleteAct]) -> list[list[DeleteAct]]:
    """What one task can delete: the same location, and either files or folders (a task that may delete folders is never given a file)."""

    def together(act: DeleteAct) -> tuple[str, bool]:
        return act.todo.place.location_name, act.todo.is_directory

    batches = []
    for _, group in groupby(sorted(acts, key=together), together):
        members = list(group)
        most = members[0].mover.most_items
        batches += [members[i : i + most] for i in range(0, len(members), most)]
    return batches
