"""Reconciling in Dagster: record against disks, both ways, as asset checks of each scan and one for files that belong to none.

Here: showing what was found, and a check of one scan on demand. Not here: the comparison (``als_assets.retention``). Nothing is
repaired: each finding carries the sentence and the command for a person.
"""

# Dagster reads annotations at definition time: no "from __future__ import annotations" here.
import warnings

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from als_assets.defs.bl832.common import BEAMLINE, SCANS
from als_assets.defs.resources import PlatformResource
from als_assets.defs.retention.common import ZONE, asset_of
from als_assets.errors import AlsError
from als_assets.ledger import Replica, ReplicaState
from als_assets.platform import Platform
from als_assets.retention.reconcile import Report, compare, reconcile

CHECK = "copy_is_there"
DARK = "no_file_is_unknown"
CHECKED = ("raw_on_data832", "raw_on_nersc", "recon_on_data832")
SHOWN_FINDINGS = 20
# So far back red checks are looked for.
LAST_CHECKS = 1000


def _check_of(asset: str) -> dg.AssetChecksDefinition:
    with warnings.catch_warnings():
        # Checks by partition are a preview of Dagster 1.13: should they change, the reconcile job still logs every finding.
        warnings.simplefilter("ignore", category=dg.PreviewWarning)

        @dg.asset_check(asset=asset, name=CHECK, partitions_def=SCANS, description="What is on record as verified is really there.")
        def check(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
            return check_copies(platform.platform, context.partition_key, asset)

    return check


def check_copies(parts: Platform, key: str, asset: str) -> dg.AssetCheckResult:
    """Every verified copy of a scan that an asset stands for, against what lies there. What cannot be looked at is red too."""
    copies = [c for c in parts.ledger.replicas.of(key, state=ReplicaState.VERIFIED) if asset_of(parts, c.product, c.location) == asset]
    wrong = [words for copy in copies if (words := _wrong(parts, copy))]
    words = " ".join(wrong) or ("Files and sizes are as proven." if copies else "No copy is on record as verified here.")
    return dg.AssetCheckResult(passed=not wrong, severity=dg.AssetCheckSeverity.ERROR, description=words)


def _wrong(parts: Platform, copy: Replica) -> str:
    try:
        finding = compare(parts.transfers, copy)
    except AlsError as error:
        return f"{copy.name} could not be looked at: {error.sentence}"
    return "" if finding is None else finding.words


@dg.asset_check(asset="deletion_plan", name=DARK, description="Every file at every location belongs to a scan on record.")
def no_file_is_unknown(platform: PlatformResource) -> dg.AssetCheckResult:
    parts = platform.platform
    report = reconcile(parts.facility, parts.ledger, parts.transfers, BEAMLINE)
    return _dark_result(report)


def _dark_result(report: Report) -> dg.AssetCheckResult:
    dark = [f for f in report.findings if f.dataset_key is None]
    unseen = [f"{name} could not be looked at: {why}" for name, why in report.unseen.items()]
    words = [f"{f.words} `{f.command}`" for f in dark[:SHOWN_FINDINGS]] + unseen
    return dg.AssetCheckResult(
        passed=not dark and not unseen,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(dark)} file(s) do not belong to any scan on record." if words else "Every file belongs to a scan on record.",
        metadata={"files": report.files, "copies": report.copies, "findings": dg.MetadataValue.md("\n\n".join(words) or "none")},
    )


CHECKS = [*(_check_of(asset) for asset in CHECKED), no_file_is_unknown]


@dg.op(description="Compares record and disks both ways. Reports what does not fit at the scans' assets; repairs nothing.")
def compare_with_record(context: dg.OpExecutionContext, platform: PlatformResource) -> None:
    parts = platform.platform
    report = reconcile(parts.facility, parts.ledger, parts.transfers, BEAMLINE)
    for name, why in report.unseen.items():
        context.log.warning(f"{name} could not be looked at: {why}")
    for finding in report.findings:
        context.log.warning(f"{finding.kind}: {finding.words} {finding.command}")
    wrong = _by_asset(parts, report)
    for (asset, key), words in wrong.items():
        context.log_event(dg.AssetObservation(asset, partition=key, description=words))
        if asset in CHECKED:
            _evaluated(context, dg.AssetCheckEvaluation(dg.AssetKey(asset), CHECK, False, description=words, partition=key))
    for asset, key in _red_before(context.instance) - wrong.keys():
        result = check_copies(parts, key, asset)  # so that no red outlives its reason
        words = str(result.description)
        _evaluated(context, dg.AssetCheckEvaluation(dg.AssetKey(asset), CHECK, result.passed, description=words, partition=key))
    result = _dark_result(report)
    plan = dg.AssetKey("deletion_plan")
    _evaluated(
        context,
        dg.AssetCheckEvaluation(plan, DARK, result.passed, result.metadata, severity=result.severity, description=result.description),
    )
    context.log.info(f"{report.copies} copies and {report.files} files compared, {len(report.findings)} do not fit.")


def _evaluated(context: dg.OpExecutionContext, evaluation: dg.AssetCheckEvaluation) -> None:
    """As part of this run: outside of any run Dagster keeps only one evaluation of a check and partition, and refuses the next."""
    context.log_event(evaluation)  # type: ignore[arg-type]  # its annotation forgets them


def _by_asset(parts: Platform, report: Report) -> dict[tuple[str, str], str]:
    """Asset and scan -> everything that does not fit there: a run may evaluate a check of a scan only once."""
    found: dict[tuple[str, str], list[str]] = {}
    for finding in report.findings:
        copy = parts.ledger.replicas.at(finding.location, finding.path)
        asset = asset_of(parts, copy.product, finding.location) if copy is not None else None
        if asset is not None and finding.dataset_key is not None:
            found.setdefault((asset, finding.dataset_key), []).append(f"{finding.words} {finding.command}")
    return {where: " ".join(words) for where, words in found.items()}


def _red_before(instance: dg.DagsterInstance) -> set[tuple[str, str]]:
    """Assets and scans whose last check was red."""
    red = set()
    for asset in CHECKED:
        newest: dict[str, bool] = {}
        check = dg.AssetCheckKey(dg.AssetKey(asset), CHECK)
        for row in instance.event_log_storage.get_asset_check_execution_history(check, limit=LAST_CHECKS):
            newest.setdefault(str(row.partition), row.status is AssetCheckExecutionRecordStatus.FAILED)
        red |= {(asset, key) for key, is_red in newest.items() if is_red}
    return red


@dg.job(executor_def=dg.in_process_executor, description="Dark files, lost copies, scans never registered: found and told, not repaired.")
def reconcile_job() -> None:
    compare_with_record()


reconcile_weekly = dg.ScheduleDefinition(
    job=reconcile_job, cron_schedule="15 5 * * 1", execution_timezone=ZONE, default_status=dg.DefaultScheduleStatus.RUNNING
)
