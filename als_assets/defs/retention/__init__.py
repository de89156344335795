"""Retention in Dagster: the deletion plan, pruning, reconciling and retiring.

Here: one module for each. Not here: the rules and the deletions (``als_assets.retention``).
"""

from als_assets.defs.retention.plan import deletion_plan, plan_hourly, plan_job
from als_assets.defs.retention.pruning import PruneConfig, prune_copies, prune_job, prune_nightly
from als_assets.defs.retention.reconciling import CHECKS, reconcile_job, reconcile_weekly
from als_assets.defs.retention.retiring import retire_job, retire_weekly

SCHEDULES = [plan_hourly, prune_nightly, reconcile_weekly, retire_weekly]

__all__ = [
    "CHECKS",
    "SCHEDULES",
    "PruneConfig",
    "deletion_plan",
    "plan_hourly",
    "plan_job",
    "prune_copies",
    "prune_job",
    "prune_nightly",
    "reconcile_job",
    "reconcile_weekly",
    "retire_job",
    "retire_weekly",
]
