"""What became of a job, in one value: the sentence for staff, and every fact that explains it.

Here: the report, made from a scheduler's view, an outcome and the logs. Not here: the judgement (``outcomes``) and asking the
scheduler. ``last lines`` are forty at most: a log is never fetched whole.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from als_assets.compute.outcomes import LIVE, Reason, SchedulerView, judge
from als_assets.words import duration_words

__all__ = ["LIVE", "JobReport", "Reason", "SchedulerView", "judge", "sentence_of"]


@dataclass(frozen=True)
class JobReport:
    """All that is known of a finished job. Times are seconds; ``exit_code`` and ``derived_exit_code`` are Slurm's 'code:signal';
    ``image`` names its container by digest (empty: none was used); ``script`` is what was submitted, word for word;
    ``site_fault``: the site failed, not the work, which may be tried elsewhere."""

    sentence: str
    next_step: str
    reason: Reason
    page: str
    site: str
    job_id: str
    state: str
    exit_code: str
    derived_exit_code: str
    signal: int
    step: str
    nodes: str
    queue: str
    queue_wait_s: float | None
    used_s: float | None
    asked_s: int
    max_rss: str
    image: str
    stdout_tail: str
    stderr_tail: str
    log_path: str
    script: str
    site_fault: bool = False

    @property
    def success(self) -> bool:
        return self.reason is Reason.NONE

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def sentence_of(title: str, site_title: str, job_id: str, view: SchedulerView, what: str, log_line: str) -> str:
    """'The reconstruction of X at NERSC (job 1001) failed with exit code 3 after 12 s: <last log line>.'"""
    after = f" after {duration_words(view.used_s)}" if view.used_s else ""
    why = f": {log_line}" if log_line else ""
    return f"{title} at {site_title} (job {job_id}) {what}{after}{why}".rstrip(".") + "."
