"""The compute routes: launch, look, list and cancel, over whatever batch system is behind the facility.

Here: the API's documents, its states, and idempotency keys (version 2). Not here: the batch system (``backends``).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import BaseRoute

from als_assets.simulator import clock
from als_assets.simulator.backends import Backend
from als_assets.simulator.config import IriFacility
from als_assets.simulator.iri.auth import IriAuth, IriError
from als_assets.simulator.iri.specs import JobSpec, SpecRefused, batch_script
from als_assets.simulator.iri.status import IriStatus
from als_assets.simulator.sfapi.script import ScriptRefused
from als_assets.simulator.store import Doc, Store
from als_assets.simulator.web import Call, reply, route

_SPEC, _KEY = "iri_spec", "iri_key"
_STATES = {"PENDING": "queued", "CONFIGURING": "queued", "RUNNING": "active", "COMPLETING": "active", "COMPLETED": "completed"}


class IriCompute:
    """The routes below /compute of one facility."""

    def __init__(self, name: str, config: IriFacility, store: Store, auth: IriAuth, status: IriStatus, backend: Backend) -> None:
        self._name, self._config, self._store = name, config, store
        self._auth, self._status, self._backend = auth, status, backend

    def routes(self, base: str) -> list[BaseRoute]:
        """All routes of this class. Version 2 differs in nothing but idempotency keys."""
        launch = self._launch_once if base.endswith("v2") else self._launch
        return [
            route(f"{base}/compute/resources", self._resources),
            route(f"{base}/compute/job/{{resource}}", launch, "POST"),
            route(f"{base}/compute/status/{{resource}}/{{job}}", self._one),
            route(f"{base}/compute/status/{{resource}}", self._list, "POST"),
            route(f"{base}/compute/cancel/{{resource}}/{{job}}", self._cancel, "DELETE"),
        ]

    def _caller(self, call: Call) -> str:
        user = self._auth.user(call, compute=True)
        if call.param("resource") != self._status.resource_id:
            raise IriError(404, f"Resource {call.param('resource')} not found")
        return user

    def _resources(self, call: Call) -> Response:
        self._auth.user(call, compute=True)
        return reply([self._status.resource(call)])

    # --- launch --------------------------------------------------------------------------------------------------------

    def _launch(self, call: Call) -> Response:
        self._caller(call)
        return reply({"id": self._submit(call)})

    def _launch_once(self, call: Call) -> Response:
        """With a key: the same key and body give the first answer again; see the reference server's idempotency module."""
        user, key = self._caller(call), call.request.headers.get("idempotency-key")
        if key is None:
            return self._launch(call)
        if not self._config.idempotency:
            raise IriError(501, "Idempotency-Key provided but no idempotency store is configured")
        place, digest = f"{self._name}:{user}:{key}", hashlib.sha256(call.body).hexdigest()
        if not self._store.insert(_KEY, place, {"digest": digest, "reply": None}):
            return self._earlier(self._store.get(_KEY, place) or {}, digest)
        try:
            document = {"id": self._submit(call)}
        except IriError:
            self._store.drop(_KEY, place)
            raise
        self._store.update(_KEY, place, reply=document)
        return self._replied(document, "miss")

    def _earlier(self, known: Doc, digest: str) -> Response:
        if known.get("digest") != digest:
            raise IriError(422, "Idempotency-Key reused with a different request body.")
        if known.get("reply") is None:
            raise IriError(409, "A request with this Idempotency-Key is already in progress.", **{"Retry-After": "2"})
        return self._replied(known["reply"], "hit")

    def _replied(self, document: Doc, word: str) -> Response:
        answer = reply(document)
        answer.headers["Idempotency-Key-Reply"] = word
        return answer

    def _submit(self, call: Call) -> str:
        try:
            spec = JobSpec.model_validate(call.json())
            job_id = self._backend.submit(batch_script(spec))
        except ValidationError as error:
            words = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise IriError(422, words) from error
        except (SpecRefused, ScriptRefused) as error:
            raise IriError(400, str(error)) from error
        self._store.put(_SPEC, f"{self._name}:{job_id}", json.loads(call.body))
        return job_id

    # --- looks ---------------------------------------------------------------------------------------------------------

    def _one(self, call: Call) -> Response:
        self._caller(call)
        job_id = call.param("job")
        found = self._rows({"jobid": job_id}, historical=call.query("historical", "true") == "true")
        if job_id not in found:
            raise IriError(404, f"Job {job_id} not found")
        return reply(self._job(found[job_id], with_spec=call.query("include_spec") == "true"))

    def _list(self, call: Call) -> Response:
        self._caller(call)
        offset, limit = call.number("offset", 0), call.number("limit", 100)
        if limit > 1000:
            raise IriError(422, "limit: Input should be less than or equal to 1000")
        found = self._rows({}, historical=call.query("historical") == "true")
        rows = [found[job_id] for job_id in sorted(found, reverse=True)][offset : offset + limit]
        return reply([self._job(row, with_spec=call.query("include_spec") == "true") for row in rows])

    def _rows(self, filters: dict[str, str], *, historical: bool) -> dict[str, Doc]:
        """As an adapter does: accounting for what has ended, and the queue for what lives."""
        ended = self._backend.rows(filters, sacct=True) if historical else []
        live = self._backend.rows(filters, sacct=False)
        return {str(row["jobid"]): row for row in [*ended, *live]}

    def _job(self, row: Doc, *, with_spec: bool) -> Doc:
        word = str(row["state"]).split()[0]
        state = _STATES.get(word, "canceled" if word == "CANCELLED" else "failed")
        status: dict[str, Any] = {"state": state, "time": clock.now().timestamp()}
        if state not in ("queued", "active"):
            status["exit_code"] = int(str(row.get("exitcode") or "0").partition(":")[0])
        document: dict[str, Any] = {"id": str(row["jobid"]), "status": status}
        if self._config.personality == "full":
            status.update(message=f"{word} ({row.get('reason') or 'None'})", meta_data=row)
            if with_spec:
                document["job_spec"] = self._store.get(_SPEC, f"{self._name}:{row['jobid']}")
        return document

    def _cancel(self, call: Call) -> Response:
        self._caller(call)
        if not self._backend.cancel(call.param("job")):
            raise IriError(404, f"Job {call.param('job')} not found")
        return Response(status_code=204)
