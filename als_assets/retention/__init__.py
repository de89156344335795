"""Retention: policy -> plan (pure) -> prune, in two phases, with evidence; and the comparison of the record with what lies there.

Here: what may go, why, and going through with it. Not here: how bytes are deleted (``transfer``), and the policy as staff write it
(``facility.retention``).
"""

from als_assets.retention.deleting import Pruned
from als_assets.retention.explain import explained
from als_assets.retention.plan import PlanLine, plan
from als_assets.retention.prune import current_plan, prune
from als_assets.retention.snapshot import Snapshot, snapshot_of

__all__ = ["PlanLine", "Pruned", "Snapshot", "current_plan", "explained", "plan", "prune", "snapshot_of"]
