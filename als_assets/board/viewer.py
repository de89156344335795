"""Looking at a volume in the browser: the page around the viewer, the viewer's program, and the bytes that it asks for.

Here: addresses below ``/view``, ``/volume`` and ``/neuroglancer``, for a scan of the record and for any store on this machine. Not here:
which volumes there are (``volumes``), their jail (``stores``) and how the program is told what to open (``neuroglancer``).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from als_assets.board import neuroglancer
from als_assets.board.links import partition_page
from als_assets.board.stores import Store
from als_assets.board.volumes import Volume, volume, volumes_of
from als_assets.errors import ConfigError
from als_assets.facility import Facility
from als_assets.ledger import Ledger

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; frame-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
# The program finds its way by an address of the form .../v/<token>/, see ``client_routes``.
CLIENT = "/neuroglancer/v/board/"
_BREATH_S = 20.0

Render = Callable[..., Response]


@dataclass(frozen=True)
class Shown:
    """What the page is about: a title, where to go back to, the view, and other programs with the address of the same store."""

    title: str
    back: str = ""
    state: str = ""
    words: str = ""
    next_step: str = ""
    elsewhere: tuple[tuple[str, str], ...] = ()
    others: tuple[tuple[str, str], ...] = ()


class Viewer:
    """The volumes of the record's scans."""

    def __init__(self, facility: Facility, ledger: Ledger, render: Render) -> None:
        self._facility, self._ledger, self._render = facility, ledger, render

    def routes(self) -> list[BaseRoute]:
        """All addresses."""
        return [
            Route("/view/{key}", self.page, name="view"),
            Route("/volume/{key}/{number:int}/{name}/{path:path}", self.block),
            *client_routes(),
        ]

    def page(self, request: Request) -> Response:
        """The viewer with the newest volume that this machine sees, or with the copy of number ``copy``; else where the volume is."""
        key = request.path_params["key"]
        if self._ledger.datasets.find(key) is None:
            raise HTTPException(404, "There is no scan of that name.")
        found = volumes_of(self._facility, self._ledger, key)
        wanted = request.query_params.get("copy", "")
        chosen = next((v for v in found if str(v.replica_id) == wanted), found[0] if found else None)
        back = f"/scan/{quote(key)}"
        others = tuple((_told(v), f"/view/{quote(key)}?copy={v.replica_id}") for v in found if v is not chosen)
        if chosen is None or chosen.folder is None:
            words, next_step = self._missing(key, chosen)
            return page(self._render, Shown(key, back, words=words, next_step=next_step, others=others))
        address = f"/volume/{quote(key)}/{chosen.replica_id}/{quote(chosen.name)}/"
        try:
            state = view_state(Store.open(chosen.folder), address)
        except ConfigError as error:
            return page(self._render, Shown(key, back, words=error.sentence, next_step=error.next_step, others=others))
        outside = str(request.base_url).rstrip("/") + address.rstrip("/")
        elsewhere = tuple((n, p.replace("{store}", quote(outside, safe=""))) for n, p in self._facility.viewers.items())
        return page(self._render, Shown(key, back, state, elsewhere=elsewhere, others=others))

    def block(self, request: Request) -> Response:
        """A file of a volume. Programs from elsewhere may read it where the facility file names them."""
        asked = request.path_params
        found = volume(self._facility, self._ledger, asked["key"], asked["number"])
        if found is None or found.folder is None or found.name != asked["name"]:
            return Response(status_code=404)
        try:
            answer = Store.open(found.folder).answer(request, asked["path"])
        except ConfigError:
            return Response(status_code=404)
        origin = request.headers.get("origin", "")
        if origin in {_origin(pattern) for pattern in self._facility.viewers.values()}:
            answer.headers["Access-Control-Allow-Origin"] = origin
            answer.headers["Vary"] = "Origin"
        return answer

    def _missing(self, key: str, chosen: Volume | None) -> tuple[str, str]:
        """What is so, and what to do about it."""
        links = partition_page(self._facility, "recon_on_data832", key)
        where = f" ({links[0].url})" if links else ""
        if chosen is None:
            words = "There is no multi-resolution volume of this scan yet."
            return words, f"Materialize recon_zarr of this scan in Dagster{where}, then open this page again."
        back = f"Materialize recon_on_data832 of this scan{where} to bring it back, then open this page again."
        words = f"The volume is at {chosen.site}, which this machine does not see: {chosen.path}"
        return words, f"{back} Or run there: als view {chosen.path}"


def client_routes() -> list[BaseRoute]:
    """The viewer's program. It keeps a connection open to hear from a Python process; here nothing is ever said on it."""
    return [Route("/neuroglancer/events/board", _silence), Route(CLIENT + "{name:path}", _client)]


def page(render: Render, shown: Shown) -> Response:
    """The page; a sentence instead of the viewer where the program is not installed."""
    if shown.state:
        try:
            neuroglancer.client_folder()
        except ConfigError as error:
            shown = Shown(shown.title, shown.back, "", error.sentence, error.next_step, shown.elsewhere, shown.others)
    answer = render("view.html", shown=shown, client=CLIENT)
    answer.headers["Content-Security-Policy"] = PAGE_POLICY
    return answer


def view_state(store: Store, address: str) -> str:
    """The state of the program as JSON; ``address`` of the store on this server. Raises ConfigError for a store without arrays."""
    return json.dumps(neuroglancer.state(store, _shape(store), address), separators=(",", ":"))


def _shape(store: Store) -> list[int]:
    datasets = store.image.get("datasets", [])
    first = str(datasets[0].get("path", "")) if datasets else ""
    described = store.folder / first / (".zarray" if store.zarr == 2 else "zarr.json")
    try:
        content: Mapping[str, Any] = json.loads(described.read_bytes())
        return [int(side) for side in content["shape"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{store.folder} names an array '{first}' that cannot be read ({type(error).__name__}).",
            next_step="The store is damaged or not finished: make or copy it again.",
        ) from error


def _client(request: Request) -> Response:
    return neuroglancer.client_file(request.path_params["name"])


async def _silence(_request: Request) -> Response:
    return StreamingResponse(_breaths(), media_type="text/event-stream")


async def _breaths() -> AsyncIterator[str]:
    while True:
        yield ": nothing new\n\n"
        await asyncio.sleep(_BREATH_S)


def _told(found: Volume) -> str:
    variant = f" with other parameters ({found.variant})" if found.variant else ""
    return f"the volume{variant} at {found.site}"


def _origin(pattern: str) -> str:
    parts = urlsplit(pattern)
    return f"{parts.scheme}://{parts.netloc}"
