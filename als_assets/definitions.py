"""The code location: ``build_defs(facility_file)`` for tests and ``defs`` for Dagster.

Here: collecting definitions. Not here: any definition. The facility file is named by the variable ALS_FACILITY.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from als_assets.defs import catalogue as records
from als_assets.defs import health, retention
from als_assets.defs.bl832 import catalogue, jobs, raw, reconstruction, sensors, streaming
from als_assets.defs.resources import PlatformResource
from als_assets.facility.load import facility_file


def build_defs(facility: Path) -> dg.Definitions:
    """All definitions for one facility."""
    return dg.Definitions(
        assets=[
            raw.raw_on_spot832,
            raw.raw_on_data832,
            raw.raw_on_nersc,
            raw.preview,
            catalogue.scicat_record,
            reconstruction.recon_tiff,
            reconstruction.recon_zarr,
            reconstruction.recon_on_data832,
            catalogue.scicat_recon_record,
            retention.deletion_plan,
            streaming.live_reconstruction,
        ],
        jobs=[
            jobs.scan_job,
            streaming.start_stream_job,
            records.scicat_reconcile,
            *(retention.prune_job, retention.reconcile_job, retention.retire_job),
            retention.plan_job,
        ],
        asset_checks=retention.CHECKS,
        sensors=[
            sensors.new_scans,
            sensors.held_reconstructions,
            streaming.follow_stream,
            health.site_health,
            health.watchdog,
            health.reaper,
            records.scicat_outbox,
        ],
        schedules=[*retention.SCHEDULES, records.reconcile_weekly],
        executor=dg.in_process_executor,  # also for what staff launch from an asset's page
        resources={"platform": PlatformResource(facility_file=str(facility))},
    )


defs = build_defs(facility_file())
