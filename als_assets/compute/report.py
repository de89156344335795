"""What became of a job, in one value: the sentence for staff, and every fact that explains it.

Here: the reasons, the judgement from scheduler state, exit codes and the script's own result, and the words. Not here: asking the
scheduler. A job is a success only when all witnesses agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from als_assets.words import duration_words


class Reason(StrEnum):
    NONE = "none"
    EXIT_CODE = "exit_code"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    NODE_FAIL = "node_fail"
    PREEMPTED = "preempted"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    LAUNCH = "launch"
    BAD_OUTPUT = "bad_output"
    LOST = "lost"
    UNKNOWN = "unknown"


# Scheduler words (Slurm's) of jobs that are still on their way; everything else that is not COMPLETED is a failure.
LIVE = frozenset(
    {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESIZING", "SIGNALING"}
    | {"SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "SUSPENDED", "RESV_DEL_HOLD", "POWER_UP_NODE"}
)
_REASONS = {
    "TIMEOUT": Reason.TIMEOUT,
    "OUT_OF_MEMORY": Reason.OUT_OF_MEMORY,
    "NODE_FAIL": Reason.NODE_FAIL,
    "BOOT_FAIL": Reason.NODE_FAIL,
    "PREEMPTED": Reason.PREEMPTED,
    "CANCELLED": Reason.CANCELLED,
    "REVOKED": Reason.CANCELLED,
    "DEADLINE": Reason.DEADLINE,
    "LAUNCH_FAILED": Reason.LAUNCH,
}
_WORDS = {
    Reason.TIMEOUT: ("ran into its time limit", "Run it again with a longer walltime, or at another site."),
    Reason.OUT_OF_MEMORY: ("ran out of memory", "Run it again at a site with more memory."),
    Reason.NODE_FAIL: ("was stopped because its node failed", "Re-execute from failure: the fault is the site's, not the scan's."),
    Reason.PREEMPTED: ("was pushed out by a more urgent job", "Re-execute from failure."),
    Reason.CANCELLED: ("was cancelled at the site", "Re-execute from failure if that was not intended."),
    Reason.DEADLINE: ("missed its deadline in the queue", "Re-execute from failure, or choose another site."),
    Reason.LAUNCH: ("could not be started by the site", "Tell an operator: its log folder, image or account is not usable."),
    Reason.LOST: ("is not known to the scheduler any more and left no result", "Re-execute from failure: it is submitted again."),
    Reason.BAD_OUTPUT: ("says it succeeded, but its output is incomplete", "Re-execute from failure; if it repeats, tell an operator."),
    Reason.UNKNOWN: ("ended in a state that is not known here", "Tell an operator; the scheduler's word is below."),
}
_EXIT_WORDS = {
    74: ("could not copy the raw file to the site's scratch", "Check quota and free space at the site, then re-execute from failure."),
    125: ("could not start its container", "Tell an operator: the image or a mount is not usable at the site."),
    126: ("could not start its program", "Tell an operator: the program is not executable in the image."),
    127: ("did not find its program", "Tell an operator: the image at the site is not the right one."),
}


@dataclass(frozen=True)
class SchedulerView:
    """What the scheduler says of a job. ``exit_code`` and ``derived`` are 'code:signal' as Slurm writes them, or empty."""

    state: str
    exit_code: str = ""
    derived: str = ""
    nodes: str = ""
    queue_wait_s: float | None = None
    used_s: float | None = None
    max_rss: str = ""

    @property
    def live(self) -> bool:
        return not LIVE.isdisjoint(self.state.split()[:1])


@dataclass(frozen=True)
class JobReport:
    """All that is known of a finished job."""

    sentence: str
    next_step: str
    reason: Reason
    site: str
    job_id: str
    state: str
    exit_code: str
    derived_exit_code: str
    step: str
    nodes: str
    queue_wait_s: float | None
    used_s: float | None
    asked_s: int
    max_rss: str
    stdout_tail: str
    stderr_tail: str
    log_path: str

    @property
    def success(self) -> bool:
        return self.reason is Reason.NONE

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def judge(view: SchedulerView, result: Mapping[str, Any] | None, wrong_output: list[str]) -> tuple[Reason, str, str]:
    """Reason, what happened in words, and the next step, from the three witnesses.

    ``result`` is the script's own result.json (None: absent); ``wrong_output`` says what is missing of the product.
    """
    word = (view.state.split() or ["UNKNOWN"])[0]
    if word == "LOST":
        return (Reason.LOST, *_WORDS[Reason.LOST])
    if word in _REASONS:
        return (_REASONS[word], *_WORDS[_REASONS[word]])
    if word not in ("COMPLETED", "FAILED"):
        return (Reason.UNKNOWN, f"{_WORDS[Reason.UNKNOWN][0]} ('{word}')", _WORDS[Reason.UNKNOWN][1])
    if word == "FAILED" and view.exit_code.startswith("0:53") and result is None:
        return (Reason.LAUNCH, *_WORDS[Reason.LAUNCH])
    codes = [_code(view.exit_code), _code(view.derived), int(result["exit"]) if result else 0]
    bad = next((c for c in codes if c), 0)
    if bad or word == "FAILED":
        return (Reason.EXIT_CODE, *_exit_words(bad, result))
    if result is None:
        return Reason.BAD_OUTPUT, "ended without writing its result file", _WORDS[Reason.BAD_OUTPUT][1]
    if wrong_output:
        return Reason.BAD_OUTPUT, f"{_WORDS[Reason.BAD_OUTPUT][0]} ({'; '.join(wrong_output)})", _WORDS[Reason.BAD_OUTPUT][1]
    return Reason.NONE, "succeeded", ""


def _exit_words(code: int, result: Mapping[str, Any] | None) -> tuple[str, str]:
    step = f" in step '{result['step']}'" if result else ""
    if code in _EXIT_WORDS:
        return f"{_EXIT_WORDS[code][0]} (exit code {code}{step})", _EXIT_WORDS[code][1]
    killed = f" (killed by signal {code - 128})" if 128 < code < 160 else ""
    return f"failed with exit code {code}{killed}{step}", "Read the last lines of its log below; then re-execute from failure."


def _code(text: str) -> int:
    """'3:0' -> 3, '0:9' -> 137 (as a shell says it)."""
    code, _, signal = text.partition(":")
    if not code.isdigit():
        return 0
    return int(code) or (128 + int(signal) if signal.isdigit() and int(signal) else 0)


def sentence_of(title: str, site_title: str, job_id: str, view: SchedulerView, what: str, log_line: str) -> str:
    """'The reconstruction of X at NERSC (job 1001) failed with exit code 3 after 12 s: <last log line>.'"""
    after = f" after {duration_words(view.used_s)}" if view.used_s else ""
    why = f": {log_line}" if log_line else ""
    return f"{title} at {site_title} (job {job_id}) {what}{after}{why}".rstrip(".") + "."
