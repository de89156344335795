"""The REST routes of Globus Compute, versions 2 and 3, as globus-compute-sdk 4.19 and globus-sdk use them.

Here: functions, submissions, tasks, task groups, endpoints, and the looks of the control plane. Not here: running anything
(``endpoints``); AMQP is refused loudly by the application.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from als_assets.simulator.compute.endpoints import TASK, Endpoints
from als_assets.simulator.config import ComputeConfig
from als_assets.simulator.globus.auth import COMPUTE, GlobusAuth, GlobusError
from als_assets.simulator.store import Doc, Store
from als_assets.simulator.web import Call, Refusal, reply, route

_FUNCTION, _GROUP = "compute_function", "compute_group"


class ComputeError(Refusal):
    """An error of Globus Compute: ``code`` and ``reason`` as the service writes them."""

    def __init__(self, status: int, code: str, reason: str) -> None:
        super().__init__(f"{status} {code}: {reason}")
        self.status, self.code, self.reason = status, code, reason

    def response(self, path: str) -> Response:
        """``{status, code, reason, ...}``."""
        return JSONResponse(error_body(self.status, self.code, self.reason), self.status)


def error_body(status: int, code: str, reason: str) -> Doc:
    """The shape of every error of this service."""
    return {"status": "Failed", "code": code, "error_args": [], "reason": reason, "http_status_code": status}


class ComputeApi:
    """All routes of the service, and those of the control plane about it."""

    def __init__(self, config: ComputeConfig, store: Store, auth: GlobusAuth, endpoints: Endpoints) -> None:
        self._config, self._store, self._auth, self._endpoints = config, store, auth, endpoints

    def routes(self) -> list[BaseRoute]:
        """All routes of this class."""
        return [
            route("/v2/version", self._version),
            route("/v3/functions", self._register, "POST"),
            route("/v2/functions", self._register, "POST"),
            route("/v2/functions/{id}", self._function),
            route("/v3/endpoints/{id}/submit", self._submit, "POST"),
            route("/v2/tasks/{id}", self._task),
            route("/v2/batch_status", self._batch, "POST"),
            route("/v2/taskgroup/{id}", self._group),
            route("/v2/endpoints/{id}", self._endpoint),
            route("/v2/endpoints/{id}/status", self._endpoint_status),
            route("/_sim/compute/tasks", self._show_tasks),
            route("/_sim/compute/endpoints/{id}", self._set_endpoint, "PUT"),
        ]

    # --- functions -----------------------------------------------------------------------------------------------------

    def _version(self, call: Call) -> Response:
        return reply({"api": "1.0.0", "min_sdk_version": "2.0.0", "min_ep_version": "2.0.0"})

    def _register(self, call: Call) -> Response:
        owner, body = self._client(call), call.json()
        if not isinstance(body.get("function_name"), str) or not isinstance(body.get("function_code"), str):
            raise ComputeError(422, "SEMANTICALLY_INVALID", "function_name and function_code are required")
        function_id = str(uuid.uuid4())
        self._store.put(_FUNCTION, function_id, {**body, "function_uuid": function_id, "_owner": owner})
        return reply({"function_uuid": function_id})

    def _function(self, call: Call) -> Response:
        return reply(_public(self._own(call, _FUNCTION, call.param("id"), "FUNCTION_NOT_FOUND")))

    # --- tasks ---------------------------------------------------------------------------------------------------------

    def _submit(self, call: Call) -> Response:
        owner, body = self._client(call), call.json()
        endpoint = self._known_endpoint(call)
        group = self._group_of(call, body)
        tasks = body.get("tasks")
        if not isinstance(tasks, dict) or not tasks:
            raise ComputeError(422, "SEMANTICALLY_INVALID", "no tasks")
        codes = {function_id: _code(self._own(call, _FUNCTION, function_id, "FUNCTION_NOT_FOUND")) for function_id in tasks}
        with self._store.transaction():
            accepted = {
                function_id: [self._endpoints.submit(endpoint, owner, group, codes[function_id], payload, body) for payload in payloads]
                for function_id, payloads in tasks.items()
            }
            self._remember(group, owner, accepted.values())
        return reply({"request_id": str(uuid.uuid4()), "task_group_id": group, "endpoint_id": endpoint, "tasks": accepted})

    def _group_of(self, call: Call, body: Doc) -> str:
        """The group that was asked for, which must exist, or a new one."""
        wanted = body.get("task_group_id")
        if wanted is None:
            return str(uuid.uuid4())
        self._own(call, _GROUP, str(wanted), "TASK_GROUP_NOT_FOUND")
        return str(wanted)

    def _remember(self, group: str, owner: str, accepted: Iterable[list[str]]) -> None:
        doc = self._store.get(_GROUP, group) or {"_owner": owner, "tasks": []}
        doc["tasks"] += [task_id for ids in accepted for task_id in ids]
        self._store.put(_GROUP, group, doc)

    def _task(self, call: Call) -> Response:
        return reply(self._shown(self._own(call, TASK, call.param("id"), "TASK_NOT_FOUND")))

    def _batch(self, call: Call) -> Response:
        client, ids = self._client(call), call.json().get("task_ids") or []
        found = [task for task in (self._store.get(TASK, str(task_id)) for task_id in ids) if task is not None]
        shown = {task["task_id"]: self._shown(task) for task in found if task["_owner"] == client}
        return reply({"response": "batch", "results": shown})

    def _shown(self, task: Doc) -> Doc:
        """A task as its owner sees it; a result is kept for a while only."""
        shown: Doc = {key: task[key] for key in ("task_id", "status", "completion_t", "details", "result", "exception") if key in task}
        if "result" in shown and time.time() - float(task["completion_t"]) > self._config.result_kept_s:
            del shown["result"]
        if task["status"] == "success" and "result" not in shown:
            shown["reason"] = "the result has expired"
        return shown

    def _group(self, call: Call) -> Response:
        group = self._own(call, _GROUP, call.param("id"), "TASK_GROUP_NOT_FOUND")
        return reply({"taskgroup_id": call.param("id"), "create_queue": False, "tasks": [{"id": task} for task in group["tasks"]]})

    # --- endpoints -----------------------------------------------------------------------------------------------------

    def _known_endpoint(self, call: Call) -> str:
        if not self._endpoints.known(call.param("id")):
            raise ComputeError(404, "ENDPOINT_NOT_FOUND", f"Endpoint {call.param('id')} could not be resolved")
        return call.param("id")

    def _endpoint(self, call: Call) -> Response:
        self._client(call)
        endpoint = self._known_endpoint(call)
        return reply({"uuid": endpoint, "name": self._config.endpoints[endpoint].name, "multi_user": True})

    def _endpoint_status(self, call: Call) -> Response:
        self._client(call)
        return reply({"status": self._endpoints.status(self._known_endpoint(call)), "details": {}})

    # --- who asks ------------------------------------------------------------------------------------------------------

    def _client(self, call: Call) -> str:
        try:
            return self._auth.client(call, COMPUTE)
        except GlobusError as error:
            raise ComputeError(error.status, "AUTHENTICATION_FAILED" if error.status == 401 else "FORBIDDEN", error.message) from error

    def _own(self, call: Call, kind: str, key: str, code: str) -> Doc:
        """A document of the client's own. Raises ComputeError 404 for one that does not exist, 403 for somebody else's."""
        client, doc = self._client(call), self._store.get(kind, key)
        if doc is None:
            raise ComputeError(404, code, f"{key} could not be resolved")
        if doc["_owner"] != client:
            raise ComputeError(403, "FORBIDDEN", f"{key} belongs to another identity")
        return doc

    # --- the control plane ---------------------------------------------------------------------------------------------

    def _show_tasks(self, call: Call) -> Response:
        return reply([_public(task) for task in self._endpoints.tasks()])

    def _set_endpoint(self, call: Call) -> Response:
        status = call.json().get("status")
        if not self._endpoints.known(call.param("id")) or status not in ("online", "offline"):
            return reply({"detail": f"no endpoint {call.param('id')}, or no status {status}"}, 422)
        self._endpoints.set_status(call.param("id"), status)
        return reply({"status": status})


def _code(function: Doc) -> str:
    """The function as the worker's first buffer: source text gets its header here, as the service does it."""
    if function.get("serialized", True):
        return str(function["function_code"])
    buffer = f"st\n{function['function_name']}:{function['function_code']}"
    return f"{len(buffer)}\n{buffer}"


def _public(doc: Doc) -> Doc:
    return {key: value for key, value in doc.items() if not key.startswith("_")}
