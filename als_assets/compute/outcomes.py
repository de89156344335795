"""From what a scheduler, its exit codes and the script say, to the one outcome of a job: reason, words for staff, next step.

Here: the tables, which the code obeys and from which the documentation is made, and the judgement. Not here: asking the scheduler,
and the report around the outcome (``report``). A job is a success only when all witnesses agree; an unknown word is red.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Reason(StrEnum):
    """Why a job ended as it did. Each has a page in ``docs/staff/jobs``."""

    NONE = "none"
    EXIT_CODE = "exit_code"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    NODE_FAIL = "node_fail"
    PREEMPTED = "preempted"
    CANCELLED_BY_USER = "cancelled_by_user"
    CANCELLED_BY_PLATFORM = "cancelled_by_platform"
    DEADLINE = "deadline"
    LAUNCH = "launch"
    BAD_OUTPUT = "bad_output"
    LOST = "lost"
    UNKNOWN = "unknown"

    @property
    def page(self) -> str:
        return f"docs/staff/jobs/{self.value.replace('_', '-')}.md"


# Scheduler words (Slurm's) of jobs that are still on their way; everything else that is not COMPLETED is a failure.
LIVE = frozenset(
    {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESIZING", "SIGNALING"}
    | {"SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "SUSPENDED", "RESV_DEL_HOLD", "POWER_UP_NODE"}
)
# The site's own faults: the same job may well succeed elsewhere. Not among them: what the scan, the parameters or a person caused.
SITE_REASONS = frozenset({Reason.NODE_FAIL, Reason.LAUNCH, Reason.LOST, Reason.PREEMPTED, Reason.DEADLINE, Reason.UNKNOWN})

REASON_OF_STATE: Mapping[str, Reason] = {
    "TIMEOUT": Reason.TIMEOUT,
    "OUT_OF_MEMORY": Reason.OUT_OF_MEMORY,
    "NODE_FAIL": Reason.NODE_FAIL,
    "BOOT_FAIL": Reason.NODE_FAIL,
    "PREEMPTED": Reason.PREEMPTED,
    "CANCELLED": Reason.CANCELLED_BY_USER,
    "REVOKED": Reason.CANCELLED_BY_USER,
    "DEADLINE": Reason.DEADLINE,
    "LAUNCH_FAILED": Reason.LAUNCH,
    "LOST": Reason.LOST,
}
WORDS: Mapping[Reason, tuple[str, str]] = {
    Reason.TIMEOUT: ("ran into its time limit", "Run it again with a longer walltime, or at another site."),
    Reason.OUT_OF_MEMORY: ("ran out of memory", "Run it again at a site with more memory."),
    Reason.NODE_FAIL: ("was stopped because its node failed", "Re-execute from failure: the fault is the site's, not the scan's."),
    Reason.PREEMPTED: ("was pushed out by a more urgent job", "Re-execute from failure."),
    Reason.CANCELLED_BY_USER: ("was cancelled at the site", "Re-execute from failure if that was not intended."),
    Reason.CANCELLED_BY_PLATFORM: ("was cancelled by this platform", "Its run was terminated: re-execute when it is wanted again."),
    Reason.DEADLINE: ("missed its deadline in the queue", "Re-execute from failure, or choose another site."),
    Reason.LAUNCH: ("could not be started by the site", "Tell an operator: its log folder, image or account is not usable."),
    Reason.LOST: ("is not known to the scheduler any more and left no result", "Re-execute from failure: it is submitted again."),
    Reason.BAD_OUTPUT: ("says it succeeded, but its output is incomplete", "Re-execute from failure; if it repeats, tell an operator."),
    Reason.UNKNOWN: ("ended in a state that is not known here", "Tell an operator; the scheduler's word is below."),
}
_READ_THE_LOG = "Read the last lines of its log below; then re-execute from failure."
EXIT_WORDS: Mapping[int, tuple[str, str]] = {
    74: ("could not copy the raw file to the site's scratch", "Check quota and free space at the site, then re-execute from failure."),
    75: ("found that another copy of it does the work", "Re-execute from failure: the other copy is found and followed."),
    125: ("could not start its container", "Tell an operator: the image or a mount is not usable at the site."),
    126: ("could not start its program", "Tell an operator: the program is not executable in the image."),
    127: ("did not find its program", "Tell an operator: the image at the site is not the right one."),
}
SITE_EXITS = frozenset({74, 75, 125, 126, 127})  # of these, too, the site is guilty and not the scan
_ENDED_FROM_OUTSIDE = frozenset({137, 143})  # by KILL and TERM
SECOND_COPY = 75  # what the script says when its claim file names another job


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
class Outcome:
    """``what`` happened, as the second half of a sentence, and the suggested action."""

    reason: Reason
    what: str
    next_step: str
    code: int = 0

    @property
    def site_fault(self) -> bool:
        """The site failed, not the work: it may be tried elsewhere."""
        return self.reason in SITE_REASONS or self.code in SITE_EXITS


def judge(
    view: SchedulerView,
    result: Mapping[str, Any] | None,
    wrong_output: list[str],
    *,
    cancelled_by_us: bool = False,
    out_of_time: bool = False,
) -> Outcome:
    """The outcome from the three witnesses.

    ``result`` is the script's own result.json (None: absent); ``wrong_output`` says what is missing of the product;
    ``cancelled_by_us`` tells that this platform asked for the end, ``out_of_time`` that the script ran about as long as it might:
    some sites have one word for every failure.
    """
    word = (view.state.split() or ["UNKNOWN"])[0]
    reason = REASON_OF_STATE.get(word)
    if reason is Reason.CANCELLED_BY_USER and cancelled_by_us:
        reason = Reason.CANCELLED_BY_PLATFORM
    if reason is not None:
        return Outcome(reason, *WORDS[reason])
    codes = [code_of(view.exit_code), code_of(view.derived), int(result["exit"]) if result else 0]
    bad = next((c for c in codes if c), 0)
    if bad in _ENDED_FROM_OUTSIDE and (cancelled_by_us or out_of_time):
        reason = Reason.CANCELLED_BY_PLATFORM if cancelled_by_us else Reason.TIMEOUT
        return Outcome(reason, *WORDS[reason])
    if word not in ("COMPLETED", "FAILED"):
        return Outcome(Reason.UNKNOWN, f"{WORDS[Reason.UNKNOWN][0]} ('{word}')", WORDS[Reason.UNKNOWN][1])
    if word == "FAILED" and view.exit_code.startswith("0:53") and result is None:
        return Outcome(Reason.LAUNCH, *WORDS[Reason.LAUNCH])
    if bad or word == "FAILED":
        return Outcome(Reason.EXIT_CODE, *_exit_words(bad, result), code=bad)
    return _by_output(result, wrong_output)


def _by_output(result: Mapping[str, Any] | None, wrong_output: list[str]) -> Outcome:
    what, next_step = WORDS[Reason.BAD_OUTPUT]
    if result is None:
        return Outcome(Reason.BAD_OUTPUT, "ended without writing its result file", next_step)
    if wrong_output:
        return Outcome(Reason.BAD_OUTPUT, f"{what} ({'; '.join(wrong_output)})", next_step)
    return Outcome(Reason.NONE, "succeeded", "")


def _exit_words(code: int, result: Mapping[str, Any] | None) -> tuple[str, str]:
    step = f" in step '{result['step']}'" if result else ""
    if code in EXIT_WORDS:
        return f"{EXIT_WORDS[code][0]} (exit code {code}{step})", EXIT_WORDS[code][1]
    killed = f" (killed by signal {code - 128})" if 128 < code < 160 else ""
    return f"failed with exit code {code}{killed}{step}", _READ_THE_LOG


def code_of(text: str) -> int:
    """'3:0' -> 3, '0:9' -> 137 (as a shell says it)."""
    code, _, signal = text.partition(":")
    if not (code.isascii() and code.isdigit()):
        return 0
    return int(code) or (128 + int(signal) if signal.isascii() and signal.isdigit() and int(signal) else 0)


def signal_of(text: str) -> int:
    """'0:9' -> 9; also a shell's 137 -> 9. 0: no signal ended it."""
    code = code_of(text)
    return code - 128 if 128 < code < 160 else 0


@dataclass(frozen=True)
class Row:
    """One line of the documentation: what the witnesses say, and what follows."""

    says: str
    view: SchedulerView
    result: Mapping[str, Any] | None = None
    wrong_output: tuple[str, ...] = ()
    cancelled_by_us: bool = False
    out_of_time: bool = False

    @property
    def outcome(self) -> Outcome:
        flags = {"cancelled_by_us": self.cancelled_by_us, "out_of_time": self.out_of_time}
        return judge(self.view, self.result, list(self.wrong_output), **flags)


def rows() -> list[Row]:
    """Every way in which a job can end, for the page ``docs/staff/jobs/index.md`` and for the test that runs through all of them."""
    good = {"exit": 0, "step": "reconstruct"}
    ended = [Row(word, SchedulerView(word)) for word in REASON_OF_STATE]
    exits = [
        Row(f"FAILED {code}:0", SchedulerView("FAILED", f"{code}:0"), {"exit": code, "step": "reconstruct"}) for code in (3, *EXIT_WORDS)
    ]
    return [
        Row("COMPLETED 0:0, result 0, output complete", SchedulerView("COMPLETED", "0:0"), good),
        Row("COMPLETED 0:0, result 0, output incomplete", SchedulerView("COMPLETED", "0:0"), good, ("3 slices instead of 2160",)),
        Row("COMPLETED 0:0, no result", SchedulerView("COMPLETED", "0:0")),
        Row("COMPLETED 0:0, derived exit code 42", SchedulerView("COMPLETED", "0:0", "42:0"), good),
        Row("COMPLETED 0:0, result 42", SchedulerView("COMPLETED", "0:0"), {"exit": 42, "step": "reconstruct"}),
        *exits,
        Row("FAILED 0:9", SchedulerView("FAILED", "0:9"), {"exit": 137, "step": "reconstruct"}),
        Row(
            "FAILED 143:0 when its time was over", SchedulerView("FAILED", "143:0"), {"exit": 143, "step": "reconstruct"}, out_of_time=True
        ),
        Row("FAILED 0:53, no result", SchedulerView("FAILED", "0:53")),
        *ended,
        Row("CANCELLED, asked for by us", SchedulerView("CANCELLED by 1"), cancelled_by_us=True),
        Row("any other word", SchedulerView("GREMLINS")),
    ]


def table() -> str:
    """The rows as a markdown table."""
    lines = ["| what the site says | outcome | what staff read | next step |", "|---|---|---|---|"]
    for row in rows():
        outcome = row.outcome
        link = f"[{outcome.reason}]({outcome.reason.page.rsplit('/', 1)[-1]})" if outcome.reason is not Reason.NONE else "success"
        lines.append(f"| {row.says} | {link} | … {outcome.what} | {outcome.next_step or '-'} |")
    return "\n".join(lines) + "\n"
