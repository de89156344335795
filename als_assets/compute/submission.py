"""Handing a job over exactly once, whatever the network does with the answer.

Here: the mark in the record before the request, the waiting and looking after an answer that was lost, and the next queue when the
scheduler refuses one. Not here: the request itself (transports). A second request is sent only when the first provably came to
nothing; and if it did after all, the script's claim file lets only one copy work.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import PurePosixPath

from als_assets.compute.spec import JobHandle
from als_assets.compute.transport import Transport, TriesQueues
from als_assets.errors import CredentialsRejected, JobRefused, ServiceUnreachable
from als_assets.ledger import Ledger, Operation

# A submission that was heard shows up in the scheduler's lists, or in the log folder, within this time.
SUBMIT_GRACE = timedelta(seconds=60)
_LOOK_S = 2.0


class Submission:
    """One job's way to one site. ``pause(seconds)`` sleeps."""

    def __init__(self, ledger: Ledger, transport: Transport, site: str, pause: Callable[[float], None]) -> None:
        self._ledger = ledger
        self._transport = transport
        self._site = site
        self._pause = pause

    def once(self, operation: Operation) -> JobHandle:
        """The handle of the job of this intent, submitted now or found.

        Raises:
            JobRefused: the scheduler saw it and said no, or provably nothing reached the site. ServiceUnreachable: it may have been
            heard; the intent stays open and is looked for by the next attempt. CredentialsRejected (while looking), LeaseLost.
        """
        if operation.handle.get("asked_at"):
            job_id = self._heard(operation)
            if job_id is not None:
                return self._handle(operation, job_id)
        while True:
            try:
                return self._handle(operation, self._ask(operation))
            except JobRefused as refused:
                following = self._next_queue(operation) if refused.details.get("queue") else None
                if following is None:
                    raise
                # The changed script is the intent from here on, on record before it leaves.
                operation = self._ledger.operations.annotate(operation, script=following[1], queue=following[0])

    def _ask(self, operation: Operation) -> str:
        name, log_dir = operation.request["name"], PurePosixPath(operation.request["log_dir"])
        operation = self._ledger.operations.annotate(operation, asked_at=self._ledger.clock().isoformat())
        try:
            return self._transport.submit(name, _script(operation), log_dir)
        except JobRefused:
            # A scheduler may say "timed out" after it took the job: only the job's absence proves the refusal.
            job_id = self._transport.find(name, log_dir)
            if job_id is None:
                raise
            return job_id
        except CredentialsRejected as rejected:  # so nothing was started
            raise JobRefused(rejected.sentence, next_step=rejected.next_step, site_fault=True) from rejected
        except ServiceUnreachable as lost:
            if lost.details.get("nothing_sent"):
                raise JobRefused(f"The job was not submitted: {lost.sentence}", next_step=lost.next_step, site_fault=True) from lost
            job_id = self._heard(operation)
            if job_id is None:
                raise
            return job_id

    def _heard(self, operation: Operation) -> str | None:
        """The job of an earlier request, looked for until the grace time after that request is over."""
        name, log_dir = operation.request["name"], PurePosixPath(operation.request["log_dir"])
        end = datetime.fromisoformat(operation.handle["asked_at"]) + SUBMIT_GRACE
        problem: ServiceUnreachable | None = None
        while True:
            try:
                job_id, problem = self._transport.find(name, log_dir), None
            except ServiceUnreachable as error:
                job_id, problem = None, error
            if job_id is not None:
                return job_id
            self._ledger.operations.require_lease(operation)
            if self._ledger.clock() >= end:
                break
            self._pause(min(_LOOK_S, self._transport.poll_s))
        if problem is not None:  # nothing can be said about the job
            raise problem
        return None

    def _next_queue(self, operation: Operation) -> tuple[str, str] | None:
        if not isinstance(self._transport, TriesQueues):
            return None
        return self._transport.next_queue(_script(operation))

    def _handle(self, operation: Operation, job_id: str) -> JobHandle:
        request, note = operation.request, operation.handle
        now = self._ledger.clock().isoformat(timespec="seconds")
        return JobHandle(self._site, job_id, request["name"], request["log_dir"], now, str(note.get("queue", "")))


def _script(operation: Operation) -> str:
    return str(operation.handle.get("script") or operation.request["script"])
