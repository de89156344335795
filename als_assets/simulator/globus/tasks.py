"""The queue of tasks: acceptance under a submission id, slots per identity, cancel, and going on after a restart.

Here: which task runs when, each in a thread of its own. Not here: what a task does (``copying``, ``deleting``) and how it is
shown (``transfer_api``).
"""

from __future__ import annotations

import threading
import uuid
from collections import Counter

from als_assets.simulator.config import GlobusConfig
from als_assets.simulator.faults import FaultBook
from als_assets.simulator.globus.auth import GlobusError
from als_assets.simulator.globus.copying import TransferWorker
from als_assets.simulator.globus.deleting import DeleteWorker
from als_assets.simulator.globus.documents import ENDED, OPEN, TASK, Task, new_task
from als_assets.simulator.globus.worker import Tools, Worker
from als_assets.simulator.store import Doc, Store

_SUBMISSION = "globus_submission"
_WORKERS: dict[str, type[Worker]] = {"TRANSFER": TransferWorker, "DELETE": DeleteWorker}


class TaskQueue:
    """All tasks of one simulator. Each identity has ``task_slots`` transfers and as many deletions at a time."""

    def __init__(self, config: GlobusConfig, store: Store, faults: FaultBook) -> None:
        self._config, self._store = config, store
        self._tools = Tools(config, store, faults, threading.Event())
        self._threads: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Go on with every task that had not ended when the simulator stopped or was killed."""
        self._tools.stop.clear()
        self._pump()

    def stop(self) -> None:
        """Let all workers stop where they are; their tasks stay ACTIVE."""
        self._tools.stop.set()
        with self._lock:
            threads = list(self._threads.values())
        for thread in threads:
            thread.join()

    def new_submission_id(self) -> str:
        """An id under which one document may be submitted once."""
        value = str(uuid.uuid4())
        self._store.put(_SUBMISSION, value, {"task_id": None})
        return value

    def submit(self, kind: str, owner: str, document: Doc) -> tuple[str, str]:
        """("Accepted" or "Duplicate", task id). The second document under one submission id is never looked at.

        Raises:
            GlobusError: 400 for a submission id that was not issued here.
        """
        submission_id = str(document.get("submission_id"))
        with self._store.transaction():
            submission = self._store.get(_SUBMISSION, submission_id)
            if submission is None:
                raise GlobusError(400, "ClientError.BadRequest", f"Invalid submission id '{submission_id}'")
            if submission["task_id"]:
                return "Duplicate", submission["task_id"]
            task = new_task(kind, owner, document, self._config)
            self._store.put(TASK, task["task_id"], task)
            self._store.put(OPEN, task["task_id"], {"owner_id": owner, "type": kind})
            self._store.update(_SUBMISSION, submission_id, task_id=task["task_id"])
        self._pump()
        return "Accepted", task["task_id"]

    def cancel(self, task_id: str) -> str:
        """End a task at its worker's next checkpoint; "Canceled", or "TaskComplete" when it had already ended."""
        task = Task(self._store, task_id)
        if task.doc["status"] in ENDED:
            return "TaskComplete"
        task.set(_cancel=True)
        with self._lock:
            thread = self._threads.get(task_id)
        if thread is None:
            task.finish("FAILED", "CANCELED", "canceled by user")
        else:
            thread.join(timeout=10)
        return "Canceled"

    def resume(self, task_id: str) -> None:
        """Let an INACTIVE, paused or stalled task go on. A KeyError for an unknown task."""
        self._store.update(TASK, task_id, _held_by=None)

    def _pump(self) -> None:
        """Start workers for the oldest waiting tasks, as far as their owners have slots."""
        with self._lock:
            if self._tools.stop.is_set():
                return
            slots = {task_id: (doc["owner_id"], doc["type"]) for task_id, doc in self._store.items(OPEN)}
            used = Counter(slot for task_id, slot in slots.items() if task_id in self._threads)
            for task_id, slot in slots.items():
                if task_id in self._threads or used[slot] >= self._config.task_slots:
                    continue
                used[slot] += 1
                thread = threading.Thread(target=self._work, args=(task_id, slot[1]), name=f"task-{task_id[:8]}", daemon=True)
                self._threads[task_id] = thread
                thread.start()

    def _work(self, task_id: str, kind: str) -> None:
        try:
            _WORKERS[kind](self._tools, Task(self._store, task_id)).run()
        finally:
            with self._lock:
                self._threads.pop(task_id, None)
            self._pump()
