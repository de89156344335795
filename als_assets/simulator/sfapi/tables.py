"""Jobs as squeue and sacct show them: rows of strings with lower-case column names.

Here: the columns, and the filters that the API hands on. Not here: changes of a job's state.
"""

from __future__ import annotations

import time

from als_assets.simulator import clock
from als_assets.simulator.config import BatchConfig
from als_assets.simulator.sfapi.script import format_time
from als_assets.simulator.store import Doc

LIVE = ("PENDING", "RUNNING")
_SHORT = {"PENDING": "PD", "RUNNING": "R"}
_FILTERS = frozenset({"jobid", "user", "name", "jobname", "partition", "qos", "account", "state", "states"})


class UnknownFilter(ValueError):
    """A ``kwargs`` key that the command does not have."""


def rows(jobs: list[Doc], config: BatchConfig, filters: dict[str, str], *, sacct: bool) -> list[Doc]:
    """The rows of squeue (live jobs) or sacct (jobs that accounting knows by now) that pass the filters.

    Raises:
        UnknownFilter: the command would not know that option.
    """
    checked(filters, sacct=sacct)
    present = [_stale(job) for job in jobs if not job["lost"]]
    if sacct:
        # With a lag, accounting learns of a job late: nothing is known until then.
        known = [job for job in present if not _lagging(job)]
        shown = [_sacct(job, config) for job in known]
    else:
        shown = [_squeue(job, config) for job in present if job["state"] in LIVE]
    return [row for row in shown if passes(row, filters)]


def _lagging(job: Doc) -> bool:
    lagged = any(rule["action"] == "sacct_lag" for rule in job["_rules"])
    return lagged and (job["end"] is None or time.time() < job["visible_after"])


def _stale(job: Doc) -> Doc:
    """With a stale cache, a job that has ended is shown running for a while."""
    lag_s = max((rule["lag_s"] for rule in job["_rules"] if rule["action"] == "stale_cache"), default=0.0)
    if not lag_s or job["end"] is None or job["start"] is None or time.time() > job["end"] + lag_s:
        return job
    return {**job, "state": "RUNNING", "end": None, "exit": [0, 0]}


def checked(filters: dict[str, str], *, sacct: bool) -> None:
    """Raises UnknownFilter."""
    for key in filters:
        if key not in _FILTERS:
            raise UnknownFilter(f"{'sacct' if sacct else 'squeue'}: unrecognized option '--{key}'")


def passes(row: Doc, filters: dict[str, str]) -> bool:
    """Whether a row fits the filters, each with one value or several with commas."""
    name = "jobname" if "jobname" in row else "name"
    columns = {"name": name, "jobname": name, "states": "state"}
    return all(row[columns.get(key, key)] in value.split(",") for key, value in filters.items())


def _common(job: Doc, config: BatchConfig) -> Doc:
    """The columns that both commands have."""
    options = job["options"]
    return {
        "account": options.get("account", "als"),
        "group": config.user,
        "jobid": job["jobid"],
        "partition": options.get("partition", "regular_milan_ss11"),
        "qos": options.get("qos", "debug"),
        "reason": job["reason"],
        "uid": "1",
        "user": config.user,
    }


def _squeue(job: Doc, config: BatchConfig) -> Doc:
    options, zone, ran_s = job["options"], config.timezone, _ran_s(job)
    node = config.node if job["start"] else ""
    return {
        **_common(job, config),
        "command": "(null)",
        "comment": options.get("comment", "(null)"),
        "cpus": options.get("cpus-per-task", "1"),
        "dependency": "(null)",
        "end_time": clock.slurm(job["start"] + job["limit_s"], zone) if job["start"] else "N/A",
        "exec_host": node or "n/a",
        "features": options.get("constraint", "(null)"),
        "name": job["name"],
        "nodelist": node,
        "nodelist(reason)": node or f"({job['reason']})",
        "nodes": options.get("nodes", "1"),
        "priority": "1",
        "st": _SHORT[job["state"]],
        "start_time": clock.slurm(job["start"], zone) if job["start"] else "N/A",
        "state": job["state"],
        "submit_time": clock.slurm(job["submit"], zone),
        "time": format_time(ran_s),
        "time_left": format_time(max(0, job["limit_s"] - ran_s)),
        "time_limit": format_time(job["limit_s"]),
        "work_dir": job["workdir"],
    }


def _sacct(job: Doc, config: BatchConfig) -> Doc:
    options, zone, ran_s = job["options"], config.timezone, _ran_s(job)
    exit_code = f"{job['exit'][0]}:{job['exit'][1]}"
    return {
        **_common(job, config),
        "alloccpus": options.get("cpus-per-task", "1"),
        "allocnodes": options.get("nodes", "1") if job["start"] else "0",
        "cluster": config.cluster,
        "comment": options.get("comment", ""),
        "constraints": options.get("constraint", ""),
        "derivedexitcode": exit_code if job["state"] not in LIVE else "0:0",
        "elapsed": format_time(ran_s),
        "elapsedraw": str(ran_s),
        "eligible": clock.slurm(job["submit"], zone),
        "end": clock.slurm(job["end"], zone),
        "exitcode": exit_code,
        "jobidraw": job["jobid"],
        "jobname": job["name"],
        "maxrss": f"{job['maxrss_kib']}K" if job["maxrss_kib"] else "",
        "ncpus": options.get("cpus-per-task", "1"),
        "nnodes": options.get("nodes", "1"),
        "nodelist": config.node if job["start"] else "None assigned",
        "start": clock.slurm(job["start"], zone),
        # sacct, unlike squeue, says by whom a job was cancelled.
        "state": "CANCELLED by 1" if job["state"] == "CANCELLED" else job["state"],
        "submit": clock.slurm(job["submit"], zone),
        "timelimit": format_time(job["limit_s"]),
        "timelimitraw": str(job["limit_s"] // 60),
        "workdir": job["workdir"],
    }


def _ran_s(job: Doc) -> int:
    if job["start"] is None:
        return 0
    return int((job["end"] or time.time()) - job["start"])
