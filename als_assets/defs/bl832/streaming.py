"""The live reconstruction of 8.3.2 in Dagster: a job that starts a session, and a sensor that follows it.

Here: both, thin over ``compute.streaming``. Not here: what a session is. The job does not wait: a session lives in the record and at
its site, so no run has to live as long as it does, and none that dies takes it along.
"""

# Dagster reads annotations at definition time: no "from __future__ import annotations" here.
import dagster as dg
from pydantic import Field

from als_assets.defs.bl832.common import BEAMLINE, GROUP, OWNERS
from als_assets.defs.resources import PlatformResource
from als_assets.errors import AlsError
from als_assets.ledger.job_models import ServiceSession

STREAM_KEY = dg.AssetKey("live_reconstruction")

live_reconstruction = dg.AssetSpec(
    STREAM_KEY,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"stream"},
    description="The live reconstruction service. Its observations say where it answers, how long it has left, and why it ended.",
)


class StreamConfig(dg.Config):
    """What staff can choose in the Launchpad."""

    walltime_s: int = Field(0, description="Seconds that it shall live; 0: the standard of the facility file.")
    qos: str = Field("", description="The QOS; empty: the standard of the facility file.")
    who: str = Field("staff", description="Who asks for it.")


@dg.op(name="start_live_reconstruction")
def start_live_reconstruction(context: dg.OpExecutionContext, config: StreamConfig, platform: PlatformResource) -> None:
    try:
        session = platform.platform.streams.start(BEAMLINE, who=config.who, walltime_s=config.walltime_s or None, qos=config.qos)
    except AlsError as error:
        raise dg.Failure(f"{error.sentence}\nNext step: {error.next_step}", allow_retries=False) from error
    context.log_event(_observation(session))


@dg.job(name=f"{GROUP}_start_stream", executor_def=dg.in_process_executor, description="Starts the live reconstruction at NERSC.")
def start_stream_job() -> None:
    start_live_reconstruction()


@dg.sensor(
    name=f"{GROUP}_stream",
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Follows the live session of 8.3.2: ready, silent, nearly over, ended. Cancels what is left of ended ones.",
)
def follow_stream(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SensorResult | dg.SkipReason:
    parts = platform.platform
    events, words = [], []
    for before in parts.ledger.sessions.live(BEAMLINE):
        try:
            now = parts.streams.look(before.id)
        except AlsError as error:
            words.append(f"{before.id}: {error.sentence}")
            continue
        words.append(f"{now.id} is {now.state}. {now.sentence}")
        urgent = [word for word in ("Ends in", "Silent") if now.sentence.startswith(word) and not before.sentence.startswith(word)]
        if (now.state, now.jobs) != (before.state, before.jobs) or urgent:
            events.append(_observation(now))
    reaped = parts.streams.reap()
    if reaped:
        context.log.warning(f"Cancelled job(s) that an ended session had left: {', '.join(reaped)}.")
    if events:
        return dg.SensorResult(asset_events=events)
    return dg.SkipReason(" ".join(words) or "No live session.")


def _observation(session: ServiceSession) -> dg.AssetObservation:
    return dg.AssetObservation(
        STREAM_KEY,
        description=f"{session.id} is {session.state}. {session.sentence}",
        metadata={
            "state": session.state,
            "site": session.site,
            "started by": session.who,
            "jobs": ", ".join(job["job_id"] or "asked for" for job in session.jobs["list"]),
            "ends at": f"{session.ends_at:%Y-%m-%d %H:%M} UTC" if session.ends_at else "not known yet",
        },
    )
