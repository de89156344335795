"""Any store on this machine in the viewer, without a facility, a record or Dagster: what ``als view`` serves.

Here: a small application for one store, and its life. Not here: the viewer itself (``viewer``, ``neuroglancer``) and the jail
(``stores``). It listens on this machine only.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from als_assets.board.app import ReadOnly, render
from als_assets.board.neuroglancer import client_folder
from als_assets.board.stores import Store
from als_assets.board.viewer import Shown, client_routes, page, view_state
from als_assets.errors import ConfigError


def build_store_app(folder: Path) -> Starlette:
    """The application for one store. Raises ConfigError: no store, or no viewer installed."""
    store = Store.open(folder)
    client_folder()
    base = f"/volume/{quote(store.folder.name)}/"
    state = view_state(store, base)

    def show(_request: Request) -> Response:
        return page(render, Shown(store.folder.name, state=state))

    def block(request: Request) -> Response:
        return store.answer(request, request.path_params["path"])

    routes = [Route("/", show), Route("/volume/{name}/{path:path}", block), *client_routes()]
    static = Mount("/static", StaticFiles(packages=[("als_assets.board", "static")]))
    return Starlette(routes=[*routes, static], middleware=[Middleware(ReadOnly)])


def serve_store(folder: Path, port: int, ready: Callable[[str], None]) -> None:
    """Serve one store on this machine until SIGTERM or SIGINT; ``ready`` hears the address. Port 0 takes a free one.

    Raises:
        ConfigError: no store, no viewer installed, or the port is taken.
    """
    app = build_store_app(folder)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(
                f"Port {port} of this machine cannot be used: {error.strerror}.", next_step="Choose another one with --port."
            ) from error
        listener.listen()
        ready(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        config = uvicorn.Config(app, lifespan="off", access_log=False, log_level="warning", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listener])
