"""SciCat in the background: the sensor that brings what waits in the outbox and follows the copies, and the job that compares both sides.

Here: triggering and showing. Not here: the outbox (``ledger.outbox``), the delivery, the lifecycle and the comparison (``catalogue``).
"""

# Dagster reads annotations at definition time: no "from __future__ import annotations" here.

import dagster as dg

from als_assets.catalogue.delivery import Delivery, Fate, outside_actor
from als_assets.catalogue.follow import follow_copies
from als_assets.defs.bl832.catalogue import delivery_metadata
from als_assets.defs.bl832.common import BEAMLINE
from als_assets.defs.evidence import Metadata, failure_metadata
from als_assets.defs.resources import PlatformResource
from als_assets.errors import AlsError, ConfigError, ServiceUnreachable
from als_assets.ledger import OutboxKind
from als_assets.platform import Platform

# The assets that stand for a beamline's records.
ASSETS = {BEAMLINE: {OutboxKind.RAW: "scicat_record", OutboxKind.DERIVED: "scicat_recon_record"}}


@dg.sensor(
    name="scicat_outbox",
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes to SciCat what waited while it was down, and tells it where the copies of each record are.",
)
def scicat_outbox(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SensorResult:
    parts = platform.platform
    cursor = context.cursor or ""
    since = int(cursor) if cursor.isdecimal() else 0  # anything else was written by an older version
    _, newest = follow_copies(parts.facility, parts.ledger, parts.gate, since)
    delivered = parts.deliveries.drain(outside_actor(parts.ledger, context.log.info))
    events = [event for delivery in delivered if (event := _observation(parts, delivery)) is not None]
    return dg.SensorResult(skip_reason=_words(parts, delivered), asset_events=events, cursor=str(newest))


def _observation(parts: Platform, delivery: Delivery) -> dg.AssetObservation | None:
    """What staff see on the record's asset once it is written, or refused."""
    asset = _asset_of(parts, delivery)
    if asset is None or delivery.fate is Fate.WAITING:
        return None
    dataset = parts.ledger.datasets.get(delivery.row.dataset_key)
    metadata: Metadata
    if delivery.error is not None:
        metadata = failure_metadata(parts.facility, dataset.key, delivery.error)
    else:
        metadata = delivery_metadata(parts, dataset, delivery)
    return dg.AssetObservation(asset, partition=dataset.key, description=f"SciCat: {delivery.sentence}", metadata=metadata)


def _asset_of(parts: Platform, delivery: Delivery) -> str | None:
    row = delivery.row
    assets = ASSETS.get(parts.ledger.datasets.get(row.dataset_key).beamline, {})
    if row.kind is not OutboxKind.LIFECYCLE:
        return assets.get(row.kind)
    raw = parts.ledger.outbox.newest(row.pid, OutboxKind.RAW)
    return assets.get(OutboxKind.RAW if raw is not None else OutboxKind.DERIVED)


def _words(parts: Platform, delivered: list[Delivery]) -> str:
    written = sum(1 for d in delivered if d.fate is Fate.WRITTEN)
    waiting, refused, why = parts.ledger.outbox.summary()
    words = [f"{written} written, {waiting} waiting for SciCat, {refused} refused.", why, *_missing(parts)]
    return " ".join(word for word in words if word)


def _missing(parts: Platform) -> list[str]:
    """The start-up check: what our accounts may not do there. While SciCat is down there is nothing to be said."""
    try:
        return [f"Missing: {problem.rstrip('.')}." for problem in parts.deliveries.missing_rights]
    except (ServiceUnreachable, ConfigError):
        return []


class ReconcileConfig(dg.Config):
    """``apply``: also write what is missing or wrong in SciCat."""

    apply: bool = False


@dg.op(description="Compares the record of scans with SciCat, both ways. With apply it writes what is missing or wrong there.")
def reconcile(context: dg.OpExecutionContext, config: ReconcileConfig, platform: PlatformResource) -> None:
    parts = platform.platform
    try:
        reconciler = parts.reconciler()
        findings = reconciler.findings()
        if config.apply:
            for words in reconciler.repair(findings, outside_actor(parts.ledger, context.log.info)):
                context.log.info(words)
            findings = reconciler.findings()
    except AlsError as error:
        raise dg.Failure(f"{error.sentence}\nNext step: {error.next_step}", allow_retries=False) from error
    for finding in findings:
        context.log.warning(f"{finding.kind}: {finding.sentence}")
    if findings:
        raise dg.Failure(
            f"SciCat and the record of scans differ in {len(findings)} places; they are listed in this run's log.\n"
            "Next step: run this job with apply, or: als scicat reconcile --apply",
            allow_retries=False,
        )


@dg.job(executor_def=dg.in_process_executor, description="Does SciCat hold what the record of scans says, and nothing else?")
def scicat_reconcile() -> None:
    reconcile()


reconcile_weekly = dg.ScheduleDefinition(
    job=scicat_reconcile,
    cron_schedule="30 4 * * 1",
    execution_timezone="America/Los_Angeles",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
