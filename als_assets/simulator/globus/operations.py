"""Globus Transfer's synchronous calls: collections, ls, stat, mkdir and rename.

Here: their checks, their answers and their errors. Not here: tasks, which run in the background.
"""

from __future__ import annotations

from pathlib import Path

from starlette.responses import Response
from starlette.routing import BaseRoute

from als_assets.simulator.config import Collection, GlobusConfig
from als_assets.simulator.globus import files
from als_assets.simulator.globus.auth import GlobusAuth, GlobusError, request_id
from als_assets.simulator.globus.documents import endpoint
from als_assets.simulator.store import Doc
from als_assets.simulator.web import Call, reply, route

_MOST_ENTRIES = 100_000


class Operations:
    """The routes below /v0.10/endpoint and /v0.10/operation."""

    def __init__(self, config: GlobusConfig, auth: GlobusAuth) -> None:
        self._config, self._auth = config, auth

    def routes(self) -> list[BaseRoute]:
        """All routes of this class."""
        operation = "/v0.10/operation/endpoint/{id}"
        return [
            route("/v0.10/endpoint/{id}", self._endpoint),
            route("/v0.10/endpoint/{id}/my_effective_pause_rule_list", self._pause_rules),
            route(f"{operation}/ls", self._ls),
            route(f"{operation}/stat", self._stat),
            route(f"{operation}/mkdir", self._mkdir, "POST"),
            route(f"{operation}/rename", self._rename, "POST"),
        ]

    def collection(self, collection_id: str) -> Collection:
        """The collection, or ``GlobusError`` 404."""
        found = self._config.collections.get(collection_id)
        if found is None:
            raise GlobusError(404, "EndpointNotFound", f"No such endpoint '{collection_id}'")
        return found

    # --- endpoints -----------------------------------------------------------------------------------------------------

    def _endpoint(self, call: Call) -> Response:
        self._auth.client(call)
        return reply(endpoint(call.param("id"), self.collection(call.param("id"))))

    def _pause_rules(self, call: Call) -> Response:
        self._auth.client(call)
        self.collection(call.param("id"))
        return reply({"DATA_TYPE": "pause_rule_list", "DATA": [], "length": 0})

    def _ls(self, call: Call) -> Response:
        shown = call.query("path", "/")
        path = self._real(call, shown)
        if not path.exists():
            raise GlobusError(404, "ClientError.NotFound", f"Directory '{shown}' not found on endpoint '{call.param('id')}'")
        if not path.is_dir():
            message = f"Path '{shown}' is not a directory"
            raise GlobusError(502, "ExternalError.DirListingFailed.NotDirectory", message)
        entries = [files.describe(below) for below in path.iterdir()]
        if call.query("show_hidden", "true").lower() in ("0", "false"):
            entries = [entry for entry in entries if not entry["name"].startswith(".")]
        try:
            entries = files.kept(entries, call.queries("filter"))
        except ValueError as error:
            raise GlobusError(400, "ClientError.BadRequest", str(error)) from error
        entries = files.ordered(entries, call.query("orderby"))
        return reply(self._page(call, shown, entries))

    def _page(self, call: Call, shown: str, entries: list[Doc]) -> Doc:
        offset, limit = call.number("offset", 0), min(call.number("limit", _MOST_ENTRIES), _MOST_ENTRIES)
        page = entries[offset : offset + limit]
        return {
            "DATA_TYPE": "file_list",
            "endpoint": call.param("id"),
            "path": shown if shown.endswith("/") else f"{shown}/",
            "absolute_path": None,
            "rename_supported": True,
            "symlink_supported": False,
            "length": len(page),
            "total": len(entries),
            "limit": limit,
            "offset": offset,
            "has_next_page": offset + limit < len(entries),
            "DATA": page,
        }

    def _stat(self, call: Call) -> Response:
        shown = call.query("path", "/")
        path = self._real(call, shown)
        if not path.exists():
            name = self.collection(call.param("id")).name
            where = f"Endpoint: {name} ({call.param('id')})"
            raise GlobusError(404, "NotFound", f"Path not found, Error (list)\n{where}\nMessage: No such file or directory")
        return reply(files.describe(path, name="/" if shown == "/" else Path(shown).name))

    def _mkdir(self, call: Call) -> Response:
        shown = str(call.json().get("path", ""))
        path = self._real(call, shown, write=True)
        if path.exists():
            raise GlobusError(502, "ExternalError.MkdirFailed.Exists", f"Path '{shown}' already exists")
        if not path.parent.is_dir():
            raise GlobusError(502, "ExternalError.MkdirFailed", f"'{shown}': No such file or directory")
        path.mkdir()
        return _result(call, "mkdir_result", "DirectoryCreated", "The directory was created successfully", 202)

    def _rename(self, call: Call) -> Response:
        body = call.json()
        old = self._real(call, str(body.get("old_path", "")), write=True)
        new = self._real(call, str(body.get("new_path", "")), write=True)
        if not old.exists():
            raise GlobusError(404, "EndpointError", f"'{body.get('old_path')}': No such file or directory")
        if new.exists():
            raise GlobusError(502, "ExternalError.RenameFailed.Exists", f"Path '{body.get('new_path')}' already exists")
        if not new.parent.is_dir():
            raise GlobusError(502, "ExternalError.RenameFailed", f"'{body.get('new_path')}': No such file or directory")
        old.rename(new)
        return _result(call, "result", "FileRenamed", "File or directory renamed successfully")

    def _real(self, call: Call, shown: str, *, write: bool = False) -> Path:
        """The file behind a path of the request, after all checks of identity, consent and permission."""
        client = self._auth.client(call)
        collection = self.collection(call.param("id"))
        self._auth.require_data_access(client, call.param("id"))
        if write and collection.writable_by is not None and client not in collection.writable_by:
            raise _denied(collection, call.param("id"), shown)
        try:
            return files.real_path(collection.root, shown)
        except files.OutsideRoot as error:
            raise _denied(collection, call.param("id"), shown) from error


def _denied(collection: Collection, collection_id: str, shown: str) -> GlobusError:
    words = f"Denied by endpoint, Error (list)\nEndpoint: {collection.name} ({collection_id})\nMessage: Path not allowed: {shown}"
    return GlobusError(403, "EndpointPermissionDenied", words)


def _result(call: Call, data_type: str, code: str, message: str, status: int = 200) -> Response:
    doc = {"DATA_TYPE": data_type, "code": code, "message": message, "request_id": request_id(), "resource": call.path}
    return reply(doc, status)
