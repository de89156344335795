"""The deletion plan as an asset: what goes in the next 14 days, and what is due but kept, as a table.

Here: showing. Not here: the plan itself (``als_assets.retention``).
"""

# Dagster reads annotations at definition time: no "from __future__ import annotations" here.
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from als_assets.defs.bl832.common import GROUP, OWNERS
from als_assets.defs.resources import PlatformResource
from als_assets.defs.retention.common import ZONE, rules
from als_assets.retention import PlanLine, current_plan
from als_assets.retention.space import mounted_space
from als_assets.words import size_words

HORIZON = timedelta(days=14)
# Metadata is stored twice with every materialisation: the whole plan is a command away (als prune plan).
SHOWN_LINES = 25


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"table"},
    description="What will be deleted in the next 14 days and why, and what keeps the rest. Nothing is deleted by looking at it.",
)
def deletion_plan(platform: PlatformResource) -> dg.MaterializeResult[Any]:
    parts = platform.platform
    retention, now = rules(parts), parts.ledger.clock()
    lines = current_plan(parts.facility, retention, parts.ledger, mounted_space(parts.facility))
    soon = [line for line in lines if line.due <= now + HORIZON]
    due = [line for line in soon if line.ready(now) or line.waits_for_proof(now)]
    return dg.MaterializeResult(
        metadata={
            "plan": dg.MetadataValue.md(as_markdown(soon, now)),
            "retention": "on" if retention.enabled else "OFF: nothing is deleted",
            "copies in the plan": len(lines),
            "in the next 14 days": len([line for line in soon if not line.kept_because or line.stale]),
            "due now": len(due),
            "bytes due now": size_words(sum(line.size_bytes for line in due)),
            "kept though old enough": len([line for line in soon if line.kept_because and not line.stale and line.due <= now]),
        }
    )


def as_markdown(lines: Sequence[PlanLine], now: datetime) -> str:
    """A table of the first lines. Nothing that a file name may hold can end a cell."""
    if not lines:
        return "Nothing is planned for the next 14 days."
    rows = ["| goes (UTC) | scan | what | where | size | why |", "|---|---|---|---|---|---|"]
    rows += ["| " + " | ".join(_safe(cell) for cell in _cells(line, now)) + " |" for line in lines[:SHOWN_LINES]]
    rest = len(lines) - SHOWN_LINES
    return "\n".join(rows) + (f"\n\nand {rest} more: `als prune plan`" if rest > 0 else "")


def _cells(line: PlanLine, now: datetime) -> list[str]:
    goes = "now" if line.due <= now else f"{line.due:%Y-%m-%d %H:%M}"
    when = "kept" if line.kept_because and not line.waits_for_proof(now) else goes
    return [when, line.dataset_key, line.what, line.location, size_words(line.size_bytes), line.kept_because or line.why]


def _safe(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


plan_job = dg.define_asset_job(
    "deletion_plan_job", selection=dg.AssetSelection.assets("deletion_plan"), executor_def=dg.in_process_executor
)
plan_hourly = dg.ScheduleDefinition(
    job=plan_job, cron_schedule="5 * * * *", execution_timezone=ZONE, default_status=dg.DefaultScheduleStatus.RUNNING
)
