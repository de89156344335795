"""The filesystem routes and their tasks: each call answers with a task, which holds the result.

Here: ls, stat, head, tail, view, checksum and mkdir below the facility's roots; version 1 asks with GET and parameters, version 2 with
POST and a body. Not here: other operations of the API, and OLCF, which has no files.
"""

from __future__ import annotations

import hashlib
import os
import stat
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from als_assets.simulator import clock
from als_assets.simulator.config import IriFacility
from als_assets.simulator.iri.auth import IriAuth, IriError
from als_assets.simulator.store import Doc, Store
from als_assets.simulator.web import Call, reply, route

MOST_BYTES = 5_242_880
_TASK = "iri_task"


class IriFiles:
    """The routes below /filesystem and /task of one facility."""

    def __init__(self, name: str, config: IriFacility, store: Store, auth: IriAuth, resource_id: str) -> None:
        self._name, self._user, self._store = name, config.user, store
        self._auth, self._resource_id = auth, resource_id
        self._roots = [root.resolve() for root in config.roots]

    def routes(self, base: str) -> list[BaseRoute]:
        """All routes of this class."""
        method = "POST" if base.endswith("v2") else "GET"
        commands = {"ls": self._ls, "stat": self._stat, "head": self._head, "tail": self._tail, "view": self._view}
        rows = [self._route(base, name, command, method) for name, command in {**commands, "checksum": self._checksum}.items()]
        rows.append(self._route(base, "mkdir", self._mkdir, "POST"))
        return [*rows, route(f"{base}/task", self._tasks), route(f"{base}/task/{{id}}", self._task)]

    def _route(self, base: str, name: str, command: Callable[[Path, Doc], Any], method: str) -> BaseRoute:
        def carry_out(call: Call) -> Response:
            self._auth.user(call)
            if call.param("resource") != self._resource_id:
                raise IriError(404, f"Resource {call.param('resource')} not found")
            arguments = call.json() if method == "POST" else dict(call.request.query_params)
            if not arguments.get("path"):
                raise IriError(422, "path: Field required")
            task_id = str(uuid.uuid4())
            shown = {"router": "filesystem", "command": name, "args": arguments}
            self._store.put(_TASK, f"{self._name}:{task_id}", {"id": task_id, **self._outcome(command, arguments), "command": shown})
            uri = f"{str(call.request.base_url).rstrip('/')}{base}/task/{task_id}"
            return reply({"task_id": task_id, "task_uri": uri}, 201 if name == "mkdir" else 200)

        return route(f"{base}/filesystem/{name}/{{resource}}", carry_out, method)

    def _outcome(self, command: Callable[[Path, Doc], Any], arguments: Doc) -> Doc:
        try:
            return {"status": "completed", "result": {"output": command(self._jailed(str(arguments["path"])), arguments)}}
        except OSError as error:
            words = f"{arguments['path']}: {error.strerror or 'Permission denied'}"
            return {"status": "failed", "result": {"error": words}}

    def _jailed(self, shown: str) -> Path:
        path = Path(os.path.normpath("/" + shown.lstrip("/")))
        real = path.resolve()
        if not any(real == root or root in real.parents for root in self._roots):
            raise PermissionError(str(path))
        return path

    # --- commands ------------------------------------------------------------------------------------------------------

    def _ls(self, path: Path, arguments: Doc) -> list[Doc]:
        if not path.is_dir():
            return [self._entry(str(path), path)]
        hidden = str(arguments.get("showHidden", "false")).lower() == "true"
        return [self._entry(below.name, below) for below in sorted(path.iterdir()) if hidden or not below.name.startswith(".")]

    def _entry(self, name: str, path: Path) -> Doc:
        info = path.lstat()
        mode = stat.filemode(info.st_mode)
        kind = {"d": "directory", "l": "symlink"}.get(mode[0], "file")
        owner = {"user": self._user, "group": "als", "permissions": mode[1:], "last_modified": clock.listing(info.st_mtime)}
        return {"name": name, "type": kind, "link_target": None, **owner, "size": str(info.st_size)}

    def _stat(self, path: Path, arguments: Doc) -> Doc:
        info = path.stat()
        names = ("mode", "ino", "dev", "nlink", "uid", "gid", "size", "atime", "ctime", "mtime")
        return {name: int(getattr(info, f"st_{name}")) for name in names}

    def _head(self, path: Path, arguments: Doc) -> Doc:
        return _content(path.read_bytes(), arguments, from_end=False)

    def _tail(self, path: Path, arguments: Doc) -> Doc:
        return _content(path.read_bytes(), arguments, from_end=True)

    def _view(self, path: Path, arguments: Doc) -> Doc:
        offset, size = int(arguments.get("offset") or 0), int(arguments.get("size") or MOST_BYTES)
        return _segment(path.read_bytes()[offset : offset + min(size, MOST_BYTES)], "bytes")

    def _checksum(self, path: Path, arguments: Doc) -> Doc:
        return {"algorithm": "SHA-256", "checksum": hashlib.sha256(path.read_bytes()).hexdigest()}

    def _mkdir(self, path: Path, arguments: Doc) -> Doc:
        path.mkdir(parents=bool(arguments.get("parent")), exist_ok=bool(arguments.get("parent")))
        return self._entry(str(path), path)

    # --- tasks ---------------------------------------------------------------------------------------------------------

    def _tasks(self, call: Call) -> Response:
        self._auth.user(call)
        return reply([task for key, task in self._store.items(_TASK) if key.startswith(f"{self._name}:")])

    def _task(self, call: Call) -> Response:
        self._auth.user(call)
        task = self._store.get(_TASK, f"{self._name}:{call.param('id')}")
        if task is None:
            raise IriError(404, f"Task {call.param('id')} not found")
        return reply(task)


def _content(content: bytes, arguments: Doc, *, from_end: bool) -> Doc:
    """Exactly one of ``bytes`` and ``lines``."""
    if ("bytes" in arguments) == ("lines" in arguments):
        raise IriError(400, "Exactly one of `bytes` or `lines` must be specified.")
    number = int(arguments.get("bytes") or arguments.get("lines") or 0)
    if "bytes" in arguments:
        return _segment(content[-number:] if from_end else content[:number], "bytes")
    lines = content.splitlines(keepends=True)
    return _segment(b"".join(lines[-number:] if from_end else lines[:number]), "lines")


def _segment(content: bytes, unit: str) -> Doc:
    return {"content": content.decode("utf-8", "replace"), "content_type": unit, "start_position": 0, "end_position": len(content)}
