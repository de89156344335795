"""What a Globus Compute task, and the status file of its job at the site, mean in a scheduler's words.

Here: every word of the service on purpose, and the reading of failures (a lost worker, a block that never started). Not here:
requests (``client``), and what staff read (``report``).
Source: ``TaskState`` of globus-compute-common, and the errors of Parsl, which runs the workers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from als_assets.compute.globus_compute.client import unpacked
from als_assets.compute.report import SchedulerView

_WAITING = {
    "received": "(waiting for the service)",
    "waiting-for-ep": "(waiting for the endpoint)",
    "waiting-for-nodes": "(waiting for nodes)",
    "waiting-for-launch": "(starting)",
}
_RUNNING = frozenset({"running", "execution-start", "execution-end", "result-received"})
# The worker or its node is gone; the script may have been at work.
_LOST = re.compile(r"WorkerLost|ManagerLost|worker lost|manager was lost|heartbeat", re.IGNORECASE)
# Nothing of ours ever ran: the block was refused by the batch system, or what it started is no worker.
_NEVER_STARTED = re.compile(
    r"ScaleOutFailed|SubmitException|qsub|BadStateException|failed to start|unable to start|failed to map|allocation|"
    r"ModuleNotFoundError|ImportError|Deserialization|template",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Fate:
    """What is known of a job from its task. Without a ``view`` only the site can tell; ``fallback`` then holds when the site has
    never heard of the job. ``words`` are the task's last words."""

    view: SchedulerView | None
    fallback: SchedulerView | None = None
    words: str = ""


def fate_of(task: Mapping[str, Any] | None) -> Fate:
    """Read one raw task document; None where the service does not know the task."""
    if task is None:
        return Fate(None)
    status = str(task.get("status", "")).lower()
    if status in _WAITING:
        return Fate(SchedulerView("PENDING", nodes=_WAITING[status]))
    if status in _RUNNING:
        return Fate(SchedulerView("RUNNING"))
    if status == "success":
        end = unpacked(str(task.get("result", "")))
        # Without a result (they expire), or with one of a job that was begun before: the site's own file tells.
        return Fate(None) if end is None or end.get("claimed") else Fate(view_of_state(end), words=str(end.get("error", "")))
    if status == "failed":
        words = str(task.get("exception") or task.get("reason") or "")
        return Fate(None, SchedulerView(_failure(words)), words)
    return Fate(SchedulerView(status.upper() or "UNKNOWN"))


def view_of_state(state: Mapping[str, Any]) -> SchedulerView | None:
    """Read the site's own word about a job (``site``); None where it was never begun."""
    word = str(state.get("state", "UNKNOWN"))
    if word == "UNKNOWN":
        return None
    sent, began, ended = state.get("sent"), state.get("began"), state.get("ended")
    return SchedulerView(
        word,
        exit_code=f"{state['exit']}:{state['signal']}" if "exit" in state else "",
        nodes=str(state.get("host", "")),
        queue_wait_s=_between(sent, began),
        used_s=_between(began, ended),
        max_rss=f"{state['maxrss_kib']}K" if state.get("maxrss_kib") else "",
    )


def _between(begin: Any, end: Any) -> float | None:
    """Seconds between two times of different clocks: never less than none."""
    return max(0.0, end - begin) if isinstance(begin, float) and isinstance(end, float) else None


def _failure(words: str) -> str:
    if _LOST.search(words):
        return "NODE_FAIL"
    return "LAUNCH_FAILED" if _NEVER_STARTED.search(words) else "FAILED"
