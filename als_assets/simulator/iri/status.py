"""The facility and status routes: who the facility is, its machine, and its incidents.

Here: documents, set through the control plane. Not here: jobs.
"""

from __future__ import annotations

import uuid

from starlette.responses import Response
from starlette.routing import BaseRoute

from als_assets.simulator import clock
from als_assets.simulator.config import IriFacility
from als_assets.simulator.iri.auth import IriAuth, IriError
from als_assets.simulator.store import Doc, Store
from als_assets.simulator.web import Call, reply, route

STATUS = "iri_status"


class IriStatus:
    """The routes below /facility and /status. OLCF wants a token even here, and has no page of incidents while there are none."""

    def __init__(self, name: str, config: IriFacility, store: Store, auth: IriAuth) -> None:
        self._name, self._config, self._store, self._auth = name, config, store, auth
        self.resource_id = self._id(config.resource)

    def routes(self, base: str) -> list[BaseRoute]:
        """All routes of this class."""
        return [
            route(f"{base}/facility", self._facility),
            route(f"{base}/facility/sites", self._sites),
            route(f"{base}/facility/sites/{{id}}", self._sites),
            route(f"{base}/status/resources", self._resources),
            route(f"{base}/status/resources/{{id}}", self._resource),
            route(f"{base}/status/incidents", self._incidents),
            route(f"{base}/status/incidents/{{id}}", self._incidents),
            route(f"{base}/status/events", self._events),
        ]

    def _id(self, name: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"iri/{self._name}/{name}"))

    def _told(self) -> Doc:
        return self._store.get(STATUS, self._name) or {"status": "up", "incidents": []}

    def _guard(self, call: Call) -> None:
        if self._config.personality == "olcf":
            self._auth.user(call)

    def _about(self, call: Call, kind: str, identifier: str) -> Doc:
        base = call.path.partition("/facility")[0].partition("/status")[0].partition("/compute")[0]
        root = f"{call.request.base_url}".rstrip("/") + base
        return {"id": identifier, "last_modified": clock.iso_millis(), "self_uri": f"{root}/{kind}/{identifier}", "_root": root}

    # --- facility ------------------------------------------------------------------------------------------------------

    def _facility(self, call: Call) -> Response:
        self._guard(call)
        about = self._about(call, "facility", self._id("facility"))
        root = about.pop("_root")
        names = {"name": self._config.title, "short_name": self._name.upper(), "organization_name": self._config.title}
        site = f"{root}/facility/sites/{self._id('site')}"
        return reply({**about, **names, "self_uri": f"{root}/facility", "site_uris": [site]})

    def _sites(self, call: Call) -> Response:
        self._guard(call)
        about = self._about(call, "facility/sites", self._id("site"))
        root = about.pop("_root")
        uris = [f"{root}/status/resources/{self.resource_id}"]
        site = {**about, "name": self._config.title, "operating_organization": self._config.title, "resource_uris": uris}
        return reply(site if "id" in call.request.path_params else [site])

    # --- status --------------------------------------------------------------------------------------------------------

    def resource(self, call: Call) -> Doc:
        """The machine."""
        about = self._about(call, "status/resources", self.resource_id)
        root = about.pop("_root")
        names = {"name": self._config.resource, "group": self._config.group, "description": self._config.title}
        site = {"site_uri": f"{root}/facility/sites/{self._id('site')}", "capability_uris": []}
        return {**about, **names, **site, "resource_type": "compute", "current_status": self._told()["status"]}

    def _resources(self, call: Call) -> Response:
        self._guard(call)
        wanted = [call.query("group", self._config.group), call.query("name", self._config.resource)]
        return reply([self.resource(call)] if wanted == [self._config.group, self._config.resource] else [])

    def _resource(self, call: Call) -> Response:
        self._guard(call)
        if call.param("id") != self.resource_id:
            raise IriError(404, f"Resource {call.param('id')} not found")
        return reply(self.resource(call))

    def _incidents(self, call: Call) -> Response:
        self._guard(call)
        told = self._told()["incidents"]
        if self._config.personality == "olcf" and not told:
            raise IriError(404, "Not Found")
        rows = [self._incident(call, number, incident) for number, incident in enumerate(told)]
        if "id" not in call.request.path_params:
            return reply(rows)
        for row in rows:
            if row["id"] == call.param("id"):
                return reply(row)
        raise IriError(404, f"Incident {call.param('id')} not found")

    def _incident(self, call: Call, number: int, incident: Doc) -> Doc:
        about = self._about(call, "status/incidents", self._id(f"incident {number}"))
        uri = f"{about.pop('_root')}/status/resources/{self.resource_id}"
        usual = {"name": "Maintenance", "description": "Maintenance", "status": "down", "type": "planned", "resolution": "pending"}
        return {**about, **usual, "end": None, "event_uris": [], "resource_uris": [uri], **incident}

    def _events(self, call: Call) -> Response:
        self._guard(call)
        return reply([])
