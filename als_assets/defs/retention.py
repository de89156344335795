"""Retention in Dagster: the deletion plan as an asset with a table, and the prune job with its schedule.

Here: showing and triggering. Not here: the rules and the deletions (``retention``).
"""

# Dagster reads annotations at definition time: no "from __future__ import annotations" here.
from typing import Any

import dagster as dg

from als_assets.defs.bl832.common import BEAMLINE, GROUP, OWNERS, PRUNER_POOL
from als_assets.defs.resources import PlatformResource
from als_assets.defs.steps import may_take_over
from als_assets.ledger.acting import Actor
from als_assets.platform import Platform
from als_assets.retention import PlanLine, Pruned, current_plan, prune
from als_assets.words import size_words

_SHOWN_LINES = 25


class PruneConfig(dg.Config):
    """``dry_run``: only say what would be deleted."""

    dry_run: bool = False


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"table"},
    description="What will be deleted and when, and what keeps the rest. Nothing is deleted by looking at it.",
)
def deletion_plan(platform: PlatformResource) -> dg.MaterializeResult[Any]:
    parts = platform.platform
    lines = current_plan(parts.facility, parts.settings(BEAMLINE).settings.retention, parts.ledger)
    due = [line for line in lines if line.ready(parts.ledger.clock())]
    return dg.MaterializeResult(
        metadata={
            "plan": dg.MetadataValue.table([_record(line) for line in lines[:_SHOWN_LINES]] or [_EMPTY]),
            "copies in the plan": len(lines),
            "due now": len(due),
            "bytes due now": size_words(sum(line.size_bytes for line in due)),
        }
    )


_EMPTY = dg.TableRecord({"scan": "-", "what": "-", "where": "-", "size": "-", "goes": "nothing is planned"})


def _record(line: PlanLine) -> dg.TableRecord:
    goes = line.kept_because or (f"{line.due:%Y-%m-%d %H:%M} UTC" if line.due else "never")
    size = size_words(line.size_bytes)
    return dg.TableRecord({"scan": line.dataset_key, "what": line.what, "where": line.location, "size": size, "goes": goes})


@dg.op(
    pool=PRUNER_POOL,
    description="Announces what is due, and deletes what was announced long enough ago, after looking at the other copies again.",
)
def prune_copies(context: dg.OpExecutionContext, config: PruneConfig, platform: PlatformResource) -> None:
    parts = platform.platform
    retention = parts.settings(BEAMLINE).settings.retention
    if not retention.enabled:
        context.log.info("Retention is switched off in the settings: nothing is deleted.")
        return
    parts.ledger.workers.register(context.run_id, None)
    actor = Actor(context.run_id, lambda other: may_take_over(context.instance, parts, other), tell=context.log.info)
    for pruned in prune(parts.facility, retention, parts.ledger, parts.transfers, actor, dry_run=config.dry_run):
        context.log.info(f"{pruned.dataset_key} {pruned.what} at {pruned.location}: {pruned.outcome}. {pruned.words}")
        asset = _asset_of(parts, pruned)
        if asset is not None and pruned.outcome == "deleted":
            context.log_event(dg.AssetObservation(asset, partition=pruned.dataset_key, description=pruned.words))


def _asset_of(parts: Platform, pruned: Pruned) -> str | None:
    """The asset that stands for the copy, so that staff see there that it was pruned."""
    setup = parts.facility.beamlines[BEAMLINE]
    table = {("raw", setup.raw): "raw_on_data832", ("raw", setup.raw_remote): "raw_on_nersc", ("raw", setup.acquisition): "raw_on_spot832"}
    if pruned.what in ("recon_tiff", "recon_zarr"):
        return "recon_on_data832" if pruned.location == setup.results else pruned.what
    return table.get((pruned.what, pruned.location))


@dg.job(executor_def=dg.in_process_executor, description="Deletes copies by policy, with evidence. Try it first with dry_run.")
def prune_job() -> None:
    prune_copies()


plan_job = dg.define_asset_job(
    "deletion_plan_job", selection=dg.AssetSelection.assets("deletion_plan"), executor_def=dg.in_process_executor
)

prune_nightly = dg.ScheduleDefinition(
    job=prune_job, cron_schedule="30 3 * * *", execution_timezone="America/Los_Angeles", default_status=dg.DefaultScheduleStatus.RUNNING
)
plan_hourly = dg.ScheduleDefinition(
    job=plan_job, cron_schedule="5 * * * *", execution_timezone="America/Los_Angeles", default_status=dg.DefaultScheduleStatus.RUNNING
)
