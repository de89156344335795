"""The prune job and its nightly schedule: announces, proves and deletes, and says at each asset what was pruned and what remains.

Here: triggering and telling. Not here: what is due and how it is deleted (``als_assets.retention``).
"""

# Dagster reads annotations at definition time: no "from __future__ import annotations" here.
import dagster as dg

from als_assets.defs.bl832.common import PRUNER_POOL
from als_assets.defs.resources import PlatformResource
from als_assets.defs.retention.common import ZONE, asset_of, rules
from als_assets.defs.steps import may_take_over
from als_assets.ledger.acting import Actor
from als_assets.retention import prune
from als_assets.retention.space import mounted_space


class PruneConfig(dg.Config):
    """``dry_run``: only say what would be announced and deleted."""

    dry_run: bool = False


@dg.op(
    pool=PRUNER_POOL,
    description="Announces what is due, and deletes what was announced long enough ago, after proving the other copies again.",
)
def prune_copies(context: dg.OpExecutionContext, config: PruneConfig, platform: PlatformResource) -> None:
    parts = platform.platform
    retention = rules(parts)
    if not retention.enabled:
        context.log.info("Retention is switched off in the settings: nothing is deleted.")
        return
    parts.ledger.workers.register(context.run_id, None)
    actor = Actor(context.run_id, lambda other: may_take_over(context.instance, parts, other), tell=context.log.info)
    space = mounted_space(parts.facility)
    for pruned in prune(parts.facility, retention, parts.ledger, parts.transfers, actor, dry_run=config.dry_run, free_bytes=space):
        context.log.info(f"{pruned.dataset_key} {pruned.what} at {pruned.location}: {pruned.outcome}. {pruned.words}")
        asset = asset_of(parts, pruned.what, pruned.location)
        if asset is not None and pruned.outcome in ("deleted", "called off", "blocked"):
            context.log_event(dg.AssetObservation(asset, partition=pruned.dataset_key, description=pruned.words))


@dg.job(executor_def=dg.in_process_executor, description="Deletes copies by policy, with evidence. Try it first with dry_run.")
def prune_job() -> None:
    prune_copies()


prune_nightly = dg.ScheduleDefinition(
    job=prune_job, cron_schedule="30 3 * * *", execution_timezone=ZONE, default_status=dg.DefaultScheduleStatus.RUNNING
)
