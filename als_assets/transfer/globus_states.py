"""What a Globus task document means: a total function from its fields to our task states, with a sentence for staff.

Here: the classification, pure. Not here: requests. Globus says that error codes may change, so they are classified by table with
a safe default and never by an exhaustive list. Source: https://docs.globus.org/api/transfer/task/.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from als_assets.transfer.mover import TaskState, TaskView
from als_assets.words import size_words

# Globus re-sends a damaged file by itself; after that many faults the path is not to be trusted.
DAMAGE_FAULTS = 3
# A file may still be closing at its writer: these codes count only after they had time to pass.
SETTLE = timedelta(minutes=2)
HOPELESS_CODES = {
    "FILE_NOT_FOUND": "the source is not there",
    "PERMISSION_DENIED": "access is denied",
    "IS_A_DIRECTORY": "a folder is where a file was expected",
    "NOT_A_DIRECTORY": "a file is where a folder was expected",
}


def view_of(task: Mapping[str, Any], *, link: str, now: datetime | None = None) -> TaskView:
    """The state of a task document, in our words."""
    status = task.get("status")
    facts = _facts(task)
    if status == "SUCCEEDED":
        return _succeeded(task, facts, link)
    if status == "FAILED":
        fatal = task.get("fatal_error") or {}
        code, words = fatal.get("code", "no code"), fatal.get("description", "no description")
        return TaskView(TaskState.FAILED, f"Globus ended the task as failed ({code}: {words}).", facts, link)
    if status == "INACTIVE":
        reason = task.get("nice_status_short_description") or task.get("nice_status") or "no reason given"
        return TaskView(TaskState.NEEDS_PERSON, f"Globus has suspended the task: {reason}.", facts, link)
    if status != "ACTIVE":
        return TaskView(TaskState.UNKNOWN, f"Globus reports the state '{status}', which is not known here.", facts, link)
    return _active(task, facts, link, now or datetime.now(UTC))


def _succeeded(task: Mapping[str, Any], facts: dict[str, Any], link: str) -> TaskView:
    skipped = int(task.get("subtasks_skipped_errors") or 0)
    if skipped:
        return TaskView(TaskState.FAILED, f"Globus calls it a success but left out {skipped} file(s) with errors.", facts, link)
    if task.get("type") == "TRANSFER" and task.get("verify_checksum") is not True:
        return TaskView(TaskState.FAILED, "Globus calls it a success but did not compare checksums.", facts, link)
    return TaskView(TaskState.SUCCEEDED, "Globus finished the task.", facts, link)


def _active(task: Mapping[str, Any], facts: dict[str, Any], link: str, now: datetime) -> TaskView:
    nice = str(task.get("nice_status") or "OK")
    if task.get("is_paused"):
        return TaskView(TaskState.NEEDS_PERSON, "The task is paused by a rule of the collection's manager.", facts, link)
    if "CHECKSUM" in nice and int(task.get("faults") or 0) >= DAMAGE_FAULTS:
        faults = task["faults"]
        return TaskView(TaskState.DAMAGED, f"The copy arrived damaged {faults} times (checksums differ).", facts, link)
    if nice in HOPELESS_CODES and now - _time(task.get("request_time"), now) > SETTLE:
        return TaskView(TaskState.HOPELESS, f"Globus keeps trying, but {HOPELESS_CODES[nice]} ({nice}).", facts, link)
    if nice == "Queued":
        return TaskView(TaskState.QUEUED, "Waiting for a free Globus slot (three tasks run at a time).", facts, link)
    moved = int(task.get("bytes_transferred") or 0)
    trouble = "" if nice == "OK" else f"; Globus reports {nice} and goes on trying"
    return TaskView(TaskState.ACTIVE, f"Globus has moved {size_words(moved)}{trouble}.", facts, link)


def _facts(task: Mapping[str, Any]) -> dict[str, Any]:
    names = (
        "task_id",
        "status",
        "nice_status",
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


def _time(text: Any, default: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return default
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
