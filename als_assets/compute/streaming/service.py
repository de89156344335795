"""A service session: a job that is there for a time and not for a result, such as the live reconstruction of 8.3.2 at NERSC.

Here: start, follow, extend, stop and the reaping of what nobody owns; the session's row in the record is the intent, so that a
process killed anywhere is followed by the next. Not here: the stages a session goes through (``stages``), its script
(``script``) and Dagster. Source: facts of the flow it replaces, and Welborn et al. 2024 (arXiv 2403.14352).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from als_assets.compute.streaming.script import service_script
from als_assets.compute.streaming.stages import BEGIN_GRACE, Signs, Stage, advance, newest_of
from als_assets.compute.transport import Transport
from als_assets.errors import AlsError, JobError, ServiceUnreachable
from als_assets.facility import Facility
from als_assets.facility.compute import SfapiCompute, Streaming
from als_assets.ledger import Ledger
from als_assets.ledger.job_models import ServiceSession

# Jobs of sessions that ended within this time are looked for again: a cancel may have been lost.
REAP = timedelta(hours=24)
Job = dict[str, Any]


class StreamService:
    """Sessions at the sites of a facility that offer them."""

    def __init__(self, facility: Facility, ledger: Ledger, transports: Mapping[str, Transport]) -> None:
        self._facility = facility
        self._ledger = ledger
        self._transports = transports

    def offer(self, beamline: str) -> tuple[str, SfapiCompute, Streaming]:
        """The site that serves a beamline. Raises JobError."""
        for name, site in self._facility.sites.items():
            compute = site.compute
            if isinstance(compute, SfapiCompute) and compute.streaming is not None and compute.streaming.beamline == beamline:
                return name, compute, compute.streaming
        raise JobError(
            f"No site offers a live reconstruction for {beamline}.", next_step="Add 'streaming' to the site in the facility file."
        )

    def start(self, beamline: str, *, who: str, walltime_s: int | None = None, qos: str = "") -> ServiceSession:
        """A new session, handed to its site.

        Raises:
            HeldElsewhere: the beamline has one. JobError: none is offered, or the site refused. ServiceUnreachable: the site did not
            answer; the session stays requested, and the next look carries on.
        """
        site, _compute, stream = self.offer(beamline)
        session_id = f"stream-{beamline}-{uuid.uuid4().hex[:10]}"
        log_dir = PurePosixPath(stream.output) / "sessions"
        wanted = min(walltime_s or stream.walltime_s, stream.walltime_max_s)
        session = ServiceSession(id=session_id, beamline=beamline, site=site, who=who, log_dir=str(log_dir), state=Stage.REQUESTED)
        session.sentence, session.created_at = "It was asked for.", self._ledger.clock()
        session.jobs = {"list": [self._job(session_id, 1, wanted, qos or stream.qos)]}
        session.ends_at = session.stop_asked_at = session.ended_at = None
        self._ledger.sessions.open(session)
        self._submit(session)
        return self._ledger.sessions.get(session_id)

    def _job(self, session_id: str, number: int, walltime_s: int, qos: str) -> Job:
        return {"name": f"als-{session_id}-{number}", "walltime_s": walltime_s, "qos": qos, "job_id": "", "asked_at": ""}

    def _submit(self, session: ServiceSession) -> None:
        """Hand over the newest job of a session: announced in the record, looked for if it was announced before, then asked for once."""
        job = newest_of(session)
        transport = self._transports[session.site]
        _site, compute, stream = self.offer(session.beamline)
        log_dir = PurePosixPath(session.log_dir)
        if job["asked_at"]:
            found = transport.find(job["name"], log_dir)
            if found is not None:
                self._note(session, job, job_id=found)
                return
            if self._ledger.clock() - datetime.fromisoformat(job["asked_at"]) < BEGIN_GRACE:
                raise ServiceUnreachable(f"The site has not said yet whether it took {job['name']}.", next_step="It is looked for again.")
        script = service_script(job["name"], session, compute, stream, self._facility.images, int(job["walltime_s"]), str(job["qos"]))
        self._note(session, job, asked_at=self._ledger.clock().isoformat())
        try:
            job_id = transport.submit(job["name"], script, log_dir)
        except JobError as refused:
            others = [old for old in session.jobs["list"] if old["name"] != job["name"]]
            if others:  # the session goes on without a successor
                self._ledger.sessions.change(session.id, jobs={"list": others})
            else:
                self._end(session, Stage.FAILED, refused.sentence)
            raise
        self._note(session, job, job_id=job_id)

    def _note(self, session: ServiceSession, job: Job, **values: Any) -> None:
        job.update(values)
        jobs = {"list": [job if old["name"] == job["name"] else old for old in session.jobs["list"]]}
        session.jobs = self._ledger.sessions.change(session.id, jobs=jobs).jobs

    def _end(self, session: ServiceSession, stage: Stage, why: str) -> ServiceSession:
        return self._ledger.sessions.change(session.id, stage, why=why, sentence=why, ended_at=self._ledger.clock())

    # --- following ------------------------------------------------------------------------------------------------------

    def look(self, session_id: str) -> ServiceSession:
        """One look at a session that has not ended: carry on what was cut off, read the signs, and go to the next stage.

        Raises:
            ServiceUnreachable, CredentialsRejected: nothing is known, and nothing was changed.
        """
        session = self._ledger.sessions.get(session_id)
        if session.ended_at is not None:
            return session
        if session.stop_asked_at is None and not newest_of(session)["job_id"]:
            self._submit(session)
            session = self._ledger.sessions.get(session_id)
        if session.stop_asked_at is not None:
            self._cancel_all(session)
        signs = self._signs(session)
        change = advance(session, signs, self._ledger.clock())
        for job in change.replaced:  # the successor is ready: what it replaces may go
            self._transports[session.site].cancel(job)
        ended = {"ended_at": self._ledger.clock()} if change.stage in (Stage.ENDED, Stage.FAILED) else {}
        return self._ledger.sessions.change(
            session_id, change.stage, why=change.sentence, sentence=change.sentence, ends_at=change.ends_at, **ended
        )

    def _signs(self, session: ServiceSession) -> list[Signs]:
        transport = self._transports[session.site]
        views = transport.look_many([job["job_id"] for job in session.jobs["list"] if job["job_id"]])
        return [self._signs_of(session, transport, job, views.get(job["job_id"])) for job in session.jobs["list"] if job["job_id"]]

    def _signs_of(self, session: ServiceSession, transport: Transport, job: Job, view: Any) -> Signs:
        base = f"{session.log_dir}/{job['name']}"
        running = view is not None and view.state == "RUNNING"
        ready = _table(transport.tail(PurePosixPath(f"{base}.ready.json"), 1)) if running else {}
        beat = transport.tail(PurePosixPath(f"{base}.beat"), 1).strip() if running else ""
        over = view is None or not view.live
        error = transport.tail(PurePosixPath(f"{base}.err"), 1).strip() if over else ""
        return Signs(job["job_id"], int(job["walltime_s"]), str(job["asked_at"]), view, ready, beat, error)

    # --- what a person asks for -------------------------------------------------------------------------------------------

    def extend(self, session_id: str, walltime_s: int | None = None) -> ServiceSession:
        """A successor is queued; when it is ready it takes over. Raises JobError (a successor is on its way, or it has ended)."""
        session = self._ledger.sessions.get(session_id)
        _site, _compute, stream = self.offer(session.beamline)
        if session.ended_at is not None or session.stop_asked_at is not None or session.state != Stage.READY:
            raise JobError(f"Session {session_id} is {session.state}; only one that is ready is extended.", next_step="als stream status")
        if len(self._live_views(session)) > 1:
            raise JobError(f"Session {session_id} has a successor on its way.", next_step="Wait until it has taken over.")
        wanted = min(walltime_s or stream.walltime_s, stream.walltime_max_s)
        job = self._job(session_id, len(session.jobs["list"]) + 1, wanted, str(newest_of(session)["qos"]))
        session = self._ledger.sessions.change(session_id, jobs={"list": [*session.jobs["list"], job]})
        self._submit(session)
        return self._ledger.sessions.get(session_id)

    def _live_views(self, session: ServiceSession) -> list[str]:
        ids = [job["job_id"] for job in session.jobs["list"] if job["job_id"]]
        return [job_id for job_id, view in self._transports[session.site].look_many(ids).items() if view.live]

    def stop(self, session_id: str, *, why: str) -> ServiceSession:
        """Ask for the end, on record first; it has ended when the scheduler says that nothing of it is left."""
        self._ledger.sessions.change(session_id, Stage.DRAINING, why=why, stop_asked_at=self._ledger.clock(), sentence=why)
        return self.look(session_id)

    def _cancel_all(self, session: ServiceSession) -> None:
        """Cancel every job of a session, also one that was asked for and whose number was never heard."""
        transport = self._transports[session.site]
        for job in session.jobs["list"]:
            if job["asked_at"] and not job["job_id"]:
                found = transport.find(job["name"], PurePosixPath(session.log_dir))
                if found is not None:
                    self._note(session, dict(job), job_id=found)
        for job_id in self._live_views(session):
            transport.cancel(job_id)

    def reap(self) -> list[str]:
        """Cancel jobs of ended sessions that still live: their ids. Sessions that cannot be asked about are left for the next time."""
        reaped: list[str] = []
        for session in self._ledger.sessions.ended_since(self._ledger.clock() - REAP):
            try:
                live = self._live_views(session)
                self._cancel_all(session)
            except AlsError:
                continue
            reaped += live
        return reaped


def _table(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
