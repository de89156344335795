"""Requests to the Superfacility API (SFAPI 1.2): tokens, tasks, commands, and errors as what they mean.

Here: one request at a time, never repeated by a library, because a POST may start a job. Not here: what is asked for (``sfapi``).
Tokens come through sfapi-client; the key is read again for every new token client, so a renewed key needs no restart.
Source: https://api.nersc.gov/api/v1.2 and https://docs.nersc.gov/services/sfapi/.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import time
import warnings
from collections.abc import Mapping
from typing import Any

import httpx
from tenacity import RetryError

from als_assets.compute.private_key import private_key
from als_assets.errors import CredentialsRejected, ServiceUnreachable
from als_assets.facility.compute import SfapiCompute
from als_assets.facility.identities import SfapiIdentity

_TASK_TIMEOUT_S = 120.0
_FIRST_PAUSE_S = 0.1
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)

# Authlib tells at import that it would rather have httpx2, also to staff, and puts a filter for that before all others.
with warnings.catch_warnings(record=True):
    from authlib.integrations.base_client import OAuthError
    from sfapi_client import Client

# Newer versions of Authlib log in with httpx2 where it is installed, and that raises errors of a family of its own.
_NO_TOKEN: tuple[type[Exception], ...] = (
    *(importlib.import_module(name).HTTPError for name in ("httpx", "httpx2") if importlib.util.find_spec(name)),
    RetryError,
    ValueError,
)
# Nothing was heard at the other end when not even a connection came about.
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
Params = list[tuple[str, str | int | float | bool | None]]


class SfapiApi:
    """One NERSC machine's API as one client."""

    def __init__(self, setup: SfapiCompute, identity: SfapiIdentity) -> None:
        self._setup = setup
        self._identity = identity
        self._client: Client | None = None
        self._http = httpx.Client(base_url=setup.api_url.rstrip("/") + "/", timeout=_TIMEOUT)

    @property
    def client_id(self) -> str:
        return self._identity.client_id.read()

    def rows(self, accounting: bool, kwargs: list[str]) -> list[dict[str, Any]]:
        params: Params = [("sacct", str(accounting).lower()), ("cached", "false")]
        params += [("kwargs", k) for k in kwargs]
        answer = self.get(f"compute/jobs/{self._setup.machine}", params)
        if str(answer.get("status")).upper() != "OK":
            raise unreachable(f"could not list jobs: {answer.get('error')}")
        return [dict(row) for row in answer.get("output") or []]

    def command(self, command: str) -> str:
        """Run a command on a login node and return its output."""
        outcome = self.outcome(self.send("POST", f"utilities/command/{self._setup.machine}", data={"executable": command}))
        if str(outcome.get("status")).lower() != "ok":
            raise unreachable(f"could not run a command: {outcome.get('error')}")
        return str(outcome.get("output") or "")

    def outcome(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """The result of an asynchronous SFAPI task. A refusal may come at once, as a failed task, or as a completed one."""
        if not answer.get("task_id"):
            if answer.get("error"):
                return {"status": "error", "error": answer["error"]}
            raise unreachable("answered without a task")
        task_id = str(answer["task_id"])
        deadline, pause = time.monotonic() + _TASK_TIMEOUT_S, _FIRST_PAUSE_S
        while time.monotonic() < deadline:
            task = self.get(f"tasks/{task_id}")
            if str(task.get("status")).lower() in ("completed", "failed", "cancelled"):
                return _result(task)
            time.sleep(pause)
            pause = min(pause * 1.5, 2.0)
        raise unreachable(f"did not finish the task {task_id} within {_TASK_TIMEOUT_S:.0f} s")

    def get(self, path: str, params: Params | None = None) -> dict[str, Any]:
        return self.send("GET", path, params=params)

    def send(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """One request, never repeated, except once with a fresh token when the token was refused; its answer is a table.

        Raises:
            ServiceUnreachable (``nothing_sent`` in its details: the request was certainly not carried out), CredentialsRejected.
        """
        answer = self.send_any(method, path, **options)
        if not isinstance(answer, dict):
            raise unreachable(f"answered a list or a word to {method} {path}")
        return answer

    def send_any(self, method: str, path: str, **options: Any) -> Any:
        """As ``send``, with an answer of any shape."""
        for last in (False, True):
            try:
                response = self._http.request(method, path, headers={"Authorization": f"Bearer {self._token(last)}"}, **options)
            except httpx.HTTPError as error:
                raise unreachable(f"did not answer ({type(error).__name__})", nothing_sent=isinstance(error, _UNSENT)) from error
            if response.status_code not in (401, 403) or last:
                break
        if response.status_code in (401, 403):
            raise self._rejected(f"answered {response.status_code}")
        return _content(response, f"{method} {path}")

    def public(self, path: str) -> Any:
        """What anybody may ask: the status pages. Raises ServiceUnreachable."""
        try:
            response = self._http.get(path)
        except httpx.HTTPError as error:
            raise unreachable(f"did not answer ({type(error).__name__})") from error
        return _content(response, f"GET {path}")

    def _token(self, renew: bool) -> str:
        fresh = self._client is None or renew
        if self._client is None or renew:
            self._forget_token()
            self._client = Client(
                self._identity.client_id.read(),
                private_key(self._identity.key),
                api_base_url=self._setup.api_url,
                token_url=self._setup.token_url,
            )
        try:
            return str(self._client.token)
        except OAuthError as error:
            self._forget_token()
            if not fresh:  # the key may have been renewed since it was read
                return self._token(True)
            raise self._rejected(f"said '{error.error}'") from error
        except _NO_TOKEN as error:
            raise unreachable(f"gave no token ({type(error).__name__})", nothing_sent=True) from error

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


def _content(response: httpx.Response, request: str) -> Any:
    if response.status_code >= 400:
        said_no = response.status_code < 500
        raise unreachable(f"answered {response.status_code} to {request}", nothing_sent=said_no)
    try:
        return response.json()
    except ValueError as error:
        raise unreachable(f"answered something that is not JSON to {request}") from error


def _result(task: Mapping[str, Any]) -> dict[str, Any]:
    """What a finished task says; words that are no table are taken as its error."""
    words = task.get("result") or f"the task {task['status']}"
    try:
        result = json.loads(words)
    except ValueError:
        result = words
    return result if isinstance(result, dict) else {"status": "error", "error": str(result)}


def unreachable(words: str, *, nothing_sent: bool = False) -> ServiceUnreachable:
    """``nothing_sent``: the request provably never left."""
    details = {"nothing_sent": True} if nothing_sent else {}
    return ServiceUnreachable(f"The NERSC API {words}.", next_step="It is tried again by itself; see status at nersc.gov.", **details)
