"""Jobs in the words of the IRI API: the request that starts one, and the scheduler's view in its answers.

Here: pure functions between our values and the API's documents. Not here: HTTP (``api``) and the transport.
Source: DOE IRI Facility API v1 and v2, compute (https://github.com/doe-iri/iri-facility-api-docs).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from als_assets.compute.outcomes import LIVE, REASON_OF_STATE, SchedulerView
from als_assets.compute.script import ENGINE, render
from als_assets.compute.spec import JobSpec
from als_assets.facility.compute import IriCompute

_MARK = "# IRI "
_WORDS = {"new": "PENDING", "queued": "PENDING", "held": "PENDING", "active": "RUNNING", "completed": "COMPLETED"}
NO_REASON = "FAILED_WITHOUT_REASON"  # no program ended badly, so the site ended the job, and does not say why
_NAMES = ("jobname", "job_name", "name", "Job_Name")


def script_of(spec: JobSpec, setup: IriCompute) -> str:
    """The job script, with what the site is asked for in its second line, so that both are on record as one intent."""
    head = ENGINE.get_template("iri_head.sh.j2").render(
        request=json.dumps(_request(spec, setup), sort_keys=True),
        log_dir=spec.log_dir,
        stdout=spec.stdout_path,
        stderr=spec.stderr_path,
    )
    return head + render(spec, []).removeprefix("#!/bin/bash\n")


def _request(spec: JobSpec, setup: IriCompute) -> dict[str, Any]:
    attributes = {
        "duration": spec.walltime_s,
        "queue_name": spec.queue_name or setup.queue,
        "account": spec.account or setup.account,
        "custom_attributes": setup.custom_attributes,
    }
    asked = {key: value for key, value in asdict(spec.resources).items() if value or value is False}  # the API knows no 0 of anything
    processes = spec.resources.node_count * spec.resources.processes_per_node
    return {"name": spec.name, "resources": {**asked, "process_count": processes}, "attributes": attributes}


def request_of(script: str) -> dict[str, Any]:
    """The API's JobSpec for a script of ``script_of``. Logs are opened by the script, which also makes their folder.

    A login shell, because without one ``module`` and the site's programs are missing (exit code 127 at OLCF and ALCF).
    """
    line = script.splitlines()[1]
    request: dict[str, Any] = json.loads(line.removeprefix(_MARK))
    nowhere = {"stdout_path": "/dev/null", "stderr_path": "/dev/null"}
    return {**request, "executable": "/bin/bash", "arguments": ["-lc", script], **nowhere}


def name_of(job: Mapping[str, Any]) -> str | None:
    """A listed job's name, or None where the site does not tell it."""
    for table in (job.get("job_spec"), (job.get("status") or {}).get("meta_data")):
        for key in _NAMES:
            if isinstance(table, Mapping) and table.get(key):
                return str(table[key])
    return None


def view_of(job: Mapping[str, Any]) -> SchedulerView | None:
    """The scheduler's view in a Job document; None when it has no status.

    The API folds time limit, memory and node failure into 'failed': the scheduler's own word is taken where the site gives it, but
    never against the API's word, and 'completed' only when no other word contradicts it.
    """
    status = job.get("status")
    if not isinstance(status, Mapping) or not status.get("state"):
        return None
    meta = status.get("meta_data")
    facts = {str(key).lower(): value for key, value in meta.items()} if isinstance(meta, Mapping) else {}
    state = _state(str(status["state"]).lower(), str(facts.get("state") or ""), str(status.get("message") or ""))
    code = str(facts.get("exitcode") or "") or _plain_code(status.get("exit_code"))
    return SchedulerView(
        state=NO_REASON if state == "FAILED" and code in ("", "0:0") and not facts.get("state") else state,
        exit_code=code,
        derived=str(facts.get("derivedexitcode") or ""),
        nodes=str(facts.get("nodelist") or facts.get("exec_host") or ""),
        queue_wait_s=_between(facts.get("submit"), facts.get("start")),
        used_s=_between(facts.get("start"), facts.get("end")),
        max_rss=str(facts.get("maxrss") or ""),
    )


def _state(word: str, raw: str, message: str) -> str:
    scheduler = raw.upper().split()[0] if raw.split() else ""
    if word in ("failed", "canceled"):
        own = "FAILED" if word == "failed" else "CANCELLED"
        if scheduler and scheduler not in LIVE and scheduler != "COMPLETED":
            return raw
        return own if scheduler else _told(message, own)
    if word == "completed":
        return raw if scheduler and scheduler not in LIVE else "COMPLETED"
    if word in _WORDS:
        return scheduler if scheduler in LIVE else _WORDS[word]
    return word.upper()


def _told(message: str, otherwise: str) -> str:
    """The scheduler's word in a message for people, as in 'Job ended: TIMEOUT'."""
    words = {word.strip(".,;:()'\"") for word in message.split()}
    return next((state for state in REASON_OF_STATE if state in words), otherwise)


def _plain_code(code: object) -> str:
    """Without an exit code nothing is known, which is not the same as 0."""
    return f"{code}:0" if isinstance(code, int) and not isinstance(code, bool) else ""


def _between(begin: object, end: object) -> float | None:
    """Seconds between two times as a scheduler writes them; None while one is 'Unknown'."""
    try:
        return (datetime.fromisoformat(str(end)) - datetime.fromisoformat(str(begin))).total_seconds()
    except (ValueError, TypeError):  # TypeError: one has a time zone, the other has none
        return None
