"""Retention: policy -> plan (pure) -> prune, in two phases, with evidence.

Here: what may go, why, and going through with it. Not here: how bytes are deleted (``transfer``).
"""

from als_assets.retention.plan import PlanLine, plan
from als_assets.retention.prune import Pruned, current_plan, prune

__all__ = ["PlanLine", "Pruned", "current_plan", "plan", "prune"]
