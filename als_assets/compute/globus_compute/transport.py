"""The transport to a site behind Globus Compute (ALCF): one registered function there starts scripts, tells, stops and lists.

Here: jobs as tasks that are submitted once and found again, by their task group and by the claim file at the site. Not here: what
the function does (``site``), words of states (``states``) and requests (``client``).
The service has no key against doing a thing twice and no cancel: both are made by files at the site, named by the job.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from als_assets.compute.globus_compute.calls import SiteFunction
from als_assets.compute.globus_compute.client import ComputeClient, Where
from als_assets.compute.globus_compute.notes import Notes
from als_assets.compute.globus_compute.states import Fate, fate_of, view_of_state
from als_assets.compute.health import SiteHealth
from als_assets.compute.report import SchedulerView
from als_assets.compute.script import render
from als_assets.compute.spec import JobSpec
from als_assets.errors import ServiceUnreachable, SiteNotReady
from als_assets.facility.compute import GlobusCompute
from als_assets.facility.secrets import SecretRef

# How long small calls may take; the first one of a shift waits for nodes in the queue.
_CALL_PATIENCE_S, _CHECK_PATIENCE_S = 120.0, 1800.0
# A job whose sign of life (each 10 s) is older than this lies on a node that is gone.
_SILENT_S = 300.0
_STOP_WAIT_S = 15.0
_WARNING_S = 60
_WISHES = re.compile(r"\A[^\n]*\n# wishes: (\{.*\})\n")
_NO_TASK = "-"


@dataclass(frozen=True)
class _Job:
    """A job's id, taken apart: ``<log folder>/<name>/<task id>``."""

    base: str
    task_id: str

    @classmethod
    def of(cls, job_id: str) -> _Job:
        return cls(*job_id.rsplit("/", 1))

    @property
    def name(self) -> str:
        return self.base.rsplit("/", 1)[-1]


class GlobusComputeTransport:
    """One site. ``folders`` must be writable there; ``notes`` is what this machine remembers of it."""

    def __init__(self, title: str, setup: GlobusCompute, client: ComputeClient, notes: Notes, folders: Sequence[PurePosixPath]) -> None:
        self._title, self._setup, self._client, self._notes = title, setup, client, notes
        self._folders = [str(folder) for folder in folders]
        self._site = SiteFunction(client, notes, title, setup.poll_s)
        self.poll_s = setup.poll_s

    def script(self, spec: JobSpec) -> str:
        """The script, with what the endpoint is asked for in its second line: the record then holds all that a submission needs."""
        shebang, rest = render(spec, []).split("\n", 1)
        setup = self._setup
        size = {"limit_s": spec.walltime_s, "nodes": max(spec.resources.node_count, setup.nodes)}
        wishes = {**size, "queue": spec.queue_name or setup.queue, "account": spec.account or setup.account}
        return f"{shebang}\n# wishes: {json.dumps(wishes)}\n{rest}"

    def find(self, spec_name: str, log_dir: PurePosixPath) -> str | None:
        """By its task group, which is remembered before the job is sent; where that is not remembered, by the claim at the site."""
        note = self._notes.read("groups", spec_name)
        if note is not None:
            tasks = [task for task in self._client.group(note["group"]) if task != note["asked"]]
            return f"{log_dir}/{spec_name}/{tasks[0]}" if tasks else None
        base = f"{log_dir}/{spec_name}"
        task, answer = self._site.call(self._files, self._status_of([base]), _CALL_PATIENCE_S)
        state = self._expect(answer, "states")[base]
        self._notes.write("groups", spec_name, {"group": task.group_id, "asked": task.task_id})
        return None if state["state"] == "UNKNOWN" else f"{base}/{_NO_TASK}"

    def submit(self, spec_name: str, script: str, log_dir: PurePosixPath) -> str:
        """Raises SiteNotReady when the check of the site fails."""
        found = _WISHES.match(script)
        wishes = json.loads(found[1]) if found else {}
        limit_s, where = int(wishes.get("limit_s", self._setup.walltime_s)), self._nodes(wishes)
        try:
            self._require_online()
            self._check(where)
            begun = self.find(spec_name, log_dir)
        except ServiceUnreachable as error:
            error.details["nothing_sent"] = True
            raise
        if begun is not None:
            return begun
        base, group = f"{log_dir}/{spec_name}", (self._notes.read("groups", spec_name) or {}).get("group")
        limits = {"limit_s": limit_s, "warning_s": _WARNING_S, "silent_s": _SILENT_S}
        request = {"verb": "run", "base": base, "script": script, "sent": time.time(), **limits}
        return f"{base}/{self._site.submit(spec_name, where, request, group).task_id}"

    def _require_online(self) -> None:
        status = self._client.endpoint_status(_id(self._setup.endpoint))
        if status != "online":
            raise ServiceUnreachable(
                f"The Globus Compute endpoint of {self._title} is {status}; no job was sent.",
                next_step="It is tried again by itself; see the site's status page, or choose another site.",
            )

    def look_many(self, job_ids: Sequence[str]) -> dict[str, SchedulerView]:
        """One request for all, and one question to the site about those of which the service does not know the end."""
        every = {job_id: _Job.of(job_id) for job_id in job_ids}
        stopped = {job_id: note for job_id, job in every.items() if (note := self._notes.read("stopped", job.name)) is not None}
        views = {job_id: view for job_id, note in stopped.items() if (view := view_of_state(note)) is not None}
        jobs = {job_id: job for job_id, job in every.items() if job_id not in views}
        asked = [job.task_id for job in jobs.values() if job.task_id != _NO_TASK]
        tasks = self._client.tasks(asked) if asked else {}
        fates = {job_id: fate_of(tasks.get(job.task_id)) for job_id, job in jobs.items()}
        open_jobs = {job_id: job.base for job_id, job in jobs.items() if fates[job_id].view is None}
        states = self._states(list(open_jobs.values()))
        for job_id, job in jobs.items():
            view = self._judged(job.name, fates[job_id], states.get(job.base, {}))
            if view is not None:
                views[job_id] = view
        return views

    def _judged(self, name: str, fate: Fate, state: Mapping[str, Any]) -> SchedulerView | None:
        """What follows from both. The last words of a job that never began are kept: it left no log."""
        told = fate.view or view_of_state(state)
        view = told or fate.fallback
        if view is not None and (told is None or view.state == "LAUNCH_FAILED"):
            self._notes.write("unborn", name, {"words": fate.words or str(state.get("error", ""))})
        return view

    def _states(self, bases: list[str]) -> Mapping[str, Mapping[str, Any]]:
        if not bases:
            return {}
        found: Mapping[str, Mapping[str, Any]] = self._ask(self._status_of(bases), "states")
        return found

    def cancel(self, job_id: str) -> None:
        """By a stop file, which the job looks for each second; the site then says how the job is, and the next look shows it."""
        job = _Job.of(job_id)
        request = {"verb": "stop", "base": job.base, "wait_s": _STOP_WAIT_S, "silent_s": _SILENT_S}
        _, state = self._site.call(self._files, request, _CALL_PATIENCE_S)
        if self._expect(state, "state") == "CANCELLED" and state.get("began") is None:
            self._notes.write("stopped", job.name, state)  # its task waits in the queue, and will find that it must not begin

    def forestall(self, spec_name: str, log_dir: PurePosixPath) -> str | None:
        """By the stop file, which keeps a task from beginning that comes later, and stops one that has begun."""
        self.cancel(f"{log_dir}/{spec_name}/{_NO_TASK}")
        return None

    def listing(self, path: PurePosixPath) -> dict[str, int] | None:
        packed = self._ask({"verb": "listing", "path": str(path)}, "files")
        files: dict[str, int] | None = json.loads(zlib.decompress(base64.b64decode(packed)))
        return files

    def tail(self, path: PurePosixPath, lines: int) -> str:
        """Of a job that never began there are no files: its log is what the service said."""
        unborn = self._notes.read("unborn", path.name.rsplit(".", 1)[0].removesuffix(".result"))
        if unborn is not None:
            return "\n".join(unborn["words"].strip().splitlines()[-lines:]) if path.suffix == ".err" else ""
        return str(self._ask({"verb": "tail", "path": str(path), "lines": lines}, "text"))

    def health(self) -> SiteHealth:
        status = self._client.endpoint_status(_id(self._setup.endpoint))
        words = "takes jobs" if status == "online" else f"takes no jobs: its Globus Compute endpoint is {status}"
        return SiteHealth(status == "online", f"{self._title} {words}.")

    def close(self) -> None:
        self._client.close()

    # --- calls -----------------------------------------------------------------------------------------------------------

    @property
    def _files(self) -> Where:
        setup = self._setup
        if setup.files_endpoint is None and not setup.files_options:
            return self._nodes({})
        return Where(_id(setup.files_endpoint or setup.endpoint), setup.files_options)

    def _nodes(self, wishes: Mapping[str, Any]) -> Where:
        """Blocks live five minutes longer than the job, which does not begin at once; in steps, as each walltime has its own blocks."""
        setup = self._setup
        minutes = -(-(int(wishes.get("limit_s", setup.walltime_s)) + 300) // 300) * 5
        words: dict[str, str | int] = {
            "account": wishes.get("account", setup.account),
            "queue": wishes.get("queue", setup.queue),
            "nodes_per_block": wishes.get("nodes", setup.nodes),
            "walltime": f"{minutes // 60:02d}:{minutes % 60:02d}:00",
        }
        return Where(_id(setup.endpoint), {**words, **setup.options})

    def _status_of(self, bases: list[str]) -> dict[str, Any]:
        return {"verb": "status", "bases": bases, "silent_s": _SILENT_S}

    def _ask(self, request: dict[str, Any], want: str) -> Any:
        return self._expect(self._site.call(self._files, request, _CALL_PATIENCE_S)[1], want)

    def _expect(self, answer: Mapping[str, Any], want: str) -> Any:
        if want not in answer:
            raise ServiceUnreachable(
                f"{self._title} could not be asked: {answer.get('error', 'it said something else')}.",
                next_step="It is tried again by itself; an operator looks whether the site's Globus Compute endpoint runs small functions.",
            )
        return answer[want]

    # --- the check before the first job of a shift -----------------------------------------------------------------------

    def _check(self, where: Where) -> None:
        """Let a node say that it has what jobs need; a good answer holds for ``check_hours``, on this machine.

        Raises:
            SiteNotReady: something is missing, or no node ever answered.
        """
        setup, container = self._setup, self._setup.container
        python = container.python if container.command == "none" else ""
        request = {
            "verb": "hello",
            "folders": [str(setup.log_dir), *self._folders],
            "programs": ["bash", python or container.command],
            "python": python,
            "modules": setup.modules if python else [],
        }
        # The walltime differs from job to job and changes nothing of this.
        words = {**where.options, "walltime": ""}
        name = hashlib.sha256(json.dumps([where.endpoint, words, request, self._site.id], sort_keys=True).encode()).hexdigest()[:32]
        if self._notes.read("checks", name, setup.check_hours * 3600) is not None:
            return
        answer = self._site.call(where, request, _CHECK_PATIENCE_S)[1]
        wrong = answer.get("missing", [answer.get("error", "it said something else")])
        if wrong:
            raise SiteNotReady(
                f"{self._title} is not ready for jobs: {'; '.join(wrong)}.",
                next_step="Tell an operator: worker_init, folders and programs of the site are named in the facility file.",
                site_fault=True,
            )
        self._notes.write("checks", name, answer)


def _id(reference: UUID | SecretRef) -> str:
    return reference.read() if isinstance(reference, SecretRef) else str(reference)
