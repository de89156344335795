"""SciCat's proposals, samples, instruments and published data.

Here: create, show, find and change, with the differences between backends 4.27 and 5.2. Not here: links from datasets to them,
which the backend does not check either.
"""

from __future__ import annotations

import uuid
from functools import partial
from urllib.parse import unquote

from starlette.responses import Response
from starlette.routing import BaseRoute

from als_assets.simulator import clock
from als_assets.simulator.config import ScicatConfig
from als_assets.simulator.scicat import search
from als_assets.simulator.scicat.auth import RawError, ScicatAuth, ScicatError
from als_assets.simulator.store import Doc, Store
from als_assets.simulator.web import Call, reply, route

_SAMPLE = frozenset(
    {
        "sampleId",
        "owner",
        "description",
        "sampleCharacteristics",
        "isPublished",
        "ownerGroup",
        "accessGroups",
        "instrumentGroup",
        "proposalId",
    }
)
_KEYS = {"proposals": "proposalId", "samples": "sampleId", "instruments": "pid"}


class Records:
    """The routes below /api/v3/proposals, /samples, /instruments and /publisheddata."""

    def __init__(self, config: ScicatConfig, store: Store, auth: ScicatAuth) -> None:
        self._config, self._store, self._auth = config, store, auth

    def routes(self) -> list[BaseRoute]:
        """All routes of this class."""
        found: list[BaseRoute] = [route("/api/v3/publisheddata", _nothing)]
        for kind in _KEYS:
            base = f"/api/v3/{kind}"
            found += [
                route(base, partial(self._create, kind), "POST"),
                route(base, partial(self._list, kind)),
                route(f"{base}/{{id}}", partial(self._show, kind)),
                route(f"{base}/{{id}}", partial(self._change, kind), "PATCH"),
            ]
        return found

    def _create(self, kind: str, call: Call) -> Response:
        principal, body, key = self._auth.principal(call, writing=True), call.json(), _KEYS[kind]
        if not principal.creator:
            raise ScicatError(403, "Forbidden resource")
        self._check(kind, body)
        identifier = body.get(key) or str(uuid.uuid4())
        moment = clock.iso_millis()
        stamps = {"createdBy": principal.name, "updatedBy": principal.name, "createdAt": moment, "updatedAt": moment}
        record = {"accessGroups": [], **body, key: identifier, "_id": identifier, **stamps}
        if not self._store.insert(f"scicat_{kind}", identifier, record):
            if kind == "samples":
                raise RawError(500, "Internal server error")
            raise ScicatError(409, f"{kind[:-1].capitalize()} with {key} {identifier} already exists")
        return reply(record, 201)

    def _check(self, kind: str, body: Doc) -> None:
        """The mandatory fields, which differ between the backends."""
        old = self._config.personality == "4.27"
        known = _SAMPLE if old else _SAMPLE | {"sampleName"}
        if kind == "samples" and (unknown := sorted(body.keys() - known)):
            raise ScicatError(400, [f"property {name} should not exist" for name in unknown])
        if kind == "samples" and not old and not body.get("sampleName"):
            raise RawError(500, "Internal server error")
        if kind == "instruments" and not isinstance(body.get("uniqueName"), str):
            raise ScicatError(400, ["uniqueName must be a string"])
        if kind == "instruments" and old and "pid" in body:
            raise ScicatError(400, ["property pid should not exist"])
        if kind == "proposals" and not (isinstance(body.get("proposalId"), str) and isinstance(body.get("email"), str)):
            raise ScicatError(400, ["proposalId must be a string", "email must be an email"])

    def _list(self, kind: str, call: Call) -> Response:
        principal, query = self._auth.principal(call), search.json_parameter(call, "filter")
        # Instruments have no groups: everybody sees them.
        found = [doc for doc in self._store.all(f"scicat_{kind}") if kind == "instruments" or principal.can_read(doc)]
        found = [doc for doc in found if search.matches(doc, query.get("where") or {})]
        return reply(search.page(found, query.get("limits") or query, None))

    def _show(self, kind: str, call: Call) -> Response:
        principal = self._auth.principal(call)
        record = self._store.get(f"scicat_{kind}", unquote(call.param("id")))
        if record is None:
            return Response(status_code=200)
        if kind != "instruments" and not principal.can_read(record):
            raise ScicatError(403, "Unauthorized access")
        return reply(record)

    def _change(self, kind: str, call: Call) -> Response:
        principal, identifier = self._auth.principal(call, writing=True), unquote(call.param("id"))
        record = self._store.get(f"scicat_{kind}", identifier)
        if record is None:
            raise ScicatError(404, f"{kind[:-1].capitalize()}: {identifier} not found")
        if not (principal.creator or principal.owns(record)):
            raise ScicatError(403, "Forbidden resource")
        return reply(self._store.update(f"scicat_{kind}", identifier, **call.json(), updatedAt=clock.iso_millis()))


def _nothing(call: Call) -> Response:
    return reply([])
