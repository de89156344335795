"""``als stream``: the live reconstruction service of a beamline.

Here: start (and extend), status and stop. Not here: sessions themselves (``compute.streaming``).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from als_assets.cli.common import FacilityOption, JsonOption, WhoOption, platform_for, say
from als_assets.errors import JobError

if TYPE_CHECKING:  # the record's libraries are slow to import, and `als --help` needs none
    from als_assets.ledger.job_models import ServiceSession
    from als_assets.platform import Platform

app = typer.Typer(no_args_is_help=True, help="The live reconstruction service.")
BeamlineOption = Annotated[str, typer.Option(help="The beamline that it serves.")]


@app.command("start")
def stream_start(
    minutes: Annotated[int | None, typer.Option(help="How long it shall live (default: as the facility file says).", min=1)] = None,
    qos: Annotated[str, typer.Option(help="The QOS (default: as the facility file says).")] = "",
    extend: Annotated[bool, typer.Option("--extend", help="Queue a successor of the session that runs; it takes over when ready.")] = False,
    beamline: BeamlineOption = "bl832",
    who: WhoOption = "unknown",
    facility: FacilityOption = None,
) -> None:
    """Start a session, or extend the one that runs. There is one for each beamline."""
    parts = platform_for(facility)
    seconds = minutes * 60 if minutes else None
    if extend:
        session = parts.streams.extend(_live(parts, beamline).id, seconds)
    else:
        session = parts.streams.start(beamline, who=who, walltime_s=seconds, qos=qos)
    say(f"{session.id} at {session.site}: job {session.jobs['list'][-1]['job_id']}. See: als stream status")


@app.command("status")
def stream_status(beamline: BeamlineOption = "bl832", facility: FacilityOption = None, as_json: JsonOption = False) -> None:
    """How the session is; looks at its site now."""
    parts = platform_for(facility)
    live = parts.ledger.sessions.live(beamline)
    session = parts.streams.look(live[0].id) if live else parts.ledger.sessions.last(beamline)
    if as_json:
        say(json.dumps(None if session is None else _json(session)))
    elif session is None:
        say(f"{beamline} has had no session yet.")
    else:
        say(f"{session.id} at {session.site}, started by {session.who}: {session.state}. {session.sentence}")


@app.command("stop")
def stream_stop(beamline: BeamlineOption = "bl832", who: WhoOption = "unknown", facility: FacilityOption = None) -> None:
    """Stop the session. It has ended when the scheduler says so; the sensor sees to it."""
    parts = platform_for(facility)
    session = parts.streams.stop(_live(parts, beamline).id, why=f"{who} stopped it")
    say(f"{session.id}: {session.state}. {session.sentence}")


def _live(parts: Platform, beamline: str) -> ServiceSession:
    live = parts.ledger.sessions.live(beamline)
    if not live:
        raise JobError(f"{beamline} has no live session.", next_step="Start one: als stream start")
    return live[0]


def _json(session: ServiceSession) -> dict[str, object]:
    jobs = [{"job_id": job["job_id"], "name": job["name"]} for job in session.jobs["list"]]
    words = {"id": session.id, "site": session.site, "state": session.state, "sentence": session.sentence, "jobs": jobs}
    return {**words, "who": session.who, "ends_at": session.ends_at.isoformat() if session.ends_at else None}
