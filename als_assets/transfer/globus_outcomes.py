"""Everything that Globus says of a task or a request, and our answer to it: the one table that the code obeys and the docs are drawn from.

Here: rows of codes with what is done, what staff read and what they do next, and the safe default for a code that nobody has seen.
Not here: reading task documents (``globus_states``), requests, and drawing the page (``outcomes_page``). Sources: Globus Transfer
API, https://docs.globus.org/api/transfer/task/ and /task_events/; the codes below "seen in production" are from other facilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from als_assets.transfer.mover import TaskState


class Says(StrEnum):
    """In which field Globus says it."""

    STATUS = "status"
    PAUSED = "is_paused"
    NICE = "nice_status"
    FATAL = "fatal_error"
    EVENT = "event"
    REQUEST = "answer to a request"


class Answer(StrEnum):
    """What we do about it."""

    PROVE = "compared with the manifest; only then it counts"
    FOLLOW = "followed on"
    WAIT = "waited for, with these words; the task is kept"
    RESENT = "Globus sends the file again; cancelled after 3 faults"
    GIVE_UP = "cancelled when it still is so after the settle time"
    PERSON = "red; the task is kept for a person"
    FAIL = "red; the next attempt is a new task"
    ALARM = "red; the task is kept and looked at again"
    NOTE = "shown with the task's last events"
    CURE = "mended by itself once, then the request is repeated"
    RETRY = "tried again by itself; nothing is lost"


STATE_OF: dict[Answer, TaskState] = {
    Answer.PROVE: TaskState.SUCCEEDED,
    Answer.FOLLOW: TaskState.ACTIVE,
    Answer.WAIT: TaskState.WAITING,
    Answer.RESENT: TaskState.DAMAGED,
    Answer.GIVE_UP: TaskState.HOPELESS,
    Answer.PERSON: TaskState.NEEDS_PERSON,
    Answer.FAIL: TaskState.FAILED,
    Answer.ALARM: TaskState.UNKNOWN,
}


@dataclass(frozen=True)
class Outcome:
    """One row. ``words`` end the sentence that staff read; ``rests`` counts it against the collection (see ``breaker``)."""

    says: Says
    code: str
    answer: Answer
    words: str
    next_step: str = "Nothing to do."
    rests: bool = False


OTHER = "any other"
_AGAIN = "Mend the cause, then re-execute from failure."
_COLLECTION = "See the collection's page at Globus or ask its manager; nothing has to be started again."
_S, _N, _F, _E, _R = Says.STATUS, Says.NICE, Says.FATAL, Says.EVENT, Says.REQUEST

OUTCOMES: tuple[Outcome, ...] = (
    Outcome(_S, "SUCCEEDED", Answer.PROVE, "Globus finished the task."),
    Outcome(_S, "ACTIVE", Answer.FOLLOW, "Globus works on it; what nice_status says decides."),
    Outcome(_S, "FAILED", Answer.FAIL, "Globus ended the task as failed; what fatal_error says follows."),
    Outcome(
        _S,
        "INACTIVE",
        Answer.PERSON,
        "Globus has suspended the task",
        "Have the collection's manager or an operator resume it, then re-execute from failure: the same task goes on.",
        rests=True,
    ),
    Outcome(_S, OTHER, Answer.ALARM, "is not known here", "Look at the task by its link; re-execute from failure follows it on."),
    Outcome(Says.PAUSED, "true", Answer.WAIT, "it is paused by a rule of the collection's manager", _COLLECTION, rests=True),
    Outcome(_N, "OK", Answer.FOLLOW, "bytes, files, rate and time left"),
    Outcome(_N, "Queued", Answer.WAIT, "it waits for a free Globus slot (three tasks of an identity run at a time)"),
    Outcome(
        _N, "FILE_NOT_FOUND", Answer.GIVE_UP, "the source is not there", "Look whether the file was moved, then re-execute from failure."
    ),
    Outcome(
        _N,
        "PERMISSION_DENIED",
        Answer.GIVE_UP,
        "access is denied",
        "Give the identity the right at that path, then re-execute from failure.",
    ),
    Outcome(
        _N, "IS_A_DIRECTORY", Answer.GIVE_UP, "a folder is where a file was expected", "Move the folder away, then re-execute from failure."
    ),
    Outcome(
        _N, "NOT_A_DIRECTORY", Answer.GIVE_UP, "a file is where a folder was expected", "Move the file away, then re-execute from failure."
    ),
    Outcome(_N, "AMBIGUOUS_PATH", Answer.GIVE_UP, "the path is ambiguous", "Rename one of the two, then re-execute from failure."),
    Outcome(
        _N,
        "VERIFY_CHECKSUM",
        Answer.RESENT,
        "checksums differ",
        "Re-execute from failure once; if it happens again, tell an operator: a disk or network path damages data.",
    ),
    Outcome(_N, "ENDPOINT_ERROR", Answer.WAIT, "a collection reports an error", _COLLECTION, rests=True),
    Outcome(_N, "CONNECT_FAILED", Answer.WAIT, "a collection cannot be reached", _COLLECTION, rests=True),
    Outcome(_N, "GC_NOT_CONNECTED", Answer.WAIT, "a Globus Connect Personal collection is switched off", _COLLECTION, rests=True),
    Outcome(_N, "GC_PAUSED", Answer.WAIT, "a Globus Connect Personal collection is paused", _COLLECTION, rests=True),
    Outcome(_N, "PAUSED_BY_ADMIN", Answer.WAIT, "an administrator has paused the collection", _COLLECTION, rests=True),
    Outcome(_N, "CREDENTIALS_EXPIRED", Answer.WAIT, "the collection's credentials have expired", _COLLECTION, rests=True),
    Outcome(_N, OTHER, Answer.FOLLOW, "Globus reports a code that is not known here, and goes on trying"),
    Outcome(_F, "CANCELED", Answer.FAIL, "it was cancelled", "If nobody cancelled it on purpose, re-execute from failure."),
    Outcome(_F, "EXPIRED", Answer.FAIL, "its deadline passed before it was done", "See the last events for what held it up. " + _AGAIN),
    Outcome(_F, "FILE_NOT_FOUND", Answer.FAIL, "the path is not there", "Look whether the file was moved, then re-execute from failure."),
    Outcome(
        _F, "PERMISSION_DENIED", Answer.FAIL, "access is denied", "Give the identity the right at that path, then re-execute from failure."
    ),
    Outcome(
        _F, "IS_A_DIRECTORY", Answer.FAIL, "a folder is where a file was expected", "Move the folder away, then re-execute from failure."
    ),
    Outcome(
        _F, "NOT_A_DIRECTORY", Answer.FAIL, "a file is where a folder was expected", "Move the file away, then re-execute from failure."
    ),
    Outcome(
        _F, "QUOTA_EXCEEDED", Answer.FAIL, "the destination is full", "Free space there (als prune plan), then re-execute from failure."
    ),
    Outcome(_F, "VERIFY_CHECKSUM", Answer.FAIL, "the file is not what its checksum says", "Look at the source: als scan show. " + _AGAIN),
    Outcome(_F, "ENDPOINT_ERROR", Answer.FAIL, "a collection reported an error", _AGAIN, rests=True),
    Outcome(_F, "CONNECT_FAILED", Answer.FAIL, "a collection could not be reached", _AGAIN, rests=True),
    Outcome(_F, "GC_NOT_CONNECTED", Answer.FAIL, "a collection is switched off", _AGAIN, rests=True),
    Outcome(_F, OTHER, Answer.FAIL, "Globus' own words", "See the last events of the task. " + _AGAIN),
    Outcome(_E, "STARTED", Answer.NOTE, "the end of the time in the queue"),
    Outcome(_E, "PROGRESS", Answer.NOTE, "bytes and files so far"),
    Outcome(_E, "SUCCEEDED", Answer.NOTE, "the end"),
    Outcome(_E, "CANCELED", Answer.NOTE, "somebody cancelled it"),
    Outcome(_E, "EXPIRED", Answer.NOTE, "the deadline passed"),
    Outcome(_E, "PAUSED", Answer.NOTE, "a pause began"),
    Outcome(_E, "UNPAUSED", Answer.NOTE, "a pause ended"),
    Outcome(_E, "SKIPPED_ERRORS", Answer.FAIL, "left out file(s) with errors", "See the files in the sentence. " + _AGAIN),
    Outcome(_E, "DELETE_DESTINATION_EXTRA_SKIPPED", Answer.NOTE, "never asked for, so never seen"),
    Outcome(_E, OTHER, Answer.NOTE, "code and description in Globus' words"),
    Outcome(_R, "no answer", Answer.RETRY, "Globus did not answer", "See status.globus.org when it lasts."),
    Outcome(_R, "429, 5xx", Answer.RETRY, "Globus answered", "See status.globus.org when it lasts."),
    Outcome(_R, "401", Answer.PERSON, "refused the token of the identity", "Put a valid secret into the file that the sentence names."),
    Outcome(_R, "invalid_client", Answer.PERSON, "refused the credentials of the identity", "Put a valid secret into that file."),
    Outcome(_R, "ConsentRequired", Answer.CURE, "wants a consent", "If it comes again: give the consent in the Globus message."),
    Outcome(_R, "404 TaskNotFound", Answer.FAIL, "does not know the task", "Re-execute from failure."),
    Outcome(
        _R, "4xx", Answer.FAIL, "Globus refused", "Check the path and the access rules of the collection, then re-execute from failure."
    ),
)

_BY_CODE = {(row.says, row.code): row for row in OUTCOMES}


def outcome(says: Says, code: str) -> Outcome:
    """The row of a code, or that of any other code in the same field."""
    return _BY_CODE.get((says, code)) or _BY_CODE[(says, OTHER)]
