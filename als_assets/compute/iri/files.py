"""Listings and the ends of logs at a site: what every transport needs of the site's disks, here through IRI's filesystem routes.

Here: the protocol, and its implementation by the API's asynchronous file tasks. Not here: sites whose API has no files (OLCF); there
Globus looks, see ``transfer.site_files``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, Protocol

from als_assets.compute.iri.api import Answer, IriApi

_TASK_TIMEOUT_S = 120.0
_FIRST_PAUSE_S = 0.05
_ABSENT = ("no such file", "not found", "does not exist")
_FOLDERS, _LINKS = ("d", "dir", "directory"), ("l", "link", "symlink")


class SiteFiles(Protocol):
    """Small looks at a site's disks."""

    def listing(self, path: PurePosixPath) -> dict[str, int] | None:
        """Relative path -> size in bytes of every file below ``path`` ("" for a single file); None where nothing is there."""
        ...

    def tail(self, path: PurePosixPath, lines: int) -> str:
        """The last lines of a text file; empty where there is none."""
        ...


class IriFiles:
    """Version 1 asks with GET and parameters, version 2 with POST and a body; both answer with a task."""

    def __init__(self, api: IriApi, resource_id: Callable[[], str]) -> None:
        self._api, self._resource_id = api, resource_id

    def listing(self, path: PurePosixPath) -> dict[str, int] | None:
        stat = self._ask("stat", path=str(path), dereference=True)
        if stat is None:
            return None
        files: dict[str, int] = {}
        folders = [""]
        while folders:
            folder = folders.pop()
            # Not 'recursive': sites write the names of what lies deeper in different ways.
            entries = self._ask("ls", path=str(path / folder), showHidden=True)
            for entry in entries or []:
                name, kind = str(entry["name"]).rstrip("/").rsplit("/", 1)[-1], str(entry.get("type", "")).lower()
                if not folder and str(entry["name"]) == str(path):
                    return {"": int(entry["size"])}
                if kind in _FOLDERS and name not in (".", ".."):
                    folders.append(f"{folder}{name}/")
                elif kind not in (*_FOLDERS, *_LINKS):
                    files[folder + name] = int(entry["size"])
        return files

    def tail(self, path: PurePosixPath, lines: int) -> str:
        content = self._ask("tail", path=str(path), lines=lines)
        return str((content or {}).get("content") or "").rstrip("\n")

    def _ask(self, command: str, **arguments: str | int | bool) -> Any:
        """The 'output' of a file task; None where there is no such file."""
        path, refusals = f"filesystem/{command}/{self._resource_id()}", (400, 404)
        if self._api.version == "v1":
            answer = self._api.get(path, arguments, refusals=refusals)
        else:
            answer = self._api.send("POST", path, json=arguments, refusals=refusals)
        if not answer.ok:
            return self._absent(command, answer.words)
        return self._outcome(command, answer)

    def _outcome(self, command: str, answer: Answer) -> Any:
        task_id = answer.body.get("task_id") if isinstance(answer.body, dict) else None
        if not task_id:
            raise self._api.unreachable(f"answered '{command}' without a task")
        deadline, pause = time.monotonic() + _TASK_TIMEOUT_S, _FIRST_PAUSE_S
        while time.monotonic() < deadline:
            task = self._api.get(f"task/{task_id}").body
            state = str(task.get("status")).lower() if isinstance(task, dict) else ""
            if state == "completed":
                return (task.get("result") or {}).get("output")
            if state in ("failed", "canceled"):
                return self._absent(command, str(task.get("result")))
            time.sleep(pause)
            pause = min(pause * 1.5, 2.0)
        raise self._api.unreachable(f"did not finish the task {task_id} within {_TASK_TIMEOUT_S:.0f} s")

    def _absent(self, command: str, words: str) -> None:
        if not any(phrase in words.lower() for phrase in _ABSENT):
            raise self._api.unreachable(f"could not carry out '{command}': {words[:300]}")
