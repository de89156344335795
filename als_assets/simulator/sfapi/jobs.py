"""The batch scheduler: queue, start, limits, faults and endings of jobs, as Slurm would have them.

Here: one thread that looks at every live job, again and again, and writes what it finds to SQLite; a restart begins by looking.
Not here: processes (``processes``) and how the API shows a job (``tables``).
"""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from als_assets.simulator.config import BatchConfig
from als_assets.simulator.faults import FaultBook, LiveRule
from als_assets.simulator.sfapi.processes import Ending, JobFolder
from als_assets.simulator.sfapi.script import Script, ScriptRefused, expand, parse_script
from als_assets.simulator.sfapi.tables import rows
from als_assets.simulator.store import Doc, Store

_FIRST_ID = 40_000_001
_TICK_S = 0.05
_START_GRACE_S = 5.0


class Scheduler:
    """All jobs of one machine, as processes here. ``name`` sets them apart from those of other machines in the store."""

    def __init__(self, config: BatchConfig, store: Store, faults: FaultBook, folder: Path, name: str = "sfapi") -> None:
        self._config, self._store, self._faults, self._folder = config, store, faults, folder
        self._job, self._open = f"{name}_job", f"{name}_open"
        self._stop, self._wake = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look after the jobs, also those that an earlier simulator left running."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._loop, name="scheduler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; unless the configuration keeps jobs, kill what runs (NODE_FAIL) first."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        if not self._config.keep_jobs:
            for job in self._live():
                if job["state"] == "RUNNING":
                    self._end(job, "NODE_FAIL", reason="The simulator was stopped", kill=True)

    # --- what the APIs do ----------------------------------------------------------------------------------------------

    def jobs(self) -> list[Doc]:
        """All jobs, oldest first, for the control plane."""
        return self._store.all(self._job)

    def rows(self, filters: dict[str, str], *, sacct: bool) -> list[Doc]:
        """The rows of squeue or sacct. Raises UnknownFilter."""
        return rows(self.jobs(), self._config, filters, sacct=sacct)

    def submit(self, text: str, arguments: list[str] | None = None) -> str:
        """Queue a script; its job id.

        Raises:
            ScriptRefused: sbatch's words.
        """
        script = parse_script(text)
        rules = self._take_rules(script.name, [])
        for rule in rules:
            if rule.action == "refuse":
                raise ScriptRefused(rule.message or "sbatch: error: Batch job submission failed: Unspecified error")
        with self._store.transaction():
            job_id = str(self._store.next_number(self._job, _FIRST_ID))
            job = self._new_job(job_id, script, arguments or [])
            job.update(_rules=[rule.model_dump() for rule in rules], lost=any(rule.action == "lost" for rule in rules))
            self._store.put(self._job, job_id, job)
            self._store.put(self._open, job_id, {})
        self._wake.set()
        return job_id

    def cancel(self, job_id: str) -> bool:
        """scancel: the process group gets TERM, then KILL. False for an id never given."""
        job = self._store.get(self._job, job_id)
        if job is None:
            return False
        if job["state"] == "PENDING":
            self._end(job, "CANCELLED")
        elif job["state"] == "RUNNING":
            self._store.update(self._job, job_id, _cancelled=time.time())
            self._folder_of(job).signal_group(signal.SIGTERM)
        self._wake.set()
        return True

    def _new_job(self, job_id: str, script: Script, arguments: list[str]) -> Doc:
        home = str(self._config.roots[0]) if self._config.roots else str(self._folder)
        workdir = script.options.get("chdir", home)
        names = {"job_id": job_id, "name": script.name, "user": self._config.user, "node": self._config.node}
        output = str(Path(workdir) / expand(script.options.get("output", "slurm-%j.out"), **names))
        error = script.options.get("error")
        return {
            "jobid": job_id,
            "name": script.name,
            "state": "PENDING",
            "reason": "Priority",
            "script": script.text,
            "options": script.options,
            "limit_s": script.limit_s,
            "warning": script.warning,
            "arguments": arguments,
            "workdir": workdir,
            "output": output,
            "error": str(Path(workdir) / expand(error, **names)) if error else output,
            "submit": time.time(),
            "start": None,
            "end": None,
            "exit": [0, 0],
            "maxrss_kib": 0,
            "visible_after": 0.0,
            "lost": False,
            "_rules": [],
            "_cancelled": None,
            "_warned": False,
        }

    # --- the loop ------------------------------------------------------------------------------------------------------

    def _live(self) -> list[Doc]:
        return [job for job in map(partial(self._store.get, self._job), self._store.keys(self._open)) if job is not None]

    def _loop(self) -> None:
        while not self._stop.is_set():
            jobs = self._live()
            running = sum(job["state"] == "RUNNING" for job in jobs)
            for job in jobs:
                running += self._look(job, free=running < self._config.slots)
            self._wake.wait(_TICK_S if jobs else None)
            self._wake.clear()

    def _look(self, job: Doc, *, free: bool) -> int:
        """One look at one live job; +1 when it was started."""
        job = self._struck(job)
        rules = [LiveRule.model_validate(rule) for rule in job["_rules"]]
        if job["state"] == "RUNNING":
            self._look_at_running(job, rules)
        elif job["state"] == "PENDING" and free and time.time() - job["submit"] >= self._config.queue_wait_s:
            if self._held(rules, "PENDING"):
                self._store.update(self._job, job["jobid"], reason="JobHeldAdmin")
                return 0
            self._begin(job)
            return 1
        return 0

    def _struck(self, job: Doc) -> Doc:
        """The job with the rules that were added since the last look."""
        more = self._take_rules(job["name"], [rule["id"] for rule in job["_rules"]])
        if not more:
            return job
        rules = job["_rules"] + [rule.model_dump() for rule in more]
        return self._store.update(self._job, job["jobid"], _rules=rules, lost=any(rule["action"] == "lost" for rule in rules))

    def _take_rules(self, name: str, known: list[str]) -> list[LiveRule]:
        rules: list[LiveRule] = []
        while rule := self._faults.take("job", but_not=[*known, *(rule.id for rule in rules)], name=name):
            rules.append(rule)
        return rules

    def _held(self, rules: list[LiveRule], state: str) -> bool:
        """Whether a hold keeps the job in ``state`` (PENDING unless the rule says otherwise)."""
        return any(rule.action == "hold" and (rule.state or "PENDING") == state and self._faults.in_force(rule.id) for rule in rules)

    def _begin(self, job: Doc) -> None:
        # The state is written first: a simulator killed here finds a RUNNING job without process, which is a NODE_FAIL,
        # and never starts a script twice.
        self._store.update(self._job, job["jobid"], state="RUNNING", start=time.time(), reason="None")
        document = {key: job[key] for key in ("output", "error", "workdir", "arguments")}
        self._folder_of(job).start(job["script"], {**document, "environment": self._environment(job)})

    def _environment(self, job: Doc) -> dict[str, str]:
        options = job["options"]
        home = str(self._config.roots[0]) if self._config.roots else "/"
        base = {"PATH": os.environ.get("PATH", os.defpath), "HOME": home, "USER": self._config.user, "LANG": "C.UTF-8"}
        slurm = {
            "SLURM_JOB_ID": job["jobid"],
            "SLURM_JOBID": job["jobid"],
            "SLURM_JOB_NAME": job["name"],
            "SLURM_JOB_USER": self._config.user,
            "SLURM_JOB_ACCOUNT": options.get("account", ""),
            "SLURM_JOB_QOS": options.get("qos", "debug"),
            "SLURM_JOB_NODELIST": self._config.node,
            "SLURM_JOB_NUM_NODES": options.get("nodes", "1"),
            "SLURM_CPUS_PER_TASK": options.get("cpus-per-task", "1"),
            "SLURM_SUBMIT_DIR": job["workdir"],
            "SLURM_CLUSTER_NAME": self._config.cluster,
        }
        return {**base, **slurm, **self._config.environment}

    # --- a running job -------------------------------------------------------------------------------------------------

    def _look_at_running(self, job: Doc, rules: list[LiveRule]) -> None:
        folder, ran_s = self._folder_of(job), time.time() - job["start"]
        ending = folder.ending()
        if ending is not None:
            if not self._held(rules, "RUNNING"):
                self._finish(job, rules, ending)
            return
        for rule in rules:
            if rule.action in ("node_fail", "kill", "state") and ran_s >= rule.delay_s and folder.alive():
                self._strike(job, rule, folder)
                return
        if not folder.alive() and folder.ending() is None and (folder.started() or ran_s > _START_GRACE_S):
            self._end(job, "NODE_FAIL", reason="The job's process is gone")
            return
        self._enforce_limits(job, folder, ran_s)

    def _strike(self, job: Doc, rule: LiveRule, folder: JobFolder) -> None:
        if rule.action == "kill":
            folder.kill()
        elif rule.action == "node_fail":
            self._end(job, "NODE_FAIL", reason="NodeDown", kill=True)
        else:
            state = rule.state or "FAILED"
            exits = {"OUT_OF_MEMORY": (0, 125), "TIMEOUT": (0, 15), "COMPLETED": (0, 0), "PREEMPTED": (0, 15)}
            self._end(job, state, exit_code=exits.get(state, (1, 0)), kill=True)

    def _enforce_limits(self, job: Doc, folder: JobFolder, ran_s: float) -> None:
        if job["_cancelled"] is not None:
            if time.time() - job["_cancelled"] > self._config.kill_wait_s:
                folder.kill()
            return
        # Slurm knows whole minutes, so that no script is warned in its first moments; here jobs of seconds are not, either.
        if job["warning"] and not job["_warned"] and ran_s > job["limit_s"] - min(job["warning"][1], job["limit_s"] / 2):
            self._store.update(self._job, job["jobid"], _warned=True)
            folder.signal_script(job["warning"][0])
        if ran_s > job["limit_s"]:
            folder.signal_group(signal.SIGTERM)
        if ran_s > job["limit_s"] + self._config.kill_wait_s:
            folder.kill()

    def _finish(self, job: Doc, rules: list[LiveRule], ending: Ending) -> None:
        code = (ending.exit, ending.signal)
        forced = [rule.exit_code for rule in rules if rule.action == "exit"]
        if forced and forced[0] is not None:
            code = (forced[0], 0)
        state = "COMPLETED" if code == (0, 0) else "FAILED"
        # Read again: a cancelling between this look's beginning and the end of the process is what ended it.
        if (self._store.get(self._job, job["jobid"]) or job)["_cancelled"] is not None:
            state, code = "CANCELLED", (0, 15)
        elif ending.end - job["start"] > job["limit_s"]:
            state, code = "TIMEOUT", (0, 15)
        self._end(job, state, exit_code=code, ending=ending)

    def _end(
        self,
        job: Doc,
        state: str,
        *,
        exit_code: tuple[int, int] = (0, 0),
        reason: str = "None",
        kill: bool = False,
        ending: Ending | None = None,
    ) -> None:
        changes: dict[str, Any] = {"state": state, "reason": reason, "exit": list(exit_code), "end": time.time()}
        if ending is not None:
            changes.update(end=ending.end, maxrss_kib=ending.maxrss_kib)
        lag_s = max((rule["lag_s"] for rule in job["_rules"] if rule["action"] == "sacct_lag"), default=0.0)
        with self._store.transaction():
            self._store.update(self._job, job["jobid"], **changes, visible_after=time.time() + lag_s)
            self._store.drop(self._open, job["jobid"])
        if kill:
            self._folder_of(job).kill()

    def _folder_of(self, job: Doc) -> JobFolder:
        return JobFolder(self._folder / job["jobid"])
