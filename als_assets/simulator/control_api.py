"""The control plane below /_sim/: faults, the request log, and looks inside.

Here: what tests and the demo use to steer the simulator; no real service has these routes. Not here: the client for it, which is
``control.Control``.
"""

from __future__ import annotations

import fnmatch

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import BaseRoute

from als_assets.simulator import clock
from als_assets.simulator.backends import Backend
from als_assets.simulator.faults import FaultBook, FaultRule
from als_assets.simulator.gate import REQUESTS
from als_assets.simulator.globus import documents
from als_assets.simulator.globus.tasks import TaskQueue
from als_assets.simulator.iri.status import STATUS as IRI_STATUS
from als_assets.simulator.scicat import blocks, datasets
from als_assets.simulator.sfapi import login, status
from als_assets.simulator.store import Store
from als_assets.simulator.tokens import Tokens
from als_assets.simulator.web import Call, reply, route

_RECORDS = {
    "datasets": datasets.DATASET,
    "origdatablocks": blocks.ORIG,
    "datablocks": blocks.BLOCK,
    "attachments": blocks.ATTACHMENT,
    "proposals": "scicat_proposals",
    "samples": "scicat_samples",
    "instruments": "scicat_instruments",
}


class ControlApi:
    """All routes below /_sim/."""

    def __init__(self, store: Store, faults: FaultBook, tokens: Tokens, queue: TaskQueue, backends: list[Backend]) -> None:
        self._store, self._faults, self._tokens, self._queue, self._backends = store, faults, tokens, queue, backends

    def routes(self) -> list[BaseRoute]:
        """All routes of this class."""
        return [
            route("/_sim/health", self._health),
            route("/_sim/faults", self._list_faults),
            route("/_sim/faults", self._add_fault, "POST"),
            route("/_sim/faults", self._clear_faults, "DELETE"),
            route("/_sim/faults/{id}", self._clear_fault, "DELETE"),
            route("/_sim/requests", self._requests),
            route("/_sim/tasks", self._tasks),
            route("/_sim/tasks/{id}/resume", self._resume, "POST"),
            route("/_sim/jobs", self._jobs),
            route("/_sim/records/{kind}", self._records),
            route("/_sim/tokens/expire", self._expire, "POST"),
            route("/_sim/systems/{name}", self._set_system, "PUT"),
            route("/_sim/outages", self._set_outages, "PUT"),
            route("/_sim/quota", self._set_quota, "PUT"),
            route("/_sim/iri/{name}", self._set_iri, "PUT"),
        ]

    def _health(self, call: Call) -> Response:
        return reply({"status": "ok"})

    # --- faults and requests -------------------------------------------------------------------------------------------

    def _list_faults(self, call: Call) -> Response:
        return reply(self._faults.rules())

    def _add_fault(self, call: Call) -> Response:
        try:
            rule = FaultRule.model_validate(call.json())
        except ValidationError as error:
            return reply({"detail": "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())}, 422)
        return reply({"id": self._faults.add(rule)}, 201)

    def _clear_faults(self, call: Call) -> Response:
        return reply({"cleared": self._faults.clear()})

    def _clear_fault(self, call: Call) -> Response:
        cleared = self._faults.clear(call.param("id"))
        return reply({"cleared": cleared}, 200 if cleared else 404)

    def _requests(self, call: Call) -> Response:
        method, glob = call.query("method"), call.query("path", "*")
        entries = self._store.entries(REQUESTS, "", after=call.number("after", 0))
        found = [entry for entry in entries if method in ("", entry["method"]) and fnmatch.fnmatchcase(entry["path"], glob)]
        return reply(found)

    # --- looks inside --------------------------------------------------------------------------------------------------

    def _tasks(self, call: Call) -> Response:
        tasks = self._store.all(documents.TASK)
        return reply([{**documents.public(task), "document": task["_document"], "held_by": task["_held_by"]} for task in tasks])

    def _resume(self, call: Call) -> Response:
        if self._store.get(documents.TASK, call.param("id")) is None:
            return reply({"detail": f"no task {call.param('id')}"}, 404)
        self._queue.resume(call.param("id"))
        return reply({"resumed": call.param("id")})

    def _jobs(self, call: Call) -> Response:
        found = [job for backend in self._backends for job in backend.jobs()]
        return reply([{key: value for key, value in job.items() if not key.startswith("_")} for job in found])

    def _records(self, call: Call) -> Response:
        kind = _RECORDS.get(call.param("kind"))
        if kind is None:
            return reply({"detail": f"no records named {call.param('kind')}; there are {', '.join(_RECORDS)}"}, 404)
        return reply([{key: value for key, value in doc.items() if key != "_datasets"} for doc in self._store.all(kind)])

    # --- switches ------------------------------------------------------------------------------------------------------

    def _expire(self, call: Call) -> Response:
        self._tokens.expire(call.query("service") or None)
        return reply({"expired": call.query("service") or "all"})

    def _set_system(self, call: Call) -> Response:
        name, body = call.param("name"), call.json()
        if name not in status.SYSTEMS or body.get("status") not in ("active", "unavailable", "degraded", "other"):
            return reply({"detail": f"no system {name}, or no status {body.get('status')}"}, 422)
        told = {"status": body["status"], "description": body.get("description") or f"System {body['status']}"}
        self._store.put(status.SYSTEM, name, told)
        return reply(told)

    def _set_quota(self, call: Call) -> Response:
        self._store.put(login.QUOTA, login.QUOTA, call.json())
        return reply(call.json())

    def _set_iri(self, call: Call) -> Response:
        body = call.json()
        if body.get("status") not in ("up", "down", "degraded", "unknown"):
            return reply({"detail": f"no status {body.get('status')}"}, 422)
        self._store.put(IRI_STATUS, call.param("name"), {"status": body["status"], "incidents": body.get("incidents", [])})
        return reply(body)

    def _set_outages(self, call: Call) -> Response:
        given = call.json().get("outages", [])
        with self._store.transaction():
            self._store.drop(status.OUTAGE)
            for number, outage in enumerate(given):
                defaults = {"name": "perlmutter", "notes": "", "status": "Planned", "swo": "none", "update_at": clock.iso_seconds()}
                self._store.put(status.OUTAGE, str(number), {**defaults, "description": "Maintenance", **outage})
        return reply({"outages": len(given)})
