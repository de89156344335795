"""Globus Compute over REST: functions, tasks, task groups and endpoints, with the service's errors in our words.

Here: requests and the wire format. A POST that starts a task is sent once; only what changes nothing is repeated by the SDK. Not
here: jobs (``transport``), and the meaning of a task's state (``states``).
Source: Globus Compute web API, https://compute.api.globus.org/redoc, and globus-compute-sdk 4.19, whose package is not needed here:
importing it starts a thread.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import globus_sdk
from globus_sdk import ClientApp, ComputeClientV2, ComputeClientV3, GlobusHTTPResponse
from globus_sdk.transport import RequestsTransport, RetryConfig

from als_assets.errors import AlsError, CredentialsRejected, JobRefused, ServiceUnreachable
from als_assets.facility.identities import GlobusIdentity
from als_assets.globus_tokens import client_app, login_error

_TIMEOUT_S = 30.0
_MAX_SLEEP_S = 10.0
# The endpoint's own classes: results come as JSON text, so nothing that arrives is ever unpickled.
_RESULT_FORMAT = "globus_compute_sdk.serialize.JSONData"
_JSON, _SDK_VERSION = "11\n", "4.19.0"
# 409: the endpoint is starting or stopping at this moment; 429: too many requests. Neither was carried out.
_NOT_NOW = (409, 429)


@dataclass(frozen=True)
class Where:
    """An endpoint, and what its template is filled in with."""

    endpoint: str
    options: Mapping[str, str | int]


@dataclass(frozen=True)
class Submitted:
    """A task that the service has accepted, and the group that it is in."""

    task_id: str
    group_id: str


class ComputeClient:
    """The service as one identity sees it. ``url`` and ``auth_url`` empty: the real one."""

    def __init__(self, url: str, auth_url: str, identity_name: str, identity: GlobusIdentity) -> None:
        self._url, self._auth_url = url or None, auth_url
        self._identity_name, self._identity = identity_name, identity

    def __repr__(self) -> str:
        return f"ComputeClient({self._identity_name})"

    @cached_property
    def _app(self) -> ClientApp:
        return client_app(self._auth_url, self._identity)

    @cached_property
    def _read(self) -> ComputeClientV2:
        wire = RequestsTransport(http_timeout=_TIMEOUT_S)
        retries = RetryConfig(max_retries=2, max_sleep=_MAX_SLEEP_S)
        return ComputeClientV2(app=self._app, base_url=self._url, retry_config=retries, transport=wire)

    @cached_property
    def _act(self) -> ComputeClientV3:
        wire = RequestsTransport(http_timeout=_TIMEOUT_S)
        return ComputeClientV3(app=self._app, base_url=self._url, retry_config=RetryConfig(max_retries=0), transport=wire)

    def register(self, name: str, source: str) -> str:
        """Register a function by its source text; its id. Twice costs nothing but a second id."""
        document = {
            "function_name": name,
            "function_code": source,
            "serialized": False,
            "meta": {"python_version": "3.9", "sdk_version": _SDK_VERSION},
        }
        with self._translated("registering the site function", acting=True):
            return str(_field(self._act.register_function(document), "function_uuid"))

    def knows_function(self, function_id: str) -> bool:
        with self._translated("looking for the site function"):
            return _found(lambda: self._read.get_function(function_id)) is not None

    def submit(self, doing: str, where: Where, function_id: str, request: Mapping[str, Any], group_id: str | None = None) -> Submitted:
        """Start one task, once, whatever happens to the answer. ``doing`` completes 'while ...'.

        Raises:
            JobRefused: the service, or the endpoint's manager, said no. ServiceUnreachable: with ``nothing_sent`` in its details, it
            was certainly not carried out.
        """
        document: dict[str, Any] = {
            "create_queue": False,
            "tasks": {function_id: [packed(request)]},
            "user_endpoint_config": dict(where.options),
            "result_serializers": [_RESULT_FORMAT],
        }
        if group_id is not None:
            document["task_group_id"] = group_id
        with self._translated(doing, acting=True):
            answer = self._act.submit(where.endpoint, document)
            tasks = _field(answer, "tasks")
            if not isinstance(tasks, dict) or not tasks.get(function_id):
                raise _unreachable("accepted a task without saying which")
            return Submitted(str(tasks[function_id][0]), str(_field(answer, "task_group_id")))

    def tasks(self, task_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What the service says of tasks, all in one request; those that it does not know are absent."""
        with self._translated("looking at tasks"):
            results = _field(self._read.get_task_batch(task_ids), "results")
        if not isinstance(results, dict):
            raise _unreachable("listed tasks in a form that is not known")
        return {task_id: doc for task_id, doc in results.items() if isinstance(doc, dict)}

    def group(self, group_id: str) -> list[str]:
        """Ids of the tasks in a group; none for a group that the service has forgotten."""
        with self._translated("looking for a task"):
            answer = _found(lambda: self._read.get_task_group(group_id))
        return [] if answer is None else [str(task["id"]) for task in _field(answer, "tasks")]

    def endpoint_status(self, endpoint: str) -> str:
        """'online' or 'offline'."""
        with self._translated("asking for the endpoint"):
            return str(_field(self._read.get_endpoint_status(endpoint), "status")).lower()

    def close(self) -> None:
        for name in ("_read", "_act", "_app"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()

    @contextmanager
    def _translated(self, doing: str, *, acting: bool = False) -> Iterator[None]:
        """SDK errors raised as ours. ``doing`` completes 'while ...'; only an act can be refused."""
        try:
            yield
        except globus_sdk.AuthAPIError as error:
            raise login_error(error, self._identity_name, self._identity, f"logging in for {doing}") from error
        except globus_sdk.GlobusAPIError as error:
            raise self._refusal(error, doing, acting) from error
        except globus_sdk.NetworkError as error:
            raise _unreachable(f"did not answer while {doing}") from error

    def _refusal(self, error: globus_sdk.GlobusAPIError, doing: str, acting: bool) -> AlsError:
        words = _words(error)
        if error.http_status == 401:
            return CredentialsRejected(
                f"Globus Compute refused the token of the identity '{self._identity_name}' while {doing}.",
                next_step=f"Check {self._identity.client_secret}, then re-execute from failure.",
            )
        if error.http_status >= 500 or error.http_status in _NOT_NOW or not acting:
            return _unreachable(f"answered {error.http_status} while {doing} ({words})", nothing_sent=error.http_status in _NOT_NOW)
        step = "Check endpoint, account and queue of the site in the facility file against the words above"
        if "failed to map" in words:
            step = f"Ask the site to map the Globus identity '{self._identity_name}' to its account"
        sentence = f"Globus Compute refused while {doing}: {words}."
        return JobRefused(sentence, next_step=f"{step}, then re-execute from failure.", http_status=error.http_status, site_fault=True)


def packed(request: Mapping[str, Any]) -> str:
    """The arguments of ``als_site(request)`` as an endpoint reads them: two JSON texts, each behind its length."""
    parts = (_JSON + json.dumps([request]), _JSON + "{}")
    return "".join(f"{len(part)}\n{part}" for part in parts)


def unpacked(result: str) -> dict[str, Any] | None:
    """The JSON object in a result; None for anything else, above all for a pickle."""
    try:
        content = json.loads(result.removeprefix(_JSON)) if result.startswith(_JSON) else None
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _field(answer: GlobusHTTPResponse, name: str) -> Any:
    try:
        return answer[name]
    except (KeyError, TypeError, ValueError) as error:
        raise _unreachable(f"left out '{name}' of its answer") from error


def _found(ask: Any) -> GlobusHTTPResponse | None:
    """What the service answers; None when it says that there is no such thing."""
    try:
        answer: GlobusHTTPResponse = ask()
    except globus_sdk.GlobusAPIError as error:
        if error.http_status == 404:
            return None
        raise
    return answer


def _words(error: globus_sdk.GlobusAPIError) -> str:
    body = error.raw_json if isinstance(error.raw_json, dict) else {}
    text = str(body.get("reason") or error.message or error.text)
    return " ".join(text.split())[:300].rstrip(".")


def _unreachable(words: str, *, nothing_sent: bool = False) -> ServiceUnreachable:
    details = {"nothing_sent": True} if nothing_sent else {}
    return ServiceUnreachable(f"Globus Compute {words}.", next_step="It is tried again by itself; see status.globus.org.", **details)
