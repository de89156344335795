"""The new-scan sensor of 8.3.2: finds files, admits them, and launches their runs, never twice.

Here: one tick, thin over ``intake``. Not here: what makes a file a scan, and what is done with one. Correctness comes from the record:
a tick may be killed anywhere and repeated, and files that arrived while nothing ran are found by the next one.
"""

# Dagster reads annotations at definition time: no "from __future__ import annotations" here.
import dagster as dg

from als_assets.compute.sites import Knowledge
from als_assets.defs.bl832.common import BEAMLINE, SCANS
from als_assets.defs.bl832.jobs import scan_job
from als_assets.defs.resources import PlatformResource
from als_assets.facility import Release
from als_assets.facility.settings import Settings
from als_assets.intake import Decision, decide
from als_assets.ledger import Dataset, ReplicaState
from als_assets.ledger.job_models import Waiting
from als_assets.ledger.products import RAW
from als_assets.platform import Platform
from als_assets.words import size_words

# More run requests in one tick would block the daemon for long (0.3 s each).
RUNS_A_TICK = 20
# What waits for a site; everything else of a scan never does.
HELD_ASSETS = ("recon_tiff", "recon_zarr", "recon_on_data832", "scicat_recon_record")


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
    knowledge = parts.sites.knowledge()
    requests = [_request(parts, dataset, loaded.settings, knowledge) for dataset in waiting]
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[SCANS.build_add_request([d.key for d in waiting])],
        asset_events=[_noticed(parts, dataset) for dataset in admitted],
    )


@dg.sensor(
    name="bl832_held_reconstructions",
    job=scan_job,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts reconstructions that were held because no site could take them, as soon as one can.",
)
def held_reconstructions(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SensorResult | dg.SkipReason:
    parts = platform.platform
    settings, knowledge = parts.settings(BEAMLINE).settings, parts.sites.knowledge()
    requests, still = [], []
    for held in parts.ledger.placing.waiting():
        request, why = _release(parts, held, settings, knowledge)
        if request is not None:
            requests.append(request)
        elif why:
            still.append(why)
        if len(requests) == RUNS_A_TICK:
            break
    if requests:
        return dg.SensorResult(run_requests=requests)
    return dg.SkipReason(f"{len(still)} reconstruction(s) held. {'; '.join(still[:3])}" if still else "No reconstruction is held.")


def _release(parts: Platform, held: Waiting, settings: Settings, knowledge: Knowledge) -> tuple[dg.RunRequest | None, str]:
    """The run of a held reconstruction if a site takes it now; else why it is still held (empty: it is not wanted any more)."""
    dataset = parts.ledger.datasets.get(held.dataset_key)
    decision = _decided(parts, dataset, settings, knowledge)
    if decision.held:
        parts.ledger.placing.hold(dataset.key, decision.held, decision.until)
        return None, f"{dataset.key}: {decision.held}{_until(decision)}"
    assets = [name for name in decision.assets if name in HELD_ASSETS]
    if not decision.site:
        parts.ledger.placing.release(dataset.key, "reconstruction was switched off in the settings")
        return None, ""
    raw = parts.ledger.replicas.of(dataset.key, product=RAW, location=parts.facility.beamlines[BEAMLINE].raw, state=ReplicaState.VERIFIED)
    if not raw:
        return None, f"{dataset.key}: its first safe copy is not there yet"
    parts.ledger.placing.release(dataset.key, f"launched at {decision.site}: {decision.reasons['site']}")
    request = dg.RunRequest(
        run_key=f"{dataset.key}:held since {held.since.isoformat()}",
        partition_key=dataset.key,
        asset_selection=[dg.AssetKey(name) for name in assets],
        tags=_tags(dataset, decision),
    )
    return request, ""


def _until(decision: Decision) -> str:
    return f" (held until {decision.until:%Y-%m-%d %H:%M} UTC)" if decision.until else ""


def _decided(parts: Platform, dataset: Dataset, settings: Settings, knowledge: Knowledge) -> Decision:
    release = Release(dataset.may_leave, dataset.release_reason)
    pin = parts.ledger.placing.pin_of(dataset.key)
    return decide(parts.facility, BEAMLINE, settings, release, knowledge, pin.site if pin else "")


def _request(parts: Platform, dataset: Dataset, settings: Settings, knowledge: Knowledge) -> dg.RunRequest:
    decision = _decided(parts, dataset, settings, knowledge)
    if decision.held:
        parts.ledger.placing.hold(dataset.key, decision.held, decision.until)
    subject = f"dispatch of {dataset.key}"
    if not any(row.subject == subject for row in parts.ledger.audit.of(dataset.key)):
        why = f"site: {decision.site or 'none'}{f', held: {decision.held}{_until(decision)}' if decision.held else ''}"
        parts.ledger.audit.note(subject, why=why, dataset_key=dataset.key, evidence=dict(decision.reasons))
    return dg.RunRequest(
        run_key=f"{dataset.key}:first",
        partition_key=dataset.key,
        asset_selection=[dg.AssetKey(name) for name in decision.assets],
        tags=_tags(dataset, decision),
    )


def _tags(dataset: Dataset, decision: Decision) -> dict[str, str]:
    """What the runs list shows. The run decides anew when it comes to the reconstruction: a site may have gone down meanwhile."""
    tags = {"als/scan": dataset.key, "als/beamline": BEAMLINE, "als/proposal": dataset.proposal or "unknown"}
    if decision.held:
        return {**tags, "als/held": f"{decision.held}{_until(decision)}"[:500]}
    return {**tags, "als/site": decision.site} if decision.site else tags


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
