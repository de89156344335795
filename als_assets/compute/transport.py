"""What a transport is: the way to a site's scheduler and to small files there.

Here: the protocol. Not here: any site, and the meaning of what a scheduler says (``report``).
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Protocol

from als_assets.compute.report import SchedulerView
from als_assets.compute.spec import JobSpec


class Transport(Protocol):
    """The way to one site. Every call may raise ServiceUnreachable or CredentialsRejected, which say nothing about any job."""

    poll_s: float

    def script(self, spec: JobSpec) -> str:
        """The script as this site's scheduler wants it."""
        ...

    def find(self, spec_name: str, log_dir: PurePosixPath) -> str | None:
        """The id of the job with this name, if the scheduler ever saw one. Asked before every submission."""
        ...

    def submit(self, spec_name: str, script: str, log_dir: PurePosixPath) -> str:
        """Hand the script over once, without any repetition. Raises JobRefused."""
        ...

    def look(self, job_id: str) -> SchedulerView | None:
        """What the scheduler says; None when it does not know the job (now)."""
        ...

    def cancel(self, job_id: str) -> None: ...

    def listing(self, path: PurePosixPath) -> dict[str, int] | None:
        """Relative path -> size in bytes of every file at the site below ``path``; None where nothing is there."""
        ...

    def tail(self, path: PurePosixPath, lines: int) -> str:
        """The last lines of a text file at the site; empty where there is none."""
        ...
