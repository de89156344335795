"""The transport to NERSC over the Superfacility API (SFAPI 1.2).

Here: tokens through sfapi-client, and our own requests for jobs, commands and logs: a POST that starts a job is sent once and never
repeated by a library. Not here: what a state means (``report``) and when to submit (``act``).
Source: https://api.nersc.gov/api/v1.2 and https://docs.nersc.gov/services/sfapi/.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import httpx
from authlib.integrations.base_client import OAuthError
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from sfapi_client import Client
from tenacity import RetryError

from als_assets.compute.report import SchedulerView
from als_assets.compute.script import render, slurm_directives
from als_assets.compute.spec import JobSpec
from als_assets.errors import CredentialsRejected, JobRefused, SecretUnavailable, ServiceUnreachable
from als_assets.facility.compute import SfapiCompute
from als_assets.facility.identities import SfapiIdentity
from als_assets.facility.secrets import SecretRef

_TASK_TIMEOUT_S = 120.0
_FIRST_PAUSE_S = 0.1
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)


class SfapiTransport:
    """One NERSC machine. Credentials are read again for every new token client, so a renewed key needs no restart."""

    def __init__(self, setup: SfapiCompute, identity: SfapiIdentity) -> None:
        self._setup = setup
        self._identity = identity
        self.poll_s = setup.poll_s
        self._client: Client | None = None
        self._http = httpx.Client(base_url=setup.api_url.rstrip("/") + "/", timeout=_TIMEOUT)

    def script(self, spec: JobSpec) -> str:
        return render(spec, slurm_directives(spec, self._setup))

    def find(self, spec_name: str, log_dir: PurePosixPath) -> str | None:
        user = self._get("account/").get("name")
        if not user:
            raise _unreachable("did not say whose jobs these are")
        for accounting in (False, True):
            for row in self._rows(accounting, [f"user={user}"]):
                if spec_name in (row.get("name"), row.get("jobname")):
                    return str(row["jobid"])
        return None

    def submit(self, spec_name: str, script: str, log_dir: PurePosixPath) -> str:
        self._command(f"mkdir -p -- {shlex.quote(str(log_dir))}")
        form = {"job": script, "isPath": "false"}
        outcome = self._outcome(self._send("POST", f"compute/jobs/{self._setup.machine}", data=form))
        if outcome.get("jobid"):
            return str(outcome["jobid"])
        raise JobRefused(
            f"NERSC refused the job {spec_name}: {outcome.get('error') or 'no reason given'}.",
            next_step="Check account, QOS and limits in the facility file against the words above, then re-execute from failure.",
        )

    def look(self, job_id: str) -> SchedulerView | None:
        # sacct only speaks the last word; while squeue knows the job, squeue is right.
        for accounting in (False, True):
            rows = self._rows(accounting, [f"jobid={job_id}"])
            mine = [r for r in rows if str(r.get("jobid")) == job_id]
            if mine:
                return _view(mine[0])
        return None

    def cancel(self, job_id: str) -> None:
        self._send("DELETE", f"compute/jobs/{self._setup.machine}/{job_id}")

    def listing(self, path: PurePosixPath) -> dict[str, int] | None:
        quoted = shlex.quote(str(path))
        text = self._command(f"if [ -e {quoted} ]; then find {quoted} -type f -printf '%P\\t%s\\n'; else echo absent; fi")
        if text.strip() == "absent":
            return None
        rows = (line.rsplit("\t", 1) for line in text.splitlines() if line)
        return {name: int(size) for name, size in rows}

    def tail(self, path: PurePosixPath, lines: int) -> str:
        quoted = shlex.quote(str(path))
        return self._command(f"if [ -f {quoted} ]; then tail -c 65536 -- {quoted} | tail -n {lines}; fi").rstrip("\n")

    def _rows(self, accounting: bool, kwargs: list[str]) -> list[dict[str, Any]]:
        params: list[tuple[str, str | int | float | bool | None]] = [("sacct", str(accounting).lower()), ("cached", "false")]
        params += [("kwargs", k) for k in kwargs]
        answer = self._get(f"compute/jobs/{self._setup.machine}", params)
        if str(answer.get("status")).upper() != "OK":
            raise _unreachable(f"could not list jobs: {answer.get('error')}")
        return [dict(row) for row in answer.get("output") or []]

    def _command(self, command: str) -> str:
        """Run a command on a login node and return its output."""
        outcome = self._outcome(self._send("POST", f"utilities/command/{self._setup.machine}", data={"executable": command}))
        if str(outcome.get("status")).lower() != "ok":
            raise _unreachable(f"could not run a command: {outcome.get('error')}")
        return str(outcome.get("output") or "")

    def _outcome(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """The result of an asynchronous SFAPI task. A refusal may come at once, as a failed task, or as a completed one."""
        if not answer.get("task_id"):
            if answer.get("error"):
                return {"status": "error", "error": answer["error"]}
            raise _unreachable("answered without a task")
        task_id = str(answer["task_id"])
        deadline, pause = time.monotonic() + _TASK_TIMEOUT_S, _FIRST_PAUSE_S
        while time.monotonic() < deadline:
            task = self._get(f"tasks/{task_id}")
            if str(task.get("status")).lower() in ("completed", "failed", "cancelled"):
                return _result(task)
            time.sleep(pause)
            pause = min(pause * 1.5, 2.0)
        raise _unreachable(f"did not finish the task {task_id} within {_TASK_TIMEOUT_S:.0f} s")

    def _get(self, path: str, params: list[tuple[str, str | int | float | bool | None]] | None = None) -> dict[str, Any]:
        return self._send("GET", path, params=params)

    def _send(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """One request, never repeated, except once with a fresh token when the token was refused."""
        for last in (False, True):
            try:
                response = self._http.request(method, path, headers={"Authorization": f"Bearer {self._token(last)}"}, **options)
            except httpx.HTTPError as error:
                raise _unreachable(f"did not answer ({type(error).__name__})") from error
            if response.status_code not in (401, 403) or last:
                break
        if response.status_code in (401, 403):
            raise self._rejected(f"answered {response.status_code}")
        if response.status_code >= 400:
            raise _unreachable(f"answered {response.status_code} to {method} {path}")
        try:
            answer = response.json()
        except ValueError as error:
            raise _unreachable(f"answered something that is not JSON to {method} {path}") from error
        if not isinstance(answer, dict):
            raise _unreachable(f"answered a list or a word to {method} {path}")
        return answer

    def _token(self, renew: bool) -> str:
        if self._client is None or renew:
            self._forget_token()
            self._client = Client(
                self._identity.client_id.read(),
                _key(self._identity.key),
                api_base_url=self._setup.api_url,
                token_url=self._setup.token_url,
            )
        try:
            return str(self._client.token)
        except OAuthError as error:
            self._forget_token()  # the next attempt reads the key again: it may have been renewed
            raise self._rejected(f"said '{error.error}'") from error
        except (httpx.HTTPError, RetryError, ValueError) as error:
            raise _unreachable(f"gave no token ({type(error).__name__})") from error

    def _rejected(self, words: str) -> CredentialsRejected:
        return CredentialsRejected(
            f"NERSC refused the API client in {self._identity.client_id} ({words}).",
            next_step="Renew the client in Iris (its key lives for days only), replace the key file, then re-execute from failure.",
        )

    def close(self) -> None:
        self._forget_token()
        self._http.close()

    def _forget_token(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _key(reference: SecretRef) -> Any:
    """A JWK must be handed over as a table and PEM as text: the other forms fail with some versions of Authlib.

    Raises:
        SecretUnavailable: it cannot be read, or is no private key.
    """
    text = reference.read()
    try:
        key = json.loads(text) if text.startswith("{") else text
        if RSAKey.import_key(key).is_private:
            return key
    except (ValueError, JoseError):
        pass  # and nothing of that error is shown: it may quote the key
    raise SecretUnavailable(f"The {reference} holds no private key (JWK or PEM).", next_step="Put the key of the client from Iris there.")


def _result(task: Mapping[str, Any]) -> dict[str, Any]:
    """What a finished task says; words that are no table are taken as its error."""
    words = task.get("result") or f"the task {task['status']}"
    try:
        result = json.loads(words)
    except ValueError:
        result = words
    return result if isinstance(result, dict) else {"status": "error", "error": str(result)}


def _unreachable(words: str) -> ServiceUnreachable:
    return ServiceUnreachable(f"The NERSC API {words}.", next_step="It is tried again by itself; see status at nersc.gov.")


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
