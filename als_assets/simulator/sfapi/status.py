"""SFAPI's public status pages and the account pages.

Here: the state of the systems, outages and notes (all set through the control plane), and who the caller is. Not here: files and
jobs.
"""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import Response
from starlette.routing import BaseRoute

from als_assets.simulator import clock
from als_assets.simulator.config import SfapiConfig
from als_assets.simulator.sfapi.auth import SfapiAuth, SfapiError
from als_assets.simulator.store import Doc, Store
from als_assets.simulator.web import Call, reply, route

SYSTEMS = {
    "perlmutter": ("Perlmutter", "compute"),
    "dtns": ("Data Transfer Nodes", "filesystem"),
    "dtn01": ("Data Transfer Node 1", "filesystem"),
    "community_filesystem": ("Community File System (CFS)", "filesystem"),
    "archive": ("HPSS Archive", "storage"),
    "globus": ("Globus", "service"),
}
SYSTEM, OUTAGE = "sfapi_system", "sfapi_outage"


class StatusPages:
    """The routes below /api/v1.2/status and /api/v1.2/account."""

    def __init__(self, config: SfapiConfig, store: Store, auth: SfapiAuth) -> None:
        self._config, self._store, self._auth = config, store, auth

    def routes(self, base: str) -> list[BaseRoute]:
        """All routes of this class. ``status`` needs no token, as at NERSC."""
        return [
            route(f"{base}/status", self._all),
            route(f"{base}/status/outages", self._outages),
            route(f"{base}/status/outages/planned", self._planned),
            route(f"{base}/status/outages/planned/{{name}}", self._planned),
            route(f"{base}/status/outages/{{name}}", self._outages),
            route(f"{base}/status/notes", self._notes),
            route(f"{base}/status/notes/{{name}}", self._notes),
            route(f"{base}/status/{{name}}", self._one),
            route(f"{base}/account/", self._account),
            route(f"{base}/account/clients", self._clients),
            route(f"{base}/account/groups", self._groups),
            route(f"{base}/account/projects", self._projects),
            route(f"{base}/account/roles", self._roles),
        ]

    def _record(self, name: str) -> Doc:
        full_name, kind = SYSTEMS[name]
        told = self._store.get(SYSTEM, name) or {"status": "active", "description": "System Active"}
        about = {"name": name, "full_name": full_name, "system_type": kind, "notes": [], "updated_at": clock.iso_seconds()}
        return {**about, **told}

    def _named(self, call: Call) -> str | None:
        name = call.request.path_params.get("name")
        if name is not None and name not in SYSTEMS:
            raise SfapiError(404, f"No such resource: {name}")
        return name

    def _all(self, call: Call) -> Response:
        return reply([self._record(name) for name in SYSTEMS])

    def _one(self, call: Call) -> Response:
        return reply(self._record(self._named(call) or ""))

    def _outages(self, call: Call) -> Response:
        return self._by_system(call, self._store.all(OUTAGE))

    def _planned(self, call: Call) -> Response:
        return self._by_system(call, [outage for outage in self._store.all(OUTAGE) if outage["status"] == "Planned"])

    def _by_system(self, call: Call, outages: list[Doc]) -> Response:
        """With a name one list; without, a list for each system that has any."""
        lists = {name: [outage for outage in outages if outage["name"] == name] for name in SYSTEMS}
        name = self._named(call)
        return reply(lists[name] if name else [found for found in lists.values() if found])

    def _notes(self, call: Call) -> Response:
        self._named(call)
        return reply([])

    # --- account -------------------------------------------------------------------------------------------------------

    def _account(self, call: Call) -> Response:
        self._auth.client(call)
        user = self._config.user
        return reply({"uid": 1, "name": user, "firstname": "ALS", "lastname": "Developer", "email": f"{user}@example.org"})

    def _clients(self, call: Call) -> Response:
        self._auth.client(call)
        expires = clock.iso_seconds(clock.now() + timedelta(days=2))
        return reply([{"name": "als", "clientId": client, "expiresAt": expires, "comments": ""} for client in self._config.clients])

    def _groups(self, call: Call) -> Response:
        self._auth.client(call)
        return reply({"groups": [{"gid": 1, "name": "als"}]})

    def _projects(self, call: Call) -> Response:
        self._auth.client(call)
        hours = {"hours_given": 1000.0, "hours_used": 1.0, "project_hours_given": 1000.0, "project_hours_used": 1.0}
        return reply([{"id": 1, "repo_name": "als", "description": "Advanced Light Source", **hours}])

    def _roles(self, call: Call) -> Response:
        self._auth.client(call)
        return reply([{"id": 1, "repo_name": "als", "description": "Advanced Light Source", "iris_role": "user"}])
