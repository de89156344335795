"""The site function as something that can be called: registered once per content, asked small questions, answered in time or not.

Here: the function's id, and waiting for the answers of small calls (a call that was not answered yet is waited for again, never sent
twice). Not here: jobs (``transport``) and what the function does (``site``).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from importlib import resources
from typing import Any

from als_assets.compute.globus_compute.client import ComputeClient, Submitted, Where, unpacked
from als_assets.compute.globus_compute.notes import Notes

FUNCTION = "als_site"
# The service allows 20 requests in 10 s for everything that an identity does.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 2.0


def source() -> str:
    """The text that runs at the site."""
    return resources.files("als_assets.compute.globus_compute").joinpath("site.py").read_text()


class SiteFunction:
    """``als_site`` at the service, as one identity registered it. ``poll_s``: how often the site is asked about jobs."""

    def __init__(self, client: ComputeClient, notes: Notes, site_title: str, poll_s: float) -> None:
        self._client, self._notes, self._title = client, notes, site_title
        self._first_pause_s = min(_FIRST_PAUSE_S, poll_s / 8)
        self._id = ""
        self._unanswered: dict[str, Submitted] = {}

    @property
    def id(self) -> str:
        """Registered once per content; the id is remembered on this machine, and asked about once per process."""
        if not self._id:
            text = source()
            name = hashlib.sha256(text.encode()).hexdigest()[:32]
            known = str((self._notes.read("functions", name) or {}).get("id", ""))
            if not known or not self._client.knows_function(known):
                known = self._client.register(FUNCTION, text)
                self._notes.write("functions", name, {"id": known})
            self._id = known
        return self._id

    def submit(self, what: str, where: Where, request: Mapping[str, Any], group_id: str | None = None) -> Submitted:
        return self._client.submit(f"submitting {what} to {self._title}", where, self.id, request, group_id)

    def call(self, where: Where, request: Mapping[str, Any], patience_s: float) -> tuple[Submitted, dict[str, Any]]:
        """The task and the answer of a small call. An answer with ``error`` says that there is none, and why."""
        key = json.dumps([where.endpoint, request], sort_keys=True)
        if key not in self._unanswered:
            self._unanswered[key] = self.submit(f"a '{request['verb']}'", where, request)
        task = self._unanswered[key]
        answer = self._wait(task.task_id, patience_s)
        if answer is None:
            return task, {"error": f"no answer to '{request['verb']}' within {patience_s:.0f} s"}
        del self._unanswered[key]
        return task, answer

    def _wait(self, task_id: str, patience_s: float) -> dict[str, Any] | None:
        until, pause = time.monotonic() + patience_s, self._first_pause_s
        while True:
            task = self._client.tasks([task_id]).get(task_id)
            if task is None:
                return {"error": "the service has forgotten the task"}
            status = str(task.get("status", "")).lower()
            if status == "success":
                return unpacked(str(task.get("result", ""))) or {"error": "the answer could not be read"}
            if status == "failed":
                return {"error": _last_line(str(task.get("exception") or task.get("reason") or "no reason given"))}
            if time.monotonic() > until:
                return None
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_S)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
