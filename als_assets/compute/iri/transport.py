"""The transport to a site behind the DOE IRI API: OLCF first, NERSC and ALCF by their own profiles.

Here: finding, submitting, looking, cancelling, and the site's health. Not here: HTTP (``api``), documents (``jobs``) and files
(``files``, ``transfer.site_files``). A POST that starts a job is sent once; where the site offers it, under an idempotency key.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from als_assets.compute.health import SiteHealth
from als_assets.compute.iri.api import Answer, IriApi
from als_assets.compute.iri.files import IriFiles, SiteFiles
from als_assets.compute.iri.health import health_of
from als_assets.compute.iri.jobs import name_of, request_of, script_of, view_of
from als_assets.compute.iri.tokens import ClientToken, FileToken, TokenSource, expiry_in
from als_assets.compute.outcomes import SchedulerView
from als_assets.compute.spec import JobSpec
from als_assets.errors import ConfigError, JobRefused, ServiceUnreachable
from als_assets.facility.compute import IriCompute
from als_assets.facility.identities import SfapiIdentity, TokenIdentity

_PAGE = 1000
_NOT_OFFERED = (404, 405, 501)
_CANCEL_TIMEOUT_S = 60.0
_NAMESPACE = uuid.UUID("6f1de9a2-9f0e-4f5e-9a52-a1c5a55e7d11")  # of our idempotency keys


class IriTransport:
    """One machine of one site. ``files`` looks at the site's disks where its API does not (None: the API does)."""

    def __init__(self, setup: IriCompute, identity: TokenIdentity | SfapiIdentity, title: str, files: SiteFiles | None = None) -> None:
        self._setup = setup
        self.poll_s = setup.poll_s
        self._api = IriApi(setup, _tokens(identity, setup), title)
        self._files = files or IriFiles(self._api, self._resource_id)
        self._known_id = ""

    def script(self, spec: JobSpec) -> str:
        return script_of(spec, self._setup)

    def find(self, spec_name: str, log_dir: PurePosixPath) -> str | None:
        """By the claim that the first copy of the job left beside its log, else by name in the site's list (OLCF's shows no names)."""
        claimed = self._files.tail(log_dir / f"{spec_name}.claim", 1).strip()
        if claimed and self._look(claimed) is not None:
            return claimed
        rows = self._listed(historical=True) if self._setup.batch else iter(())
        mine = [str(job["id"]) for job in rows if name_of(job) == spec_name]
        return min(mine, key=lambda job_id: (len(job_id), job_id), default=None)  # the first that was submitted

    def submit(self, spec_name: str, script: str, log_dir: PurePosixPath) -> str:
        document = request_of(script)
        try:
            self._resource_id()
        except ServiceUnreachable as error:
            error.details["nothing_sent"] = True
            raise
        key = {"Idempotency-Key": str(uuid.uuid5(_NAMESPACE, spec_name))}
        answer = self._start(document, key)
        if answer.status == 501:  # refused before anything was done: no store for such keys there
            answer = self._start(document, {})
        if answer.status == 409:
            raise self._api.unreachable(f"is still working on an earlier submission of {spec_name}")
        if answer.ok and isinstance(answer.body, Mapping) and answer.body.get("id"):
            return str(answer.body["id"])
        if answer.ok:
            raise self._api.unreachable(f"took the job {spec_name} without telling its number")
        self._known_id = ""  # the id of the machine may be another one now
        raise JobRefused(
            f"{self._api.title} refused the job {spec_name}: {answer.words}.",
            next_step="Check account, queue and limits in the facility file against the words above, then re-execute from failure.",
            site_fault=True,
        )

    def _start(self, document: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
        path = f"compute/job/{self._resource_id()}"
        return self._api.send("POST", path, json=document, headers=headers, refusals=(400, 404, 409, 422, 501))

    def look_many(self, job_ids: Sequence[str]) -> dict[str, SchedulerView]:
        """One request for all live jobs; those that are not in that list are asked for one by one (a job ends only once)."""
        found: dict[str, SchedulerView] = {}
        if len(job_ids) > 1 and self._setup.batch:
            wanted = set(job_ids)
            jobs = {str(job.get("id")): job for job in self._listed(historical=False)}
            found = {job_id: view for job_id in wanted & jobs.keys() if (view := view_of(jobs[job_id])) is not None}
        for job_id in job_ids:
            if job_id not in found and (view := self._look(job_id)) is not None:
                found[job_id] = view
        return found

    def _look(self, job_id: str) -> SchedulerView | None:
        params = {"historical": True, "include_spec": False}
        answer = self._api.get(f"compute/status/{self._resource_id()}/{job_id}", params, refusals=(404,))
        if answer.ok:
            if not isinstance(answer.body, Mapping):
                raise self._api.unreachable("answered a list or a word instead of a job")
            return view_of(answer.body)
        before, self._known_id = self._known_id, ""
        # "Not found" may be about the machine, whose id changes now and then.
        return self._look(job_id) if self._resource_id() != before else None

    def _listed(self, *, historical: bool) -> Iterator[Mapping[str, Any]]:
        """The jobs that the site tells of; nothing where it has no such list."""
        offset = 0
        while True:
            params = {"offset": offset, "limit": _PAGE, "historical": historical, "include_spec": True}
            path = f"compute/status/{self._resource_id()}"
            answer = self._api.send("POST", path, params=params, json={}, refusals=_NOT_OFFERED)
            if not answer.ok:
                return
            if not isinstance(answer.body, list):
                raise self._api.unreachable("answered no list of jobs")
            yield from (job for job in answer.body if isinstance(job, Mapping))
            offset += _PAGE
            if len(answer.body) < _PAGE:
                return

    def cancel(self, job_id: str) -> None:
        """Ask for the end of the job, and believe it when the scheduler says so.

        Raises:
            ServiceUnreachable: also when the job still lives a minute after the site took the request.
        """
        self._api.send("DELETE", f"compute/cancel/{self._resource_id()}/{job_id}", refusals=(404, 409))
        deadline, pause = time.monotonic() + _CANCEL_TIMEOUT_S, 0.05
        while (view := self._look(job_id)) is not None and view.live:
            if time.monotonic() > deadline:
                raise self._api.unreachable(f"took the cancelling of job {job_id}, but the job is still {view.state.lower()}")
            time.sleep(pause)
            pause = min(pause * 1.5, 5.0)

    def listing(self, path: PurePosixPath) -> dict[str, int] | None:
        return self._files.listing(path)

    def tail(self, path: PurePosixPath, lines: int) -> str:
        return self._files.tail(path, lines)

    def health(self) -> SiteHealth:
        """Raises ServiceUnreachable, CredentialsRejected."""
        identifier = self._resource_id()
        resource = self._api.get(f"status/resources/{identifier}").body
        answer = self._api.get("status/incidents", {"resource_id": identifier, "limit": 100}, refusals=(404, 422, 501))
        incidents = [i for i in answer.body or [] if isinstance(i, Mapping) and _names(i, identifier)]
        return health_of(resource if isinstance(resource, Mapping) else {}, incidents, datetime.now(UTC), self._api.title)

    def credential_expiry(self) -> datetime | None:
        """When the token ends: what its site says, else what it says itself. Raises ServiceUnreachable, CredentialsRejected."""
        if self._setup.token_url:
            return None  # such tokens are renewed by themselves; the client's own end is known to its registry only
        own = expiry_in(self._api.tokens.read(renew=False))
        if not self._setup.introspect_url:
            return own
        document = self._api.introspected(self._setup.introspect_url)
        told = (document.get("token") or {}).get("plannedExpiration") if isinstance(document, Mapping) else None
        try:
            moment = datetime.fromisoformat(str(told))
        except ValueError:
            return own
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)

    def _resource_id(self) -> str:
        """The machine's id, looked up by its name once, and again after a 'not found'."""
        if not self._known_id:
            params = {"group": self._setup.group} if self._setup.group else {}
            rows = self._api.get("status/resources", {**params, "limit": 100}).body
            rows = rows if isinstance(rows, list) else []
            ids = [str(row.get("id")) for row in rows if isinstance(row, Mapping) and self._is_meant(row)]
            if len(ids) != 1:
                names = ", ".join(sorted({str(row.get("name")) for row in rows if isinstance(row, Mapping)})) or "none"
                raise ConfigError(
                    f"{self._api.title} has {len(ids)} machines named '{self._setup.resource}' (it tells of: {names}).",
                    next_step="Correct 'resource' or 'group' of that site in the facility file.",
                )
            self._known_id = ids[0]
        return self._known_id

    def _is_meant(self, row: Mapping[str, Any]) -> bool:
        named = self._setup.resource.lower() in (str(row.get("name", "")).lower(), str(row.get("id", "")))
        return named and self._setup.group.lower() in ("", str(row.get("group", "")).lower())

    def close(self) -> None:
        self._api.close()


def _names(incident: Mapping[str, Any], identifier: str) -> bool:
    """Whether an incident is about this machine; one that names none is about the whole site."""
    uris = incident.get("resource_uris") or []
    return not uris or any(str(uri).rstrip("/").rsplit("/", 1)[-1] == identifier for uri in uris)


def _tokens(identity: TokenIdentity | SfapiIdentity, setup: IriCompute) -> TokenSource:
    return FileToken(identity) if isinstance(identity, TokenIdentity) else ClientToken(identity, setup.token_url)
