"""Puts the services together: one store, one set of faults, one ASGI application.

Here: construction, start and stop of what runs in the background, and the answers to requests that no service knows. Not here:
sockets (``server``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from als_assets.simulator.backends import backend_of
from als_assets.simulator.compute.api import ComputeApi
from als_assets.simulator.compute.endpoints import Endpoints
from als_assets.simulator.config import SimulatorConfig
from als_assets.simulator.control_api import ControlApi
from als_assets.simulator.faults import FaultBook
from als_assets.simulator.gate import Gate
from als_assets.simulator.globus.auth import GlobusAuth, GlobusError
from als_assets.simulator.globus.operations import Operations
from als_assets.simulator.globus.tasks import TaskQueue
from als_assets.simulator.globus.transfer_api import TransferApi
from als_assets.simulator.iri.api import BASE as IRI_BASE
from als_assets.simulator.iri.api import IriApi
from als_assets.simulator.iri.auth import IriError
from als_assets.simulator.scicat.auth import ScicatAuth, ScicatError
from als_assets.simulator.scicat.blocks import Blocks
from als_assets.simulator.scicat.datasets import Datasets
from als_assets.simulator.scicat.records import Records
from als_assets.simulator.sfapi.api import BASE, SfapiApi, SfapiFiles
from als_assets.simulator.sfapi.auth import SfapiAuth, SfapiError
from als_assets.simulator.sfapi.login import LoginNode
from als_assets.simulator.sfapi.status import StatusPages
from als_assets.simulator.store import Store
from als_assets.simulator.tokens import Tokens
from als_assets.simulator.web import BadBody, Refusal

_GONE = ("/api/v3/deriveddatasets", "/api/v3/rawdatasets", "/api/v3/auth/msad")
"""Routes that SciCat backends of today answer with 404; clients are known to try them."""


class Facility:
    """All services over one state directory. ``app`` serves them; ``start`` and ``stop`` frame its life."""

    def __init__(self, config: SimulatorConfig) -> None:
        self._config, self.store = config, Store(config.state_dir)
        self.faults, self.tokens = FaultBook(self.store), Tokens(self.store)
        self.queue = TaskQueue(config.globus, self.store, self.faults)
        self.scheduler = backend_of("sfapi", config.sfapi, self.store, self.faults, config.state_dir / "jobs")
        self._iri = [IriApi(n, c, self.store, self.faults, self.tokens, config.state_dir) for n, c in config.iri.items()]
        self._backends = [self.scheduler, *(facility.backend for facility in self._iri)]
        self.endpoints = Endpoints(config.compute, self.store, self.faults, config.state_dir / "compute")
        sfapi_auth = SfapiAuth(config.sfapi, self.tokens)
        files = SfapiFiles(config.sfapi, sfapi_auth)
        login = LoginNode(self.store, config.state_dir / "login")
        self._sfapi = SfapiApi(config.sfapi, self.store, sfapi_auth, files, self.scheduler, login)
        routes = [
            *ControlApi(self.store, self.faults, self.tokens, self.queue, self._backends).routes(),
            *self._globus_routes(),
            *sfapi_auth.routes(),
            *StatusPages(config.sfapi, self.store, sfapi_auth).routes(BASE),
            *files.routes(),
            *self._sfapi.routes(),
            *(route for facility in self._iri for route in facility.routes()),
            *self._scicat_routes(),
        ]
        handlers = {Refusal: _refuse, BadBody: _bad_body, 404: _unknown, 405: _unknown}
        inner = Starlette(routes=routes, lifespan=self._lifespan, exception_handlers=handlers)  # type: ignore[arg-type]
        self.app: ASGIApp = Gate(inner, self.store, self.faults, self.tokens)

    def _globus_routes(self) -> list[BaseRoute]:
        config = self._config.globus
        auth = GlobusAuth(config, self.store, self.tokens)
        operations = Operations(config, auth)
        transfer = TransferApi(config, self.store, auth, operations, self.queue)
        compute = ComputeApi(self._config.compute, self.store, auth, self.endpoints)
        return [*auth.routes(), *operations.routes(), *transfer.routes(), *compute.routes()]

    def _scicat_routes(self) -> list[BaseRoute]:
        config = self._config.scicat
        auth = ScicatAuth(config, self.tokens)
        datasets = Datasets(config, self.store, auth, self.faults)
        blocks, records = Blocks(config, self.store, auth, datasets), Records(config, self.store, auth)
        versions = [*datasets.routes("/api/v3"), *datasets.routes("/api/v4")]
        return [*auth.routes(), *versions, *blocks.routes(), *records.routes()]

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._sfapi.start()
        for backend in self._backends:
            backend.start()
        self.queue.start()
        self.endpoints.start()
        yield
        self.endpoints.stop()
        self.queue.stop()
        self._sfapi.stop()
        for backend in self._backends:
            backend.stop()
        self.store.close()


async def _refuse(request: Request, error: Refusal) -> Response:
    return error.response(request.url.path)


async def _bad_body(request: Request, error: BadBody) -> Response:
    path = request.url.path
    if path.startswith("/api/v1.2/"):
        return SfapiError(422, str(error)).response(path)
    if path.startswith(IRI_BASE):
        return IriError(422, str(error)).response(path)
    if path.startswith("/api/"):
        return ScicatError(400, str(error)).response(path)
    return GlobusError(400, "ClientError.BadRequest", str(error)).response(path)


async def _unknown(request: Request, error: Exception) -> Response:
    """Loud, not a plain 404: what the simulator does not have must not look like something that does not exist."""
    path = request.scope["path"]
    if path.startswith(_GONE):
        return ScicatError(404, f"Cannot {request.method} {path}").response(path)
    message = f"The simulator does not implement {request.method} {path}"
    doc = {"code": "NotImplemented", "message": message, "detail": message, "resource": path, "statusCode": 501}
    return JSONResponse(doc, 501)
