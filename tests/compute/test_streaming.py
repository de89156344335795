"""Service sessions at NERSC, with a real service that listens on a real port: from the start to an end that is verified."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from doomed import Zygote
from facility_in_a_box import Bench, _free_port
from stream_shop import BEAT_S, service_at

from als_assets.compute.outcomes import SchedulerView
from als_assets.compute.streaming import script as service_script
from als_assets.compute.streaming import service as streaming
from als_assets.compute.streaming import stages
from als_assets.compute.streaming.service import StreamService
from als_assets.compute.streaming.stages import Signs, Stage, advance
from als_assets.errors import HeldElsewhere, JobError, JobRefused, ServiceUnreachable
from als_assets.ledger.job_models import ServiceSession

JOBS = "/api/v1.2/compute/jobs/perlmutter"
SERVE = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(600)"


@pytest.fixture
def make(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., StreamService]]:
    """A service whose sessions run ``code`` at NERSC."""
    monkeypatch.setattr(service_script, "BEAT_S", BEAT_S)
    for module in (stages, streaming):
        monkeypatch.setattr(module, "BEGIN_GRACE", timedelta(seconds=0.5))
    made: list[StreamService] = []

    def build(code: str = SERVE) -> StreamService:
        port = _free_port()
        made.append(service_at(bench.platform, [sys.executable, "-c", code, str(port)], port, tmp_path))
        return made[-1]

    yield build
    bench.control.clear_faults()
    for session in bench.ledger.sessions.live():
        bench.control.wait_for(lambda s=session: made[-1].stop(s.id, why="the test is over").ended_at, what="the end")


def until(bench: Bench, streams: StreamService, session: ServiceSession, stage: Stage) -> ServiceSession:
    found: ServiceSession = bench.control.wait_for(lambda: (s := looked(streams, session)).state == stage and s, what=f"the stage {stage}")
    return found


def looked(streams: StreamService, session: ServiceSession) -> ServiceSession:
    time.sleep(BEAT_S / 2)  # a look asks the site for several things
    return streams.look(session.id)


def jobs_of(bench: Bench, session: ServiceSession) -> list[dict[str, Any]]:
    return [job for job in bench.control.jobs() if session.id in job["name"]]


def test_a_session_from_start_to_a_verified_end(bench: Bench, make: Callable[..., StreamService]) -> None:
    streams = make()
    session = streams.start("bl832", who="dula", walltime_s=600, qos="debug")
    assert jobs_of(bench, session)[0]["options"]["qos"] == "debug"

    ready = until(bench, streams, session, Stage.READY)
    assert "Ready at " in ready.sentence and ready.jobs["list"][0]["job_id"] in ready.sentence
    assert ready.ends_at is not None and timedelta(minutes=8) < ready.ends_at - datetime.now(UTC) <= timedelta(minutes=10)
    base = Path(session.log_dir) / ready.jobs["list"][0]["name"]
    first = base.with_name(base.name + ".beat").stat().st_mtime_ns
    bench.control.wait_for(lambda: base.with_name(base.name + ".beat").stat().st_mtime_ns > first, what="the next heartbeat")

    assert streams.stop(session.id, why="dula stopped it").state in (Stage.DRAINING, Stage.ENDED)
    ended = until(bench, streams, session, Stage.ENDED)
    assert ended.ended_at is not None and "nothing of it is left" in ended.sentence
    assert jobs_of(bench, session)[0]["state"] == "CANCELLED"
    assert base.with_name(base.name + ".drain").exists(), "the service got its chance to end well"


def test_there_is_one_session_for_each_beamline(bench: Bench, make: Callable[..., StreamService]) -> None:
    streams = make()
    session = streams.start("bl832", who="one")

    with pytest.raises(HeldElsewhere, match=f"has a live session already: {session.id} at nersc"):
        streams.start("bl832", who="two")
    assert len(jobs_of(bench, session)) == 1
    with pytest.raises(JobError, match="No site offers a live reconstruction for bl733"):
        streams.start("bl733", who="three")


def test_a_successor_takes_over_when_it_is_ready(bench: Bench, make: Callable[..., StreamService]) -> None:
    streams = make(
        "import time, sys, socket\ntry: s = socket.create_server(('127.0.0.1', int(sys.argv[1])))\nexcept OSError: pass\ntime.sleep(600)"
    )
    session = until(bench, streams, streams.start("bl832", who="a", walltime_s=600), Stage.READY)

    extended = streams.extend(session.id, 1200)
    old, new = (job["job_id"] for job in extended.jobs["list"])
    with pytest.raises(JobError, match="has a successor on its way"):
        streams.extend(session.id)
    bench.control.wait_for(lambda: f"(job {new})" in streams.look(session.id).sentence, what="the hand-over")

    bench.control.wait_for(lambda: not bench.platform.transports["nersc"].look_many([old])[old].live, what="the end of the old job")
    assert streams.look(session.id).state == Stage.READY
    assert streams.look(session.id).ends_at > session.ends_at + timedelta(minutes=5)  # type: ignore[operator]


def test_a_service_that_breaks_is_told_with_its_last_words(bench: Bench, make: Callable[..., StreamService]) -> None:
    streams = make("import sys; sys.exit('no GPU was found')")
    failed = until(bench, streams, streams.start("bl832", who="a"), Stage.FAILED)
    assert "failed with exit code 1" in failed.sentence and failed.sentence.endswith("no GPU was found.")
    assert failed.ended_at is not None and streams.reap() == []


def test_a_refused_session_ends_at_once(bench: Bench, make: Callable[..., StreamService]) -> None:
    streams = make()
    bench.control.add_fault(where="job", name="als-stream-*", action="refuse", message="sbatch: error: no GPU hours left")
    with pytest.raises(JobRefused, match="no GPU hours left"):
        streams.start("bl832", who="a")
    last = bench.ledger.sessions.last("bl832")
    assert last is not None and last.state == Stage.FAILED and last.ended_at is not None


def test_a_lost_answer_starts_one_job_which_is_found(bench: Bench, make: Callable[..., StreamService]) -> None:
    streams = make()
    bench.control.add_fault(where="http", method="POST", path=JOBS, after=True, status=502)
    with pytest.raises(ServiceUnreachable):
        streams.start("bl832", who="a")
    (session,) = bench.ledger.sessions.live("bl832")

    until(bench, streams, session, Stage.READY)

    assert len(jobs_of(bench, session)) == 1


def test_a_session_whose_number_was_never_heard_is_stopped_too(bench: Bench, make: Callable[..., StreamService]) -> None:
    streams = make()
    bench.control.add_fault(where="http", method="POST", path=JOBS, after=True, status=502)
    with pytest.raises(ServiceUnreachable):
        streams.start("bl832", who="a")
    (session,) = bench.ledger.sessions.live("bl832")

    streams.stop(session.id, why="a changed her mind")
    until(bench, streams, session, Stage.ENDED)

    assert [job["state"] for job in jobs_of(bench, session)] == ["CANCELLED"]


def test_a_job_that_an_ended_session_left_behind_is_reaped(bench: Bench, make: Callable[..., StreamService]) -> None:
    streams = make()
    session = until(bench, streams, streams.start("bl832", who="a"), Stage.READY)
    bench.ledger.sessions.change(session.id, Stage.FAILED, why="the record says so", ended_at=bench.ledger.clock())

    assert streams.reap() == [session.jobs["list"][0]["job_id"]]

    bench.control.wait_for(lambda: streams.reap() == [], what="the end of the orphan")
    assert jobs_of(bench, session)[0]["state"] == "CANCELLED"


POINTS = [
    "after ledger.sessions:Sessions.open",
    "after compute.streaming.service:StreamService._note",
    "after compute.sfapi.transport:SfapiTransport.submit",
]


@pytest.mark.parametrize("point", POINTS)
def test_killed_while_starting_it_is_carried_on_with_one_job(
    bench: Bench, make: Callable[..., StreamService], zygote: Zygote, point: str
) -> None:
    streams = make()
    _site, _compute, stream = streams.offer("bl832")
    zygote.dies("stream", point, command=list(stream.command), port=stream.port, output=str(stream.output))
    (session,) = bench.ledger.sessions.live("bl832")

    bench.control.wait_for(lambda: _ready(streams, session), what="the session")

    assert len(jobs_of(bench, session)) == 1


def _ready(streams: StreamService, session: ServiceSession) -> bool:
    try:
        return looked(streams, session).state == Stage.READY
    except ServiceUnreachable:  # it is looked for, for a while, before another is asked for
        return False


# --- the stages, without a site ------------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LONG_AGO = (NOW - timedelta(hours=1)).isoformat()
READY = {"host": "nid1", "port": 5000, "at": "2026-11-22T11:00:00Z"}


def session_in(state: Stage, **changes: Any) -> ServiceSession:
    fields = {"id": "s", "beamline": "bl832", "site": "nersc", "state": state, "who": "a", "sentence": "", "stop_asked_at": None}
    return ServiceSession(**{**fields, "ends_at": None, "ended_at": None, **changes})


def signs(state: str | None, **changes: Any) -> Signs:
    view = SchedulerView(state, nodes="nid1", used_s=changes.pop("used_s", 60.0), exit_code=changes.pop("exit_code", "")) if state else None
    return Signs("7", 3600, changes.pop("asked_at", LONG_AGO), view, **changes)


@pytest.mark.parametrize(
    ("before", "seen", "after", "words"),
    [
        (Stage.REQUESTED, [signs("PENDING")], Stage.QUEUED, "waits in the queue"),
        (Stage.QUEUED, [signs("RUNNING")], Stage.STARTING, "does not answer yet"),
        (Stage.STARTING, [signs("RUNNING", ready=READY)], Stage.READY, "Ready at nid1:5000 (job 7), until 12:59 UTC"),
        (Stage.READY, [signs("RUNNING", ready=READY, beat="2026-11-22T11:57:00Z")], Stage.READY, "Silent for 3 min 0 s"),
        (Stage.READY, [signs("RUNNING", ready=READY, used_s=3400.0)], Stage.READY, "Ends in 3 min 20 s"),
        (Stage.READY, [signs("TIMEOUT")], Stage.ENDED, "Its time of 1 h 0 min was over"),
        (Stage.READY, [signs("COMPLETED", exit_code="0:0")], Stage.ENDED, "ended by itself"),
        (Stage.STARTING, [signs("COMPLETED", exit_code="0:0")], Stage.FAILED, "ended before it was ready"),
        (Stage.STARTING, [signs("TIMEOUT")], Stage.FAILED, "ran into its time limit"),
        (Stage.READY, [signs("NODE_FAIL")], Stage.FAILED, "its node failed"),
        (Stage.READY, [signs("GREMLINS")], Stage.FAILED, "not known here"),
        (Stage.QUEUED, [signs(None)], Stage.FAILED, "not known to the scheduler"),
        (Stage.REQUESTED, [signs(None, asked_at=NOW.isoformat())], Stage.QUEUED, "waits in the queue"),
        (Stage.REQUESTED, [], Stage.REQUESTED, ""),
    ],
)
def test_the_way_from_stage_to_stage(before: Stage, seen: list[Signs], after: Stage, words: str) -> None:
    change = advance(session_in(before), seen, NOW)
    assert change.stage is after and words in change.sentence


def test_a_session_that_is_asked_to_stop_ends_only_when_nothing_lives() -> None:
    asked = session_in(Stage.DRAINING, stop_asked_at=NOW)
    assert advance(asked, [signs("RUNNING", ready=READY)], NOW).stage is Stage.DRAINING
    assert advance(asked, [signs(None, asked_at=NOW.isoformat())], NOW).stage is Stage.DRAINING, "it may still turn up"
    assert advance(asked, [signs("CANCELLED by 1")], NOW).stage is Stage.ENDED
