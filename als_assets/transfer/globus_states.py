"""What a Globus task document means: a total function from its fields to our task states, with a sentence for staff.

Here: the classification, pure, by the rows of ``globus_outcomes``. Not here: requests, and the rows. Globus says that error codes
may change, so a code without a row has a safe default: it is never a success. Source: https://docs.globus.org/api/transfer/task/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from als_assets.transfer.globus_outcomes import OTHER, STATE_OF, Answer, Outcome, Says, outcome
from als_assets.transfer.mover import TaskState, TaskView

# Globus re-sends a damaged file by itself; after that many faults the path is not to be trusted.
DAMAGE_FAULTS = 3
# A file may still be closing at its writer, and Globus shows an error for minutes after it has passed: a HOPELESS task is given up
# only when it was seen so for this long without any progress.
SETTLE = timedelta(minutes=2)


@dataclass(frozen=True)
class _Look:
    """A task document being read."""

    task: Mapping[str, Any]
    link: str
    facts: dict[str, Any]

    def view(self, row: Outcome, sentence: str, *, state: TaskState | None = None, code: str = "") -> TaskView:
        trouble = (code or row.code) if row.rests else ""
        return TaskView(state or STATE_OF[row.answer], sentence, self.facts, self.link, row.next_step, trouble)

    def text(self, *names: str, default: str) -> str:
        return next((str(self.task[name]) for name in names if self.task.get(name)), default)


def view_of(task: Mapping[str, Any], *, link: str) -> TaskView:
    """The state of a task document, in our words."""
    look = _Look(task, link, _facts(task))
    row = outcome(Says.STATUS, str(task.get("status")))
    if row.answer is Answer.PROVE:
        return _succeeded(look, row)
    if row.answer is Answer.FAIL:
        return _failed(look)
    if row.answer is Answer.PERSON:
        reason = look.text("nice_status_short_description", "nice_status", default="no reason given")
        return look.view(row, f"{row.words}: {reason}.", code=look.text("nice_status", default="INACTIVE"))
    if row.answer is Answer.FOLLOW:
        return _active(look)
    return look.view(row, f"Globus reports the state '{task.get('status')}', which {row.words}.")


def _succeeded(look: _Look, row: Outcome) -> TaskView:
    skipped = int(look.task.get("subtasks_skipped_errors") or 0)
    if skipped:
        bad = outcome(Says.EVENT, "SKIPPED_ERRORS")
        return look.view(bad, f"Globus calls it a success but left out {skipped} file(s) with errors.")
    if look.task.get("type") == "TRANSFER" and look.task.get("verify_checksum") is not True:
        return look.view(outcome(Says.FATAL, OTHER), "Globus calls it a success but did not compare checksums.")
    return look.view(row, row.words)


def _failed(look: _Look) -> TaskView:
    fatal = look.task.get("fatal_error") or {}
    code, words = str(fatal.get("code", "no code")), fatal.get("description", "no description")
    row = outcome(Says.FATAL, code)
    meaning = "" if row.code == OTHER else f": {row.words}"
    return look.view(row, f"Globus ended the task as failed{meaning} ({code}: {words}).", code=code)


def _active(look: _Look) -> TaskView:
    if look.task.get("is_paused"):
        row = outcome(Says.PAUSED, "true")
        return look.view(row, f"Waiting: {row.words}.", code=look.text("nice_status", default="PAUSED"))
    nice = str(look.task.get("nice_status") or "OK")
    row = outcome(Says.NICE, "VERIFY_CHECKSUM" if "CHECKSUM" in nice else nice)
    faults = int(look.task.get("faults") or 0)
    if row.answer is Answer.RESENT and faults >= DAMAGE_FAULTS:
        return look.view(row, f"The copy arrived damaged {faults} times ({row.words}).")
    if row.answer is Answer.GIVE_UP:
        return look.view(row, f"Globus keeps trying, but {row.words} ({nice}).")
    if nice == "Queued":
        return look.view(row, f"Waiting: {row.words}.", state=TaskState.QUEUED)
    if row.answer is Answer.WAIT:
        return look.view(row, f"Waiting: {row.words} ({nice}); Globus goes on trying.")
    trouble = (
        "" if nice == "OK" else f"{row.words} ({nice})" if row.code == OTHER else f"Globus reports {nice} ({row.words}) and goes on trying"
    )
    return look.view(row, trouble, state=TaskState.ACTIVE)


def _facts(task: Mapping[str, Any]) -> dict[str, Any]:
    names = (
        "task_id",
        "status",
        "nice_status",
        "nice_status_details",
        "faults",
        "files",
        "files_transferred",
        "files_skipped",
        "bytes_transferred",
        "bytes_checksummed",
        "effective_bytes_per_second",
        "request_time",
        "completion_time",
        "verify_checksum",
        "subtasks_skipped_errors",
    )
    facts = {name: task.get(name) for name in names}
    return {**facts, "fatal_error": task["fatal_error"]} if task.get("fatal_error") else facts
