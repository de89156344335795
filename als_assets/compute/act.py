"""A job as a remote act: its script is the intent, its name finds it again, and its success needs three witnesses.

Here: what ``ledger.acting.carry_out`` drives. Not here: which job is wanted (``service``) and how a site is talked to (transports).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from als_assets.compute.report import JobReport, Reason, SchedulerView, judge, sentence_of
from als_assets.compute.spec import JobSpec
from als_assets.compute.transport import Transport
from als_assets.errors import BadOutput, JobError, JobFailed, JobLost, JobRefused
from als_assets.facility import ExportGate
from als_assets.ledger import Ledger, Operation, OperationKind, OperationState
from als_assets.ledger.acting import Ended, Running
from als_assets.words import duration_words

# squeue forgets a job before sacct knows its end, and the site caches both: silence shorter than this means nothing.
GRACE = timedelta(minutes=5)
LOG_LINES = 40

OutputCheck = Callable[[dict[str, int] | None], list[str]]


@dataclass
class JobAct:
    """One job. ``check`` says what is wrong with a listing of the output (empty: nothing)."""

    ledger: Ledger
    gate: ExportGate
    transport: Transport
    spec: JobSpec
    site_title: str
    check: OutputCheck
    key: str
    dataset_key: str
    replica_id: int | None
    kind: OperationKind = OperationKind.JOB
    grace: timedelta = GRACE
    _missing_since: datetime | None = field(default=None, init=False)

    @property
    def poll_s(self) -> float:
        return self.transport.poll_s

    def request(self) -> dict[str, Any]:
        """Everything that a later process needs to find, read and judge the job without this object."""
        return {
            "name": self.spec.name,
            "site": self.spec.site,
            "title": self.spec.title,
            "script": self.transport.script(self.spec),
            "log_dir": str(self.spec.log_dir),
            "output": str(self.spec.output),
            "asked_s": self.spec.walltime_s,
            "parameters": self.spec.parameters,
        }

    def submit(self, operation: Operation) -> dict[str, Any]:
        self.gate.require(self.dataset_key, self.spec.site)
        name, log_dir = operation.request["name"], PurePosixPath(operation.request["log_dir"])
        job_id = self.transport.find(name, log_dir)
        if job_id is None:
            self.ledger.operations.require_lease(operation)
            try:
                job_id = self.transport.submit(name, operation.request["script"], log_dir)
            except JobRefused:
                # A scheduler may say "timed out" after it took the job: only the job's absence proves the refusal.
                job_id = self.transport.find(name, log_dir)
                if job_id is None:
                    raise
        return {"job_id": job_id, "site": self.spec.site}

    def poll(self, operation: Operation) -> Running | Ended:
        job_id = operation.handle["job_id"]
        view = self.transport.look(job_id)
        if view is None:
            now = self.ledger.clock()
            self._missing_since = self._missing_since or now
            if now - self._missing_since < self.grace:
                return Running(f"Job {job_id} is not in the scheduler's lists at the moment; waiting for its record.")
            view = SchedulerView("LOST")
        if view.live:
            self._missing_since = None
            return Running(f"Job {job_id} at {self.site_title}: {view.state.lower()}{_since(view)}.")
        return self._end(operation, view)

    def _end(self, operation: Operation, view: SchedulerView) -> Ended:
        report = self._report(operation, view)
        outcome = {"report": report.as_dict(), "sentence": report.sentence}
        if report.success:
            return Ended(OperationState.SUCCEEDED, report.sentence, outcome)
        cancelled = report.reason is Reason.CANCELLED
        state = OperationState.CANCELLED if cancelled else OperationState.FAILED
        return Ended(state, report.sentence, outcome, _error(report))

    def _report(self, operation: Operation, view: SchedulerView) -> JobReport:
        request, job_id = operation.request, operation.handle["job_id"]
        base = f"{request['log_dir']}/{request['name']}"
        result = _parse(self.transport.tail(PurePosixPath(f"{base}.result.json"), 1))
        stderr = self.transport.tail(PurePosixPath(f"{base}.err"), LOG_LINES)
        stdout = self.transport.tail(PurePosixPath(f"{base}.out"), LOG_LINES)
        wrong = self.check(self.transport.listing(PurePosixPath(request["output"]))) if view.state.startswith("COMPLETED") else []
        reason, what, next_step = judge(view, result, wrong)
        log_line = _last_line(stderr) if reason is Reason.EXIT_CODE else ""
        return JobReport(
            sentence=sentence_of(request["title"], self.site_title, _short(job_id), view, what, log_line),
            next_step=next_step,
            reason=reason,
            site=request["site"],
            job_id=_short(job_id),
            state=view.state,
            exit_code=view.exit_code,
            derived_exit_code=view.derived,
            step=str(result.get("step", "")) if result else "",
            nodes=view.nodes,
            queue_wait_s=view.queue_wait_s,
            used_s=view.used_s,
            asked_s=int(request["asked_s"]),
            max_rss=view.max_rss,
            stdout_tail=stdout,
            stderr_tail=stderr,
            log_path=f"{base}.err",
        )


def _error(report: JobReport) -> JobError:
    kinds: dict[Reason, type[JobError]] = {Reason.LOST: JobLost, Reason.BAD_OUTPUT: BadOutput}
    kind = kinds.get(report.reason, JobFailed)
    return kind(report.sentence, next_step=report.next_step, report=report.as_dict())


def _parse(text: str) -> dict[str, Any] | None:
    """The script's result; one that cannot be read is none, and the other witnesses then decide."""
    try:
        result = json.loads(text)
    except ValueError:
        return None
    return result if isinstance(result, dict) and isinstance(result.get("exit"), int) else None


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def _short(job_id: str) -> str:
    return job_id.rsplit("/", 1)[-1]


def _since(view: SchedulerView) -> str:
    return f" for {duration_words(view.used_s)}" if view.used_s else ""
