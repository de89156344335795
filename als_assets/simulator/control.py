"""The client of the control plane, for tests and the demo.

Here: one method per control call, and waiting for a condition; works against a simulator in any process. Not here: access to the
services; use their real clients for that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import httpx

from als_assets.simulator.store import Doc


class ControlRefused(ValueError):
    """The simulator did not understand a control call; the text says why."""


class Control:
    """Steers the simulator at ``url``. Close it, or use it as a context manager."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(base_url=f"{self.url}/_sim", timeout=30, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _call(self, method: str, path: str, **options: Any) -> Any:
        answer = self._http.request(method, path, **options)
        if answer.is_error:
            raise ControlRefused(f"{method} /_sim{path}: {answer.text}")
        return answer.json()

    # --- faults --------------------------------------------------------------------------------------------------------

    def add_fault(self, rule: Doc | None = None, **fields: Any) -> str:
        """Put a fault in force (``faults.FaultRule``'s fields, as a dictionary or by name); its id."""
        return str(self._call("POST", "/faults", json={**(rule or {}), **fields})["id"])

    def clear_fault(self, identifier: str) -> None:
        """Remove one fault; what it holds up goes on."""
        self._call("DELETE", f"/faults/{identifier}")

    def clear_faults(self) -> None:
        """Remove all faults; what they hold up goes on (but not INACTIVE tasks, which wait for ``resume``)."""
        self._call("DELETE", "/faults")

    def faults(self) -> list[Doc]:
        """All faults with how often each will still strike (``left``)."""
        found: list[Doc] = self._call("GET", "/faults")
        return found

    # --- looks inside --------------------------------------------------------------------------------------------------

    def requests(self, method: str | None = None, path: str | None = None) -> list[Doc]:
        """The requests so far: ``time, method, path, query, client, body`` (without secrets). ``path`` is a glob."""
        parameters = {key: value for key, value in (("method", method), ("path", path)) if value}
        found: list[Doc] = self._call("GET", "/requests", params=parameters)
        return found

    def tasks(self) -> list[Doc]:
        """All Globus tasks of all clients, with the submitted ``document`` and ``held_by`` (the fault that holds it up)."""
        found: list[Doc] = self._call("GET", "/tasks")
        return found

    def resume(self, task_id: str) -> None:
        """Let an INACTIVE, paused or stalled task go on."""
        self._call("POST", f"/tasks/{task_id}/resume")

    def jobs(self) -> list[Doc]:
        """All batch jobs: ``jobid, name, state, reason, exit [code, signal], script, output, error, submit, start, end`` ..."""
        found: list[Doc] = self._call("GET", "/jobs")
        return found

    def compute_tasks(self) -> list[Doc]:
        """All Globus Compute tasks: ``task_id, status, endpoint, group, payload, config, submit, start, result`` ..."""
        found: list[Doc] = self._call("GET", "/compute/tasks")
        return found

    def records(self, kind: str = "datasets") -> list[Doc]:
        """SciCat records: datasets, origdatablocks, datablocks, attachments, proposals, samples or instruments."""
        found: list[Doc] = self._call("GET", f"/records/{kind}")
        return found

    # --- switches ------------------------------------------------------------------------------------------------------

    def expire_tokens(self, service: str | None = None) -> None:
        """Let all tokens run out now, or those of "globus", "sfapi", "iri" or "scicat"."""
        self._call("POST", "/tokens/expire", params={"service": service} if service else {})

    def set_system(self, name: str, status: str, description: str = "") -> None:
        """What NERSC's status page says about a system: active, unavailable, degraded or other."""
        self._call("PUT", f"/systems/{name}", json={"status": status, "description": description})

    def set_endpoint(self, endpoint: str, status: str) -> None:
        """Take a Globus Compute endpoint "offline" or "online"."""
        self._call("PUT", f"/compute/endpoints/{endpoint}", json={"status": status})

    def set_outages(self, outages: list[Doc]) -> None:
        """Replace all outages: ``name, start_at, end_at, status`` (Planned by default), ``description``."""
        self._call("PUT", "/outages", json={"outages": outages})

    def set_quota(self, **numbers: int) -> None:
        """What NERSC's scratch says of our quota: ``used_bytes, most_bytes, used_files, most_files``; what is absent is as usual."""
        self._call("PUT", "/quota", json=numbers)

    def set_iri(self, facility: str, status: str = "up", incidents: list[Doc] | None = None) -> None:
        """What an IRI facility says of its machine (up, down, degraded or unknown), and its incidents: ``start, end, type`` (planned by
        default), ``resolution, description``."""
        self._call("PUT", f"/iri/{facility}", json={"status": status, "incidents": incidents or []})

    # --- waiting -------------------------------------------------------------------------------------------------------

    def ready(self) -> bool:
        """Whether a simulator answers at this address."""
        try:
            return bool(self._call("GET", "/health")["status"] == "ok")
        except httpx.TransportError:
            return False

    def wait_for(self, condition: Callable[[], Any], *, timeout_s: float = 30.0, what: str = "the condition") -> Any:
        """Ask ``condition`` until it is true, and return its value. Raises TimeoutError naming ``what``."""
        end, pause = time.monotonic() + timeout_s, 0.01
        while not (value := condition()):
            if time.monotonic() > end:
                raise TimeoutError(f"{what} did not come true within {timeout_s:g} s")
            time.sleep(pause)
            pause = min(pause * 1.3, 0.1)
        return value
