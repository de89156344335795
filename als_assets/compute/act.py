"""A job as a remote act: its script is the intent, its name finds it again, and its success needs three witnesses.

Here: what ``ledger.acting.carry_out`` drives. Not here: which job is wanted (``service``), how a site is talked to (transports), and
the request to a scheduler that must never start a second job (``submission``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from als_assets.compute.outcomes import SECOND_COPY, Reason, SchedulerView, code_of, judge, signal_of
from als_assets.compute.poller import Poller
from als_assets.compute.report import JobReport, sentence_of
from als_assets.compute.spec import JobHandle, JobSpec
from als_assets.compute.submission import Submission
from als_assets.compute.transport import Transport
from als_assets.errors import BadOutput, JobError, JobFailed, JobLost
from als_assets.facility import ExportGate
from als_assets.ledger import Ledger, Operation, OperationKind, OperationState
from als_assets.ledger.acting import Ended, Running
from als_assets.words import duration_words

# squeue forgets a job before sacct knows its end, and the site caches both: silence shorter than this means nothing.
GRACE = timedelta(minutes=5)
LOG_LINES = 40
# The script is warned a minute before its limit; schedulers look every half minute.
_WARNING_S = 90

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
    pause: Callable[[float], None] = time.sleep

    @property
    def poll_s(self) -> float:
        return self.transport.poll_s

    @property
    def poller(self) -> Poller:
        return Poller(self.ledger.watching, self.spec.site, self.transport)

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
            "image": self.spec.image,
            "steps": [step.name for step in self.spec.steps],
            "size_bytes": self.spec.size_bytes,
        }

    def submit(self, operation: Operation) -> dict[str, Any]:
        self.gate.require(self.dataset_key, self.spec.site)
        return Submission(self.ledger, self.transport, self.spec.site, self.pause).once(operation).as_dict()

    def poll(self, operation: Operation) -> Running | Ended:
        job_id = operation.handle["job_id"]
        look = self.poller.look(job_id)
        if look.view is None:
            if look.missing_since is None:
                return Running(f"Job {_short(job_id)} was handed over; {self.site_title} is asked about it soon.")
            if self.ledger.clock() - look.missing_since < self.grace:
                return Running(f"Job {_short(job_id)} is not in the scheduler's lists at the moment; waiting for its record.")
            return self._end(operation, SchedulerView("LOST"))
        if look.view.live:
            return Running(f"Job {_short(job_id)} at {self.site_title}: {look.view.state.lower()}{_since(look.view)}.")
        return self._first_copy(operation, look.view) or self._end(operation, look.view)

    def _first_copy(self, operation: Operation, view: SchedulerView) -> Running | None:
        """A lost answer made a second copy of the job, which left at once: from now on the first one is followed."""
        if code_of(view.exit_code) != SECOND_COPY:
            return None
        handle = JobHandle.of(operation.handle)
        first = self.transport.find(handle.name, PurePosixPath(handle.log_dir))
        if first is None or first == handle.job_id:
            return None
        self.ledger.operations.annotate(operation, job_id=first)
        self.poller.forget(handle.job_id)
        return Running(f"Job {_short(handle.job_id)} was a second copy and did nothing; following job {_short(first)}.")

    def _end(self, operation: Operation, view: SchedulerView) -> Ended:
        report = self._report(self.ledger.operations.get(operation.id), view)
        self.poller.forget(operation.handle["job_id"])
        outcome = {"report": report.as_dict(), "sentence": report.sentence}
        if report.success:
            return Ended(OperationState.SUCCEEDED, report.sentence, outcome)
        cancelled = report.reason in (Reason.CANCELLED_BY_USER, Reason.CANCELLED_BY_PLATFORM)
        state = OperationState.CANCELLED if cancelled else OperationState.FAILED
        return Ended(state, report.sentence, outcome, _error(report))

    def _report(self, operation: Operation, view: SchedulerView) -> JobReport:
        request, job_id = operation.request, operation.handle["job_id"]
        base = f"{request['log_dir']}/{request['name']}"
        result = _parse(self.transport.tail(PurePosixPath(f"{base}.result.json"), 1))
        stderr = self.transport.tail(PurePosixPath(f"{base}.err"), LOG_LINES)
        stdout = self.transport.tail(PurePosixPath(f"{base}.out"), LOG_LINES)
        wrong = self.check(self.transport.listing(PurePosixPath(request["output"]))) if view.state.startswith("COMPLETED") else []
        ended = {"cancelled_by_us": "cancelled_by_us" in operation.handle, "out_of_time": _out_of_time(result, int(request["asked_s"]))}
        outcome = judge(view, result, wrong, **ended)
        log_line = _last_line(stderr) if outcome.reason is Reason.EXIT_CODE else ""
        return JobReport(
            sentence=sentence_of(request["title"], self.site_title, _short(job_id), view, outcome.what, log_line),
            next_step=outcome.next_step,
            reason=outcome.reason,
            page=outcome.reason.page,
            site=request["site"],
            job_id=_short(job_id),
            state=view.state,
            exit_code=view.exit_code,
            derived_exit_code=view.derived,
            signal=signal_of(view.exit_code),
            step=str(result.get("step", "")) if result else "",
            nodes=view.nodes,
            queue=str(operation.handle.get("queue", "")),
            queue_wait_s=view.queue_wait_s,
            used_s=view.used_s,
            asked_s=int(request["asked_s"]),
            max_rss=view.max_rss or _max_rss(result),
            image=str(request.get("image", "")),
            stdout_tail=stdout,
            stderr_tail=stderr,
            log_path=f"{base}.err",
            script=str(operation.handle.get("script") or request["script"]),
            site_fault=outcome.site_fault,
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


def _out_of_time(result: dict[str, Any] | None, asked_s: int) -> bool:
    """Whether the script says that it ran until about the end of its time, or the warning before it."""
    try:
        began, ended = (datetime.fromisoformat(str((result or {})[name])) for name in ("began", "ended"))
    except (KeyError, ValueError):
        return False
    return (ended - began).total_seconds() >= asked_s - _WARNING_S


def _max_rss(result: dict[str, Any] | None) -> str:
    """Where accounting does not say it, the script has read it from the job's control group."""
    peak = (result or {}).get("max_rss_bytes")
    return f"{peak // 1024}K" if isinstance(peak, int) and peak > 0 else ""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def _short(job_id: str) -> str:
    return job_id.rsplit("/", 1)[-1]


def _since(view: SchedulerView) -> str:
    return f" for {duration_words(view.used_s)}" if view.used_s else ""
