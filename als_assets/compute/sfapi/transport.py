"""The transport to NERSC over the Superfacility API (SFAPI 1.2).

Here: jobs, logs, listings, and how the machine is. Not here: tokens and requests (``api``), what a state means (``outcomes``)
and when to submit (``submission``). The script's claim file says which job does the work: accounting may learn of a job late, and
by itself shows only today's.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from als_assets.compute.health import SiteHealth
from als_assets.compute.outcomes import SchedulerView
from als_assets.compute.quota import Quota, quota_command, read_quota
from als_assets.compute.script import render, slurm_directives
from als_assets.compute.sfapi.api import SfapiApi, unreachable
from als_assets.compute.spec import JobSpec
from als_assets.errors import JobRefused, ServiceUnreachable
from als_assets.facility.compute import SfapiCompute
from als_assets.facility.identities import SfapiIdentity

_QUEUE_LINE = re.compile(r"^#SBATCH -q (\S+)$", re.MULTILINE)
# What sbatch says when a queue, and not the job, is the trouble.
_QUEUE_TROUBLE = re.compile(r"qos|QOS|accounting/|AssocMax|partition", re.IGNORECASE)
_TAIL_BYTES = 65536


class SfapiTransport:
    """One NERSC machine."""

    def __init__(self, setup: SfapiCompute, identity: SfapiIdentity) -> None:
        self._setup = setup
        self.api = SfapiApi(setup, identity)
        self.poll_s = setup.poll_s

    def script(self, spec: JobSpec) -> str:
        return render(spec, slurm_directives(spec, self._setup))

    def find(self, spec_name: str, log_dir: PurePosixPath) -> str | None:
        claim = shlex.quote(f"{log_dir}/{spec_name}.claim")
        claimed = self.api.command(f"if [ -f {claim} ]; then cat -- {claim}; fi").strip()
        if claimed.isdigit():
            return claimed
        user = self.api.get("account/").get("name")
        if not user:
            raise unreachable("did not say whose jobs these are")
        for accounting in (False, True):
            rows = self.api.rows(accounting, [f"user={user}"])
            mine = [str(row["jobid"]) for row in rows if spec_name in (row.get("name"), row.get("jobname"))]
            if mine:
                return min(mine, key=lambda job_id: (len(job_id), job_id))  # the first that was submitted
        return None

    def submit(self, spec_name: str, script: str, log_dir: PurePosixPath) -> str:
        try:
            self.api.command(f"mkdir -p -- {shlex.quote(str(log_dir))}")
        except ServiceUnreachable as error:
            error.details["nothing_sent"] = True
            raise
        form = {"job": script, "isPath": "false"}
        outcome = self.api.outcome(self.api.send("POST", f"compute/jobs/{self._setup.machine}", data=form))
        if outcome.get("jobid"):
            return str(outcome["jobid"])
        words = str(outcome.get("error") or "no reason given")
        queue = _QUEUE_LINE.search(script)
        details = {"queue": queue[1]} if queue is not None and _QUEUE_TROUBLE.search(words) else {}
        raise JobRefused(
            f"NERSC refused the job {spec_name}: {words}.",
            next_step="Check account, QOS and limits in the facility file against the words above, then re-execute from failure.",
            site_fault=True,
            **details,
        )

    def next_queue(self, script: str) -> tuple[str, str] | None:
        """The QOS after the one in the script, of the list in the facility file."""
        queues = [self._setup.qos, *self._setup.qos_fallback]
        now = _QUEUE_LINE.search(script)
        if now is None or now[1] not in queues[:-1]:
            return None
        following = queues[queues.index(now[1]) + 1]
        return following, _QUEUE_LINE.sub(f"#SBATCH -q {following}", script, count=1)

    def look_many(self, job_ids: Sequence[str]) -> dict[str, SchedulerView]:
        """One request to squeue for all, and one to sacct for those that squeue does not know (any more)."""
        found: dict[str, SchedulerView] = {}
        # sacct only speaks the last word; while squeue knows a job, squeue is right.
        for accounting in (False, True):
            wanted = [job_id for job_id in job_ids if job_id not in found]
            if wanted:
                rows = {str(row.get("jobid")): row for row in self.api.rows(accounting, [f"jobid={','.join(wanted)}"])}
                found |= {job_id: _view(rows[job_id]) for job_id in wanted if job_id in rows}
        return found

    def cancel(self, job_id: str) -> None:
        self.api.send("DELETE", f"compute/jobs/{self._setup.machine}/{job_id}")

    def forestall(self, spec_name: str, log_dir: PurePosixPath) -> str | None:
        """By taking the claim in the job's place: a copy that shows up in the queue later leaves at once."""
        claim = shlex.quote(f"{log_dir}/{spec_name}.claim")
        take = f"mkdir -p -- {shlex.quote(str(log_dir))} && (set -o noclobber && echo cancelled >{claim}) 2>/dev/null || cat -- {claim}"
        claimed = self.api.command(take).strip()
        return claimed if claimed.isdigit() else None

    def listing(self, path: PurePosixPath) -> dict[str, int] | None:
        quoted = shlex.quote(str(path))
        text = self.api.command(f"if [ -e {quoted} ]; then find {quoted} -type f -printf '%P\\t%s\\n'; else echo absent; fi")
        if text.strip() == "absent":
            return None
        rows = (line.rsplit("\t", 1) for line in text.splitlines() if line)
        return {name: int(size) for name, size in rows}

    def tail(self, path: PurePosixPath, lines: int) -> str:
        quoted = shlex.quote(str(path))
        command = f"if [ -f {quoted} ]; then tail -c {_TAIL_BYTES} -- {quoted} | tail -n {lines}; fi"
        return self.api.command(command).rstrip("\n")

    def health(self) -> SiteHealth:
        """Needs no token, as at NERSC. Raises ServiceUnreachable."""
        machine = self._setup.machine
        status = self.api.public(f"status/{machine}")
        if not isinstance(status, Mapping):
            raise unreachable(f"did not say how {machine} is")
        word = str(status.get("status", "unknown"))
        notes = str(status.get("description") or "").strip()
        sentence = f"{status.get('full_name') or machine} is {word}{f': {notes}' if notes else ''}"
        begin, end = _next_outage(self.api.public(f"status/outages/planned/{machine}"))
        return SiteHealth(word in ("active", "degraded"), sentence.rstrip(".") + ".", begin, end)

    def quota(self) -> Quota | None:
        path = self._setup.quota_of
        return None if path is None else read_quota(path, self.api.command(quota_command(path)))

    def credential_expiry(self) -> datetime | None:
        mine = self.api.client_id
        clients = self.api.send_any("GET", "account/clients")
        ends = [row.get("expiresAt") for row in clients if isinstance(row, Mapping) and row.get("clientId") == mine]
        return _moment(ends[0]) if ends else None

    def close(self) -> None:
        self.api.close()


def _next_outage(outages: Any) -> tuple[datetime | None, datetime | None]:
    """The first planned outage that is not over."""
    rows = [row for row in outages if isinstance(row, Mapping)] if isinstance(outages, list) else []
    spans = [(begin, _moment(row.get("end_at"))) for row in rows if (begin := _moment(row.get("start_at"))) is not None]
    now = datetime.now(UTC)
    coming = sorted((begin, end) for begin, end in spans if end is None or end > now)
    return coming[0] if coming else (None, None)


def _moment(text: Any) -> datetime | None:
    """A time of the API (ISO 8601; UTC where it names no zone)."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _view(row: Mapping[str, Any]) -> SchedulerView:
    return SchedulerView(
        state=str(row.get("state", "")),
        exit_code=str(row.get("exitcode") or ""),
        derived=str(row.get("derivedexitcode") or ""),
        nodes=str(row.get("nodelist") or row.get("nodelist(reason)") or ""),
        queue_wait_s=_between(row.get("submit"), row.get("start")),
        used_s=_between(row.get("start"), row.get("end")),
        max_rss=str(row.get("maxrss") or ""),
    )


def _between(begin: Any, end: Any) -> float | None:
    """Seconds between two of Slurm's times (local, without zone); None while one is 'Unknown'."""
    try:
        return time.mktime(time.strptime(str(end), "%Y-%m-%dT%H:%M:%S")) - time.mktime(time.strptime(str(begin), "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None
