"""What a transport is: the way to a site's scheduler and to small files there.

Here: the protocol. Not here: any site, and the meaning of what a scheduler says (``report``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import PurePosixPath
from typing import Protocol, runtime_checkable

from als_assets.compute.health import SiteHealth
from als_assets.compute.quota import Quota
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

    def look_many(self, job_ids: Sequence[str]) -> Mapping[str, SchedulerView]:
        """What the scheduler says of each job, in as few requests as the site allows; absent: not known to it (now)."""
        ...

    def cancel(self, job_id: str) -> None: ...

    def listing(self, path: PurePosixPath) -> dict[str, int] | None:
        """Relative path -> size in bytes of every file at the site below ``path``; None where nothing is there."""
        ...

    def tail(self, path: PurePosixPath, lines: int) -> str:
        """The last lines of a text file at the site; empty where there is none."""
        ...


@runtime_checkable
class TellsHealth(Protocol):
    """A transport whose site says how it is. Raises ServiceUnreachable, CredentialsRejected."""

    def health(self) -> SiteHealth: ...


@runtime_checkable
class TellsExpiry(Protocol):
    """A transport whose credential ends by itself: when (UTC), or None where that cannot be learnt. Raises ServiceUnreachable,
    CredentialsRejected."""

    def credential_expiry(self) -> datetime | None: ...


@runtime_checkable
class TellsQuota(Protocol):
    """A transport that can ask how full the site's scratch is for us: None where nobody can tell. Raises ServiceUnreachable,
    CredentialsRejected."""

    def quota(self) -> Quota | None: ...


@runtime_checkable
class Forestalls(Protocol):
    """A transport that can keep a job from beginning whose submission was not answered."""

    def forestall(self, spec_name: str, log_dir: PurePosixPath) -> str | None:
        """See to it that no job of this name begins from now on; the id of one that has begun already. Raises ServiceUnreachable,
        CredentialsRejected."""
        ...


@runtime_checkable
class TriesQueues(Protocol):
    """A transport that knows what to do when a queue (QOS) refuses a job: its JobRefused carries ``queue`` then."""

    def next_queue(self, script: str) -> tuple[str, str] | None:
        """The next queue to try and the script for it; None after the last."""
        ...
