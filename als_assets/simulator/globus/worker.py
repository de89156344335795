"""What the workers of transfers and deletions share: checkpoints, waiting, being held, and their three ways to end.

Here: cancel, deadline, stop of the simulator, and the faults that hold a task up. Not here: bytes; ``copying`` moves them,
``deleting`` removes them.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from als_assets.simulator import clock
from als_assets.simulator.config import GlobusConfig
from als_assets.simulator.faults import FaultBook, LiveRule
from als_assets.simulator.globus.documents import Task
from als_assets.simulator.globus.files import OutsideRoot, real_path
from als_assets.simulator.store import Store

_LOOK_S = 0.05
_PERSON = "person"


class Trouble(Exception):
    """An error that the service retries until the deadline. ``every`` writes an event each time, not once a second."""

    def __init__(self, code: str, description: str, details: str, *, at_source: bool = False, every: bool = False) -> None:
        super().__init__(f"{code}: {details}")
        self.code, self.description, self.details = code, description, details
        self.at_source, self.every = at_source, every


class Fatal(Exception):
    """An error that ends the task as FAILED."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code, self.description = code, description


class Interrupted(Exception):
    """The simulator stops; the task stays as it is and goes on at the next start."""


@dataclass(frozen=True)
class Tools:
    """What a worker works with."""

    config: GlobusConfig
    store: Store
    faults: FaultBook
    stop: threading.Event


class Worker:
    """Carries out one task in a thread of its own."""

    def __init__(self, tools: Tools, task: Task) -> None:
        self.tools, self.task = tools, task
        doc = task.doc
        self.document, self.owner, self.label = doc["_document"], doc["owner_id"], doc["label"]
        self._next_look = 0.0
        self._told: dict[tuple[str, str], float] = {}

    def run(self) -> None:
        """Work until the task has ended or the simulator stops."""
        try:
            doc = self.task.doc
            if not doc["_started"]:
                self.task.event("STARTED", "started")
                self.task.set(_started=True)
                self.task.nice("OK", "OK")
            if doc["_held_by"]:
                self._wait_while_held()
            self.work()
            self.task.finish("SUCCEEDED")
        except Fatal as end:
            self.task.finish("FAILED", end.code, end.description)
        except Interrupted:
            return

    def work(self) -> None:
        """The work itself; must be repeatable, because a restart runs it again."""
        raise NotImplementedError

    # --- time ----------------------------------------------------------------------------------------------------------

    def checkpoint(self) -> None:
        """Notice a stop, a cancel and the deadline. Raises ``Interrupted`` or ``Fatal``."""
        if self.tools.stop.is_set():
            raise Interrupted
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _LOOK_S
        doc = self.task.doc
        if doc["_cancel"]:
            raise Fatal("CANCELED", "canceled by user")
        if clock.now() > clock.parse(doc["deadline"]):
            raise Fatal("EXPIRED", "the task's deadline has passed")

    def wait(self, seconds: float) -> None:
        """Wait, with checkpoints."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.checkpoint()
            self.tools.stop.wait(min(left, _LOOK_S))
        self.checkpoint()

    # --- faults --------------------------------------------------------------------------------------------------------

    def obey(self, rule: LiveRule, details: str) -> None:
        """Carry out the faults that transfers and deletions share; others are left to the caller."""
        code = rule.code
        if rule.action == "fail":
            raise Fatal(code or "ENDPOINT_ERROR", rule.message or f"fatal error at {details}")
        if rule.action == "error":
            raise Trouble(code or "ENDPOINT_ERROR", rule.message or "an endpoint reported an error", details, every=True)
        if rule.action == "stall":
            self._hold(rule.id)
        elif rule.action == "pause":
            self.tell(Trouble(code or "PAUSED_BY_ADMIN", rule.message or "paused by the administrator", details, every=True))
            self._hold(rule.id, is_paused=True)
        elif rule.action == "inactive":
            self.tell(Trouble(code or "CREDENTIALS_EXPIRED", rule.message or "credentials expired", details, every=True))
            self._hold(_PERSON, status="INACTIVE")

    def _hold(self, by: str, **changes: object) -> None:
        self.task.set(_held_by=by, **changes)
        self._wait_while_held()

    def _wait_while_held(self) -> None:
        while (by := self.task.doc["_held_by"]) and (by == _PERSON or self.tools.faults.in_force(by)):
            self.wait(_LOOK_S)
        self.task.set(_held_by=None, is_paused=False, status="ACTIVE")
        self.task.nice("OK", "OK")

    def tell(self, trouble: Trouble) -> None:
        """Write the event of a trouble; the same one at most once a second, because a retry is much faster here."""
        key = (trouble.code, trouble.details)
        if not trouble.every and time.monotonic() - self._told.get(key, -1e9) < 1.0:
            return
        self._told[key] = time.monotonic()
        self.task.event(trouble.code, trouble.description, trouble.details, is_error=True)

    # --- paths ---------------------------------------------------------------------------------------------------------

    def readable(self, collection_id: str, path: str, *, follow: bool = True) -> Path:
        """The real file behind a path. Raises ``Trouble`` when it lies outside the collection."""
        try:
            return real_path(self.tools.config.collections[collection_id].root, path, follow=follow)
        except OutsideRoot as error:
            raise Trouble("PERMISSION_DENIED", "permission denied", str(error), at_source=True) from error

    def writable(self, collection_id: str, path: str, *, follow: bool = True) -> Path:
        """The real file behind a path to be changed. Raises ``Trouble`` also when this client may only read there."""
        allowed = self.tools.config.collections[collection_id].writable_by
        if allowed is not None and self.owner not in allowed:
            raise Trouble("PERMISSION_DENIED", "permission denied", f"{path}: this identity may only read here")
        try:
            return self.readable(collection_id, path, follow=follow)
        except Trouble as error:
            error.at_source = False
            raise
