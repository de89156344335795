"""A remote act of a mover, from its intent to its proof: what copies and deletions share, and the copy.

Here: what ``ledger.acting.carry_out`` drives. Not here: deletions (``deleting``), which copy is wanted (``ensure``) and how a mover
talks (``globus``, ``posix``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from als_assets.errors import (
    AlsError,
    CollectionResting,
    CopyMismatch,
    CredentialsRejected,
    DeleteFailed,
    ServiceUnreachable,
    TransferDamaged,
    TransferFailed,
    TransferNeedsPerson,
    TransferStateUnknown,
)
from als_assets.ledger import Ledger, Manifest, Operation, OperationKind, OperationState, acting
from als_assets.ledger.acting import Ended, Running
from als_assets.transfer import globus_states
from als_assets.transfer.breaker import caused_by_collection, trouble_of
from als_assets.transfer.mover import FileFacts, History, Mover, TaskState, TaskView, TransferRequest
from als_assets.transfer.progress import Progress
from als_assets.transfer.verify import Comparison, compare, task_differences

# Right after a success Globus may not yet tell what it did.
HISTORY_TRIES = 5


@dataclass
class MoverAct:
    """``gate(operation)`` is asked before a new task is sent; it raises CollectionResting."""

    ledger: Ledger
    mover: Mover
    key: str
    dataset_key: str
    replica_id: int | None
    gate: Callable[[Operation], None] | None = field(default=None, kw_only=True)
    kind: ClassVar[OperationKind]
    failure: ClassVar[type[TransferFailed | DeleteFailed]]
    _trouble: str | None = field(default=None, init=False)
    _doubt: dict[str, Any] = field(default_factory=dict, init=False)

    @property
    def poll_s(self) -> float:
        return self.mover.poll_s

    def submit(self, operation: Operation) -> dict[str, Any]:
        with self._on_record(operation):
            if self.gate is not None:
                self.gate(operation)
            cleared = {name: None for name in ("refused", "trouble") if operation.handle.get(name)}
            return {**self._start(operation), **cleared}

    def poll(self, operation: Operation) -> Running | Ended:
        with self._on_record(operation):
            view = self.mover.look(operation.handle)
            self._note_trouble(operation, view)
            if view.state is TaskState.WAITING:
                return self._wait(view)
            if view.state is TaskState.HOPELESS and self._may_still_settle(operation, view):
                return self._going_on(view)
            if view.state in (TaskState.QUEUED, TaskState.ACTIVE):
                return self._going_on(view)
            return self._prove(operation, view) if view.state is TaskState.SUCCEEDED else self._not_done(operation, view)

    def _what(self) -> str:
        raise NotImplementedError

    def _start(self, operation: Operation) -> dict[str, Any]:
        raise NotImplementedError

    def _going_on(self, view: TaskView) -> Running:
        raise NotImplementedError

    def _prove(self, operation: Operation, view: TaskView) -> Ended | Running:
        raise NotImplementedError

    def prepared(self, operation: Operation) -> dict[str, Any]:
        """What must be on record before the first request: that of an earlier process, or a new one, stored before it is used."""
        found: dict[str, Any] | None = operation.handle.get("prepared")
        if found is None:
            found = self.mover.prepare()
            self.ledger.operations.annotate(operation, prepared=found)
        return found

    @contextmanager
    def _on_record(self, operation: Operation) -> Iterator[None]:
        """Keeps on record why nothing could be sent or learnt: rejected credentials make health red, a collection's errors let it rest."""
        try:
            yield
        except CredentialsRejected as error:
            refused = {"sentence": error.sentence, "next_step": error.next_step, "at": self.ledger.clock().isoformat()}
            self.ledger.operations.annotate(operation, refused=refused)
            raise
        except ServiceUnreachable as error:
            if caused_by_collection(str(error.details.get("code", ""))):
                self._keep_trouble(operation, str(error.details["code"]), error.sentence)
            raise

    def _note_trouble(self, operation: Operation, view: TaskView) -> None:
        if view.trouble and view.state is not TaskState.FAILED:
            self._keep_trouble(operation, view.trouble, f"{view.sentence} {view.facts.get('nice_status_details') or ''}")
        elif self._known_trouble(operation) and view.state in (TaskState.ACTIVE, TaskState.QUEUED):
            self.ledger.operations.annotate(operation, trouble=None)
            self._trouble = ""

    def _may_still_settle(self, operation: Operation, view: TaskView) -> bool:
        """Whether the error is young, or something moved since it was first seen. That moment is on record, for the next process."""
        now, facts = self.ledger.clock(), view.facts
        seen = [facts.get("nice_status"), facts.get("bytes_transferred"), facts.get("files_transferred"), facts.get("files_skipped")]
        self._doubt = self._doubt or operation.handle.get("doubt") or {}
        if self._doubt.get("seen") != seen:
            self._doubt = {"seen": seen, "since": now.isoformat()}
            self.ledger.operations.annotate(operation, doubt=self._doubt)
        return now - datetime.fromisoformat(self._doubt["since"]) <= globus_states.SETTLE

    def _keep_trouble(self, operation: Operation, code: str, words: str) -> None:
        if self._known_trouble(operation) != code:
            self.ledger.operations.annotate(operation, trouble=trouble_of(code, words, self.ledger.clock()))
            self._trouble = code

    def _known_trouble(self, operation: Operation) -> str:
        """The code on record: at the first look that which an earlier process left."""
        if self._trouble is None:
            self._trouble = str((operation.handle.get("trouble") or {}).get("code", ""))
        return self._trouble

    def _wait(self, view: TaskView) -> Running:
        """Paused, or a collection is away: waited out for a while; then the step leaves, so that its place is free, and the task stays."""
        lasting = CollectionResting(
            f"{self._what()} waits. {view.sentence}",
            next_step=f"The task is kept, and the step looks at it again by itself. {view.next_step}",
            retry_s=acting.PATIENCE.total_seconds() / 3,
            link=view.link,
        )
        return Running(view.sentence, phase=view.sentence, waits=lasting)

    def _not_done(self, operation: Operation, view: TaskView) -> Ended:
        """A task that did not succeed. Raises for states in which the task lives on and is kept; cancels hopeless ones."""
        details: dict[str, Any] = {**view.facts, "link": view.link}
        if view.state is TaskState.NEEDS_PERSON:
            raise TransferNeedsPerson(f"{self._what()} waits for a person. {view.sentence}", next_step=view.next_step, **details)
        if view.state is TaskState.UNKNOWN:
            raise TransferStateUnknown(f"{self._what()}: {view.sentence}", next_step=view.next_step, **details)
        if view.state in (TaskState.DAMAGED, TaskState.HOPELESS):
            self.mover.cancel(operation.handle)
        error = self._error(view, details)
        outcome = {**details, "sentence": error.sentence}
        if view.trouble:
            outcome["trouble"] = trouble_of(view.trouble, f"{view.sentence} {' '.join(view.facts.get('events', []))}", self.ledger.clock())
        return Ended(OperationState.FAILED, error.sentence, outcome, error)

    def _error(self, view: TaskView, details: dict[str, Any]) -> AlsError:
        sentence = f"{self._what()} failed. {view.sentence}"
        if view.state is TaskState.DAMAGED:
            return TransferDamaged(f"{sentence} The task was cancelled.", next_step=view.next_step, **details)
        return self.failure(sentence, next_step=view.next_step, **details)


@dataclass
class TransferAct(MoverAct):
    """Copy, follow, and prove that what arrived is what was sent. ``check`` is a further proof (a checksum of our own); it
    returns a row of evidence or raises CopyMismatch."""

    todo: TransferRequest
    manifest: Manifest
    check: Callable[[], dict[str, Any]] | None = None
    seen: Mapping[str, FileFacts] | None = field(default=None, init=False)  # what this process found there, compared and right
    kind = OperationKind.TRANSFER
    failure = TransferFailed
    _progress: Progress | None = field(default=None, init=False)
    _history_asked: int = field(default=0, init=False)

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

    def _what(self) -> str:
        return f"The copy of {self.dataset_key} to {self.todo.destination.location_name}"

    def _start(self, operation: Operation) -> dict[str, Any]:
        return self.mover.start_transfer(self.todo, self.prepared(operation))

    def _going_on(self, view: TaskView) -> Running:
        if self._progress is None:
            self._progress = Progress(self.manifest.files, self.manifest.size_bytes)
        return self._progress.running(view, self.ledger.clock())

    def _prove(self, operation: Operation, view: TaskView) -> Ended | Running:
        try:
            history = self.mover.history(operation.handle)
        except TransferFailed as error:
            return self._ask_again(view, error)
        found = compare(self.mover, self.todo.destination, self.manifest, f"{self.key} {view.facts.get('task_id')}")
        wrong = [f"{file} was left out" for file in history.left_out] + task_differences(view.facts, self.manifest) + found.wrong
        evidence: dict[str, Any] = {"task": dict(view.facts), "link": view.link, **found.evidence}
        try:
            if wrong:
                raise self._mismatch(wrong, found)
            if self.check is not None:
                evidence |= self.check()
        except CopyMismatch as error:
            return Ended(OperationState.FAILED, error.sentence, {**evidence, "sentence": error.sentence}, error)
        self.seen = found.seen
        evidence["metrics"] = self._metrics(operation, view, history)
        return Ended(OperationState.SUCCEEDED, "copied; files and sizes were compared at the destination", evidence)

    def _ask_again(self, view: TaskView, error: TransferFailed) -> Running:
        self._history_asked += 1
        if self._history_asked > HISTORY_TRIES:
            raise TransferStateUnknown(
                f"{self._what()} is called a success, but Globus does not tell what it did. {error.sentence}",
                next_step="Look at the task by its link; re-execute from failure asks again.",
                link=view.link,
            )
        return Running("Globus finished the task and does not tell yet what it did.", phase="history")

    def _mismatch(self, wrong: list[str], found: Comparison) -> CopyMismatch:
        destination, again = self.todo.destination, "Re-execute from failure: the copy is made again and compared again."
        if found.extra:
            files = ", ".join(f"'{name}'" for name in found.extra[:5]) + (" and others" if len(found.extra) > 5 else "")
            again = (
                f"Somebody else's files lie there, and are not deleted for you: move {files} out of {destination.site_path}. Then: {again}"
            )
        words = "; ".join(wrong[:6])
        return CopyMismatch(f"The copy of {self.dataset_key} at {destination.location_name} is wrong: {words}.", next_step=again)

    def _metrics(self, operation: Operation, view: TaskView, history: History) -> dict[str, Any]:
        """Bytes, seconds without the queue, bytes per second, seconds in the queue, faults."""
        began, now = operation.submitted_at or operation.created_at, self.ledger.clock()
        asked, ended = (view.facts.get(name) for name in ("request_time", "completion_time"))
        whole_s = (datetime.fromisoformat(ended) - datetime.fromisoformat(asked) if asked and ended else now - began).total_seconds()
        seconds = max(whole_s - (history.queued_s or 0.0), 0.0)
        sent = int(view.facts.get("bytes_transferred") or 0)
        rate = sent / seconds if seconds >= 1 else view.facts.get("effective_bytes_per_second")
        return {
            "bytes": sent,
            "seconds": seconds,
            "bytes_per_s": None if rate is None else round(rate),
            "queued_s": history.queued_s,
            "faults": view.facts.get("faults"),
        }
