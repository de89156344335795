"""Service sessions at the simulated NERSC: a real service on a real port, also in the processes of ``doomed``. Here: makers only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from als_assets.compute.streaming import script as service_script
from als_assets.compute.streaming.service import StreamService
from als_assets.facility.compute import Streaming

BEAT_S = 0.1  # heartbeats of a service, which is ready at one of them


def service_at(platform: Any, command: list[str], port: int, output: Path | str) -> StreamService:
    """A service whose sessions run ``command``, which listens on ``port``, at NERSC."""
    service_script.BEAT_S = BEAT_S
    stream = Streaming(beamline="bl832", image="none", command=command, container="none", port=port, output=Path(output), gpus=0)
    facility = platform.facility
    compute = facility.sites["nersc"].compute.model_copy(update={"streaming": stream})
    nersc = facility.sites["nersc"].model_copy(update={"compute": compute})
    changed = facility.model_copy(update={"sites": {**facility.sites, "nersc": nersc}})
    return StreamService(changed, platform.ledger, platform.transports)
