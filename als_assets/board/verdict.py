"""The verdict over one step: done, going on, failed, stopped, cancelled, removed, left out or waiting, with the words for staff.

Here: a pure judgement over the rows that belong to a step. Not here: which rows those are (``steps``). What is newest decides, and
what was mended later is history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from als_assets.board.links import Link, partition_page, remote_pages, run_page, safe_url
from als_assets.board.records import ScanRecord
from als_assets.facility import Facility
from als_assets.ledger import Audit, Operation, OperationKind, OperationState, OutboxRow, Replica, ReplicaState
from als_assets.ledger.products import RAW
from als_assets.ledger.states import OPEN_OPERATIONS

RETRY = "Open the run in Dagster and choose 'Re-execute from failure'."


class StepState(StrEnum):
    """In the words that are shown."""

    DONE = "done"
    GOING_ON = "going on"
    FAILED = "failed"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    REMOVED = "removed"
    LEFT_OUT = "left out"
    WAITING = "waiting"


BAD = frozenset({StepState.FAILED, StepState.STOPPED})


@dataclass(frozen=True)
class Step:
    """One step as the page shows it. ``report`` is the job's report where there is one."""

    asset: str
    title: str
    state: StepState
    sentence: str
    next_step: str = ""
    at: datetime | None = None
    page: str = ""
    links: tuple[Link, ...] = ()
    report: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Matter:
    """The rows about one step. ``operations`` are newest first. ``settled`` are replicas whose product and variant is verified:
    failures on the way to them are history. ``complete``: nothing that was begun is missing."""

    operations: Sequence[Operation] = ()
    replicas: Sequence[Replica] = ()
    settled: frozenset[int] = frozenset()
    done_at: datetime | None = None
    complete: bool = False
    unwritten: OutboxRow | None = None  # the record that SciCat could not take yet, and will


@dataclass(frozen=True)
class _Found:
    state: StepState
    sentence: str
    next_step: str = ""
    at: datetime | None = None
    page: str = ""
    operation: Operation | None = None
    run_id: str = ""


def judge(facility: Facility, record: ScanRecord, asset: str, title: str, matter: Matter, missing: Sequence[Step]) -> Step:
    """The step. ``missing`` are the steps before it that are not done."""
    failure = _failure(record, asset, matter)
    found = (
        _going_on(record, matter, failure)
        or _queued(matter)
        or failure
        or _doubtful(matter)
        or _done(matter)
        or _cancelled(matter)
        or _removed(matter)
        or _left_out(record, asset, missing)
        or _waiting(record, missing)
    )
    operation = found.operation
    holder = found.run_id or (operation.holder if operation else None)
    links = [*partition_page(facility, asset, record.dataset.key), *run_page(facility, holder)]
    links += remote_pages(facility, operation) if operation else []
    report = operation.outcome.get("report") if operation else None
    return Step(
        asset=asset,
        title=title,
        state=found.state,
        sentence=found.sentence,
        next_step=found.next_step,
        at=found.at,
        page=found.page,
        links=tuple(links),
        report=report if isinstance(report, Mapping) else {},
    )


def _going_on(record: ScanRecord, matter: Matter, failure: _Found | None) -> _Found | None:
    """An open operation is at work unless its run has ended, or has noted that this step failed."""
    opened = next((o for o in matter.operations if o.state in OPEN_OPERATIONS), None)
    if opened is None or (failure is not None and failure.run_id == opened.holder):
        return None
    begun = opened.submitted_at or opened.created_at
    if opened.holder in record.gone:
        words = "The run that worked on this has ended without finishing it; what it started remotely may still be going on."
        after = f"After a crash it is taken up again by itself within a minute. If not: {RETRY}"
        return _Found(StepState.STOPPED, words, after, begun, operation=opened)
    progress = opened.handle.get("progress")
    return _Found(StepState.GOING_ON, str(progress) if progress else _beginning(opened), at=begun, operation=opened)


def _queued(matter: Matter) -> _Found | None:
    """A record that is kept for SciCat to come back is no failure, whatever the attempts say."""
    row = matter.unwritten
    if row is None:
        return None
    words = f"Waiting for SciCat since {row.enqueued_at:%Y-%m-%d %H:%M} UTC"
    words += f" (tried {row.attempts} times: {row.last_error})" if row.last_error else "."
    return _Found(StepState.WAITING, words, "Nothing to do: it is written as soon as SciCat answers.", row.enqueued_at)


def _beginning(operation: Operation) -> str:
    return {
        OperationKind.TRANSFER: "The copy is being started.",
        OperationKind.JOB: "The job is being handed over.",
        OperationKind.CATALOGUE: "The record is being written.",
        OperationKind.DELETE: "The deletion is being started.",
    }[operation.kind]


def _failure(record: ScanRecord, asset: str, matter: Matter) -> _Found | None:
    """The newest failure that nothing has mended since: of an operation, or noted by the step itself (then with its next step)."""
    found = [_failed_operation(o) for o in _last_of_each(matter.operations) if _counts(o, matter)]
    notes = record.failures_of(asset)
    if notes and not matter.complete and (matter.done_at is None or notes[0].at > matter.done_at):
        found.append(_noted(notes[0], matter))
    return max(found, key=lambda f: f.at or record.dataset.admitted_at) if found else None


def _last_of_each(operations: Sequence[Operation]) -> list[Operation]:
    return list({o.key: o for o in reversed(operations)}.values())


def _counts(operation: Operation, matter: Matter) -> bool:
    mended = operation.replica_id in matter.settled
    return operation.state is OperationState.FAILED and not mended


def _failed_operation(operation: Operation) -> _Found:
    report = operation.outcome.get("report")
    after = str(report.get("next_step") or "") if isinstance(report, Mapping) else ""
    sentence = str(operation.outcome.get("sentence") or "It failed, and the record does not say why.")
    return _Found(StepState.FAILED, sentence, after or RETRY, operation.finished_at, operation=operation)


def _noted(note: Audit, matter: Matter) -> _Found:
    run = str(note.evidence.get("run_id") or "")
    mine = next((o for o in matter.operations if o.holder == run), None)
    after, page = str(note.evidence.get("next_step") or RETRY), str(note.evidence.get("page") or "")
    return _Found(StepState.FAILED, note.why, after, note.at, page, operation=mine, run_id=run)


def _doubtful(matter: Matter) -> _Found | None:
    """A copy that was proven once and did not hold when it was looked at again, while nothing else stands for it."""
    bad = (ReplicaState.SUSPECT, ReplicaState.LOST)
    replica = next((r for r in matter.replicas if r.state in bad and r.id not in matter.settled), None)
    if replica is None:
        return None
    words = f"The copy at {replica.location} was verified once, but did not hold when it was looked at again (see the history)."
    after = f"Make it again: {RETRY} If it happens twice, call an operator. {settling_words(replica)}"
    return _Found(StepState.FAILED, words, after, replica.changed_at)


def settling_words(replica: Replica) -> str:
    """What an operator can do about a copy that is suspect; empty for any other."""
    if replica.state is not ReplicaState.SUSPECT:
        return ""
    which = f"{replica.dataset_key} --at {replica.location}" + (f" --product {replica.product}" if replica.product != RAW else "")
    which += f" --variant {replica.variant}" if replica.variant else ""
    return f"To have every byte of it read again: als copy prove {which} --reason WHY (or als copy replace, als copy lost)."


def _done(matter: Matter) -> _Found | None:
    if matter.done_at is None:
        return None
    last = next((o for o in matter.operations if o.state is OperationState.SUCCEEDED), None)
    sentence = last.outcome.get("sentence") if last is not None else None
    if last is not None and last.kind is OperationKind.CATALOGUE:
        sentence = "Recorded." if last.outcome.get("created") else "The record was there and agrees."
    words = str(sentence) if sentence else ("Verified." if matter.replicas else "Made.")
    return _Found(StepState.DONE, words, at=matter.done_at, operation=last)


def _cancelled(matter: Matter) -> _Found | None:
    last = matter.operations[0] if matter.operations else None
    if last is None or last.state is not OperationState.CANCELLED:
        return None
    words = str(last.outcome.get("sentence") or "It was cancelled.")
    return _Found(StepState.CANCELLED, words, f"If that was not meant: {RETRY}", last.finished_at, operation=last)


def _removed(matter: Matter) -> _Found | None:
    gone = [r for r in matter.replicas if r.state in (ReplicaState.DELETED, ReplicaState.DELETING)]
    if not gone:
        return None
    proof = gone[-1].evidence.get("proof")
    copies = proof.get("copies", []) if isinstance(proof, Mapping) else []
    places = ", ".join(str(c.get("location")) for c in copies if isinstance(c, Mapping))
    words = f"Removed by the retention policy; copies remain at {places}." if places else "Removed by the retention policy."
    return _Found(StepState.REMOVED, words, at=gone[-1].changed_at)


def _left_out(record: ScanRecord, asset: str, missing: Sequence[Step]) -> _Found | None:
    reasons = record.decision.evidence if record.decision is not None else {}
    reason = str(reasons.get(asset, ""))
    if reason.startswith("left out: "):
        return _Found(StepState.LEFT_OUT, _sentence(reason.removeprefix("left out: ")))
    without = next((step for step in missing if step.state is StepState.LEFT_OUT), None)
    if without is not None and reasons and not reason:
        return _Found(StepState.LEFT_OUT, f"Left out, because '{without.title}' is left out.")
    return None


def _waiting(record: ScanRecord, missing: Sequence[Step]) -> _Found:
    if record.dataset.started_at is None:
        return _Found(StepState.WAITING, "The scan has not been started yet.")
    if missing:
        return _Found(StepState.WAITING, "Waits for: " + ", ".join(step.title for step in missing) + ".")
    if record.living:
        return _Found(StepState.WAITING, "Its turn comes in the run that is going on.")
    return _Found(StepState.WAITING, "Nothing works on it now.", "To have it made, open it in Dagster and press 'Materialize'.")


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def link_of(evidence: Mapping[str, Any]) -> str:
    """The remote page that a piece of evidence names, or ''."""
    return safe_url(evidence.get("link"))
