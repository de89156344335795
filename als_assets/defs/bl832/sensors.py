"""The new-scan sensor of 8.3.2: finds files, admits them, and launches their runs, never twice.

Here: one tick, thin over ``intake``. Not here: what makes a file a scan, and what is done with one. Correctness comes from the record:
a tick may be killed anywhere and repeated, and files that arrived while nothing ran are found by the next one.
"""

# Dagster reads annotations at definition time: no "from __future__ import annotations" here.
from typing import Any

import dagster as dg

from als_assets.defs.bl832.common import BEAMLINE, SCANS
from als_assets.defs.bl832.jobs import scan_job
from als_assets.defs.resources import PlatformResource
from als_assets.facility import Release
from als_assets.facility.settings import Settings
from als_assets.intake import decide
from als_assets.ledger import Dataset
from als_assets.platform import Platform
from als_assets.words import size_words

# More run requests in one tick would block the daemon for long (0.3 s each).
RUNS_A_TICK = 20


@dg.sensor(
    name="bl832_new_scans",
    job=scan_job,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Finds new scan files at spot832, waits until they are complete, and starts their runs.",
)
def new_scans(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SensorResult | dg.SkipReason:
    parts = platform.platform
    loaded = parts.settings(BEAMLINE)
    if loaded.problem is not None:
        context.log.warning(f"The last good settings stay in force. {loaded.problem.sentence}")
    admitted, refused = parts.intake(BEAMLINE).look(loaded.settings, RUNS_A_TICK)
    for refusal in refused:
        if not refusal.waiting:
            context.log.warning(f"{refusal.path}: {refusal.error.sentence} {refusal.error.next_step}")
    waiting = parts.ledger.datasets.not_started(BEAMLINE, RUNS_A_TICK)
    if not waiting:
        still = sum(1 for refusal in refused if refusal.waiting)
        return dg.SkipReason(f"No new scan; {still} file(s) still being written, {len(refused) - still} refused.")
    requests = [_request(parts, dataset, loaded.settings) for dataset in waiting]
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[SCANS.build_add_request([d.key for d in waiting])],
        asset_events=[_noticed(parts, dataset) for dataset in admitted],
    )


def _request(parts: Platform, dataset: Dataset, settings: Settings) -> dg.RunRequest:
    release = Release(dataset.may_leave, dataset.release_reason)
    decision = decide(parts.facility, BEAMLINE, settings, release)
    subject = f"dispatch of {dataset.key}"
    if not any(row.subject == subject for row in parts.ledger.audit.of(dataset.key)):
        why = f"site: {decision.site or 'none'}"
        parts.ledger.audit.note(subject, why=why, dataset_key=dataset.key, evidence=dict(decision.reasons))
    config: dict[str, Any] = {"ops": {"recon_tiff": {"config": {"site": decision.site}}}} if decision.site else {}
    return dg.RunRequest(
        run_key=f"{dataset.key}:first",
        partition_key=dataset.key,
        asset_selection=[dg.AssetKey(name) for name in decision.assets],
        run_config=config,
        tags=_tags(dataset, decision.site),
    )


def _tags(dataset: Dataset, site: str) -> dict[str, str]:
    tags = {"als/scan": dataset.key, "als/beamline": BEAMLINE, "als/proposal": dataset.proposal or "unknown"}
    return {**tags, "als/site": site} if site else tags


def _noticed(parts: Platform, dataset: Dataset) -> dg.AssetObservation:
    location = parts.facility.beamlines[BEAMLINE].acquisition
    return dg.AssetObservation(
        "raw_on_spot832",
        partition=dataset.key,
        description=f"{dataset.file_name} is complete ({size_words(dataset.size_bytes)}).",
        metadata={
            "path": f"{location}: {dataset.raw_path}",
            "size": size_words(dataset.size_bytes),
            "proposal": dataset.proposal or "unknown",
            "may leave the ALS": f"{'yes' if dataset.may_leave else 'no'}: {dataset.release_reason}",
            **{name: str(value) for name, value in dataset.facts.items() if name in ("projections", "rows", "columns")},
        },
    )
