"""Health of runs and sites: dead runs are noticed, what a terminated run left behind is cancelled, and sites are asked how they are.

Here: three sensors. Not here: leases (``ledger.workers``) and what a site's state means for a scan (``compute.routing``). Dagster
never notices that a host lost power: such a run stays STARTED for ever and nothing retries it. Reporting it failed hands it to
Dagster's own run retries, which re-execute it from failure.
"""

# Dagster reads annotations at definition time: no "from __future__ import annotations" here.
import json
from datetime import UTC, datetime, timedelta

import dagster as dg

from als_assets.compute.sites import expiry_stage, expiry_warning
from als_assets.defs.bl832.jobs import SCAN_ASSET_KEYS, scan_job
from als_assets.defs.resources import PlatformResource
from als_assets.defs.steps import cancel_work_of
from als_assets.errors import AlsError
from als_assets.ledger.workers import Life
from als_assets.platform import Platform

_LIVE = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
# A run process takes seconds to come to its first step; one that has not after this long never will.
BEGIN_LIMIT = timedelta(minutes=5)


# Dagster launches a retry within seconds, or never: of two runs that fail in the same instant it can overlook one.
FORGOTTEN = timedelta(seconds=30)


@dg.sensor(
    name="watchdog",
    job=scan_job,
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reports runs failed whose process is gone (power cut, kill), and sees to it that promised retries happen.",
)
def watchdog(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SkipReason | dg.SensorResult:
    dead = 0
    for record in context.instance.get_run_records(dg.RunsFilter(statuses=_LIVE), limit=500):
        run = record.dagster_run
        life = platform.platform.ledger.workers.life_of(run.run_id)
        began = datetime.fromtimestamp(record.start_time or record.create_timestamp.timestamp(), UTC)
        never_began = life is Life.UNKNOWN and datetime.now(UTC) - began > BEGIN_LIMIT
        if life is Life.GONE or never_began:
            dead += 1
            _bury(context, run)
    forgotten = _forgotten_retries(context.instance)
    if forgotten:
        return dg.SensorResult(run_requests=forgotten)
    return dg.SkipReason(f"{dead} run(s) found dead." if dead else "All runs are alive.")


def _forgotten_retries(instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    """What Dagster said it would retry (its tag ``will_retry``) and did not. The run key keeps this from happening twice."""
    now = datetime.now(UTC)
    promised = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.FAILURE], tags={"dagster/will_retry": "true"}, updated_after=now - timedelta(days=1)
    )
    requests = []
    for record in instance.get_run_records(promised, limit=200):
        run = record.dagster_run
        settled = now - record.update_timestamp.replace(tzinfo=UTC) > FORGOTTEN
        children = instance.get_runs(dg.RunsFilter(tags={"dagster/parent_run_id": run.run_id}), limit=1)
        if settled and not children and "dagster/partition" in run.tags:
            requests.append(_retry_of(instance, run))
    return requests


def _retry_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.RunRequest:
    """The same run without the steps that it finished."""
    done = {stats.step_key for stats in instance.get_run_step_stats(run.run_id) if str(stats.status).endswith("SUCCESS")}
    left = [key for key in (run.asset_selection or SCAN_ASSET_KEYS) if key.path[-1] not in done]
    names = {key.path[-1] for key in left}
    ops = {name: config for name, config in dict(run.run_config).get("ops", {}).items() if name in names}  # type: ignore[attr-defined]
    kept = {name: value for name, value in run.tags.items() if name.startswith("als/")}
    number = int(run.tags.get("dagster/retry_number", "0")) + 1
    lineage = {"dagster/parent_run_id": run.run_id, "dagster/root_run_id": run.root_run_id or run.run_id}
    return dg.RunRequest(
        run_key=f"retry of {run.run_id}",
        partition_key=run.tags["dagster/partition"],
        asset_selection=left,
        run_config={"ops": ops} if ops else {},
        tags={**kept, **lineage, "dagster/retry_number": str(number)},
    )


def _bury(context: dg.SensorEvaluationContext, run: dg.DagsterRun) -> None:
    if run.status is dg.DagsterRunStatus.CANCELING:
        context.instance.report_run_canceled(run, message="Its process was gone before it could say that it stopped.")
        return
    context.instance.report_run_failed(run, message="Its process is gone (power cut, restart or kill). It is retried from failure.")
    context.log.warning(f"Run {run.run_id} was reported failed: its process is gone.")


@dg.sensor(
    name="reaper",
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Cancels remote work that a terminated run left behind because its process never heard of the termination.",
)
def reaper(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SkipReason:
    parts = platform.platform
    holders = {o.holder for o in parts.ledger.operations.open_ones() if o.holder}
    reaped = 0
    for holder in holders:
        run = context.instance.get_run_by_id(holder)
        if run is not None and run.status is dg.DagsterRunStatus.CANCELED:
            reaped += _reap(context, parts, holder)
    return dg.SkipReason(f"Cancelled what {reaped} terminated run(s) left behind." if reaped else "Nothing was left behind.")


def _reap(context: dg.SensorEvaluationContext, parts: Platform, holder: str) -> int:
    try:
        cancel_work_of(parts, holder, context.log.info)
    except AlsError as error:
        context.log.warning(f"Not cancelled yet: {error.sentence} {error.next_step}")
        return 0
    return 1


@dg.sensor(
    name="site_health",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks every site how it is and when our credential there ends; warns 7 days, 2 days and 6 hours before.",
)
def site_health(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SkipReason:
    parts = platform.platform
    told: dict[str, int] = json.loads(context.cursor or "{}")
    words = []
    for state in parts.sites.ask_due():
        title = parts.facility.sites[state.site].title
        warning = expiry_warning(title, state.credential_ends, parts.ledger.clock())
        words += [state.sentence, *([warning] if warning else [])]
        urgency = expiry_stage(state.credential_ends, parts.ledger.clock())
        if urgency > told.get(state.site, 0):
            context.log.warning(warning)
            parts.ledger.audit.note(f"credential of {state.site}", why=warning)
        told[state.site] = urgency
        if not state.ok:
            context.log.warning(f"{title}: {state.sentence}")
    context.update_cursor(json.dumps(told))
    return dg.SkipReason(" ".join(words) or "Every site was asked a moment ago.")
