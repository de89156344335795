"""One IRI facility put together: its tokens, its machine, and the routes of its personality.

Here: construction. Not here: any route.
"""

from __future__ import annotations

from pathlib import Path

from starlette.routing import BaseRoute

from als_assets.simulator.backends import backend_of
from als_assets.simulator.config import IriFacility
from als_assets.simulator.faults import FaultBook
from als_assets.simulator.iri.auth import IriAuth
from als_assets.simulator.iri.compute import IriCompute
from als_assets.simulator.iri.files import IriFiles
from als_assets.simulator.iri.status import IriStatus
from als_assets.simulator.store import Store
from als_assets.simulator.tokens import Tokens

BASE = "/iri/"


class IriApi:
    """Version 1 below /iri/<name>/api/v1, and version 2 (not at OLCF) below /iri/<name>/api/v2."""

    def __init__(self, name: str, config: IriFacility, store: Store, faults: FaultBook, tokens: Tokens, folder: Path) -> None:
        self._base, self._config = f"{BASE}{name}/api", config
        self.backend = backend_of(f"iri_{name}", config, store, faults, folder / f"jobs-{name}")
        self._auth = IriAuth(name, config, tokens)
        self._status = IriStatus(name, config, store, self._auth)
        self._compute = IriCompute(name, config, store, self._auth, self._status, self.backend)
        self._files = IriFiles(name, config, store, self._auth, self._status.resource_id)

    def routes(self) -> list[BaseRoute]:
        """All routes of the facility."""
        full = self._config.personality == "full"
        rows = self._auth.routes()
        for version in ("v1", "v2") if full else ("v1",):
            base = f"{self._base}/{version}"
            rows += [*self._status.routes(base), *self._compute.routes(base), *(self._files.routes(base) if full else ())]
        return rows
