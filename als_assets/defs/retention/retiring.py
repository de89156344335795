"""Retiring in Dagster: old scans without anything left to delete leave the partitions, and their runs are deleted.

Here: taking them out. Not here: which ones (``als_assets.retention``). The record and the board keep all; adding the key again as a
partition brings the scan back. First the record, then Dagster: a job that is killed in between is finished by the next one.
"""

# Dagster reads annotations at definition time: no "from __future__ import annotations" here.
from datetime import timedelta

import dagster as dg

from als_assets.defs.bl832.common import BEAMLINE, SCANS
from als_assets.defs.resources import PlatformResource
from als_assets.defs.retention.common import ZONE, rules
from als_assets.retention.retire import retired_since, to_retire

# A job that was killed after the record and before Dagster is finished by one of the next.
UNFINISHED = timedelta(days=14)
_DONE = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dg.op(description="Takes retired scans out of Dagster: their partition keys and their old runs. The record keeps them.")
def retire_scans(context: dg.OpExecutionContext, platform: PlatformResource) -> None:
    parts = platform.platform
    retention = rules(parts)
    for key in to_retire(parts.facility, retention, parts.ledger, BEAMLINE, parts.ledger.clock()):
        parts.ledger.datasets.retire(key, why=f"older than {retention.retire_after_days:g} days, and nothing is left to delete")
    name = str(SCANS.name)
    # Not older ones: somebody may have brought such a scan back.
    recent = retired_since(parts.ledger, BEAMLINE, parts.ledger.clock() - UNFINISHED)
    shown = context.instance.get_existing_dynamic_partitions(name, recent)
    for key in sorted(shown):
        runs = context.instance.get_runs(dg.RunsFilter(tags={"dagster/partition": key}, statuses=_DONE))
        for run in runs:
            context.instance.delete_run(run.run_id)
        context.instance.delete_dynamic_partition(name, key)
        context.log.info(f"{key} is retired: {len(runs)} run(s) deleted. Everything about it: als scan show {key}")


@dg.job(executor_def=dg.in_process_executor, description="Old scans leave Dagster's lists; the record and the board keep them.")
def retire_job() -> None:
    retire_scans()


retire_weekly = dg.ScheduleDefinition(
    job=retire_job, cron_schedule="45 5 * * 1", execution_timezone=ZONE, default_status=dg.DefaultScheduleStatus.RUNNING
)
