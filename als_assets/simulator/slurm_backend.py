"""The batch system behind the simulated APIs as a real Slurm: its own sbatch, scancel, squeue and sacct.

Here: turning their output into rows, and the faults that need no false Slurm (``refuse``, ``lost`` and ``sacct_lag``). Not here: the
daemons (``slurm``), and states that a small cluster cannot be brought into; for those there is the back end of processes.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from als_assets.simulator.config import BatchConfig
from als_assets.simulator.faults import FaultBook
from als_assets.simulator.sfapi.script import ScriptRefused, parse_script
from als_assets.simulator.sfapi.tables import checked, passes
from als_assets.simulator.slurm import SlurmCluster
from als_assets.simulator.store import Doc, Store

_STOP_LIMIT_S = 20.0


class SlurmBackend:
    """One cluster as the machine ``name``."""

    def __init__(self, config: BatchConfig, store: Store, faults: FaultBook, folder: Path, name: str) -> None:
        self._config, self._store, self._faults = config, store, faults
        self._kind = f"{name}_slurm"
        self.cluster = SlurmCluster(folder / "slurm", config.cluster)

    def start(self) -> None:
        """Start the cluster; its own state folder knows the jobs of an earlier one. Raises ServiceUnreachable."""
        self.cluster.start()

    def stop(self) -> None:
        """Stop the cluster; unless the configuration keeps jobs, cancel them first."""
        if self.cluster.alive and not self._config.keep_jobs and (live := [row["jobid"] for row in self._queue()]):
            self.cluster.run(["scancel", *live])
            deadline = time.monotonic() + _STOP_LIMIT_S
            while self._queue() and time.monotonic() < deadline:
                time.sleep(0.05)
        self.cluster.stop()

    def submit(self, text: str, arguments: list[str] | None = None) -> str:
        """sbatch with the script on its standard input. Raises ScriptRefused with sbatch's words."""
        rule = self._faults.take("job", name=parse_script(text).name)
        if rule is not None and rule.action == "refuse":
            raise ScriptRefused(rule.message or "sbatch: error: Batch job submission failed: Unspecified error")
        home = self._config.roots[0] if self._config.roots else Path("/")
        surrounding = {"HOME": str(home), "USER": self._config.user, "PATH": os.environ.get("PATH", os.defpath)}
        command = ["sbatch", "--parsable", "/dev/stdin", *(arguments or [])]
        done = self.cluster.run(command, text=text, cwd=home, environment={**surrounding, **self._config.environment})
        if done.returncode:
            raise ScriptRefused(done.stderr.strip())
        job_id = done.stdout.strip().partition(";")[0]
        struck = {"lost": rule is not None and rule.action == "lost", "lag_s": rule.lag_s if rule and rule.action == "sacct_lag" else 0.0}
        self._store.put(self._kind, job_id, {**struck, "script": text, "ended": None})
        return job_id

    def cancel(self, job_id: str) -> bool:
        """scancel; false for an id never given."""
        if self._store.get(self._kind, job_id) is None:
            return False
        self.cluster.run(["scancel", job_id])
        return True

    def rows(self, filters: dict[str, str], *, sacct: bool) -> list[Doc]:
        """What squeue or sacct say now, but for what a fault hides."""
        checked(filters, sacct=sacct)
        found = self._accounts() if sacct else self._queue()
        return [row for row in found if not self._hidden(row, sacct=sacct) and passes(row, filters)]

    def jobs(self) -> list[Doc]:
        """All jobs, oldest first."""
        rows = {row["jobid"]: row for row in [*self._accounts(), *self._queue()]}
        known = dict(self._store.items(self._kind))
        shown = [(job_id, rows[job_id]) for job_id in known if job_id in rows]
        return [{**row, "name": row.get("name") or row.get("jobname"), "script": known[job_id]["script"]} for job_id, row in shown]

    def _hidden(self, row: Doc, *, sacct: bool) -> bool:
        job = self._store.get(self._kind, row["jobid"])
        if job is None or job["lost"]:
            return True
        if not sacct or not job["lag_s"]:
            return False
        ended = job["ended"] or time.time()
        self._store.update(self._kind, row["jobid"], ended=ended)
        return bool(time.time() < ended + job["lag_s"])

    def _queue(self) -> list[Doc]:
        return self._table(self.cluster.run(["squeue", "-o", "%all"]).stdout)

    def _accounts(self) -> list[Doc]:
        if not self.cluster.completions.exists():
            return []
        # The earliest start: without it, sacct shows the jobs of today only.
        command = ["sacct", "-c", "-f", str(self.cluster.completions), "-P", "--format=ALL", "-S", "1970-01-02"]
        return self._table(self.cluster.run(command).stdout)

    def _table(self, text: str) -> list[Doc]:
        """Rows of a table with '|' between columns. Jobs run under this account and are shown under the configured one."""
        lines = text.splitlines()
        names = [name.lower() for name in lines[0].split("|")] if lines else []
        rows = [dict(zip(names, line.split("|"), strict=False)) for line in lines[1:]]
        return [{**row, "user": self._config.user} for row in rows]
