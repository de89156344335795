"""What the definitions of 8.3.2 share: the partition set, names of products, and the look of an asset.

Here: constants and one decorator. Not here: steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg

BEAMLINE = "bl832"
GROUP = "bl832"
OWNERS = ["team:bl832"]
SCANS = dg.DynamicPartitionsDefinition(name="bl832_scans")

# A Globus identity works on three tasks of a kind at a time: the limit of every pool in dagster.yaml.
GLOBUS_POOL = "globus_mover"
PRUNER_POOL = "globus_pruner"


def scan_asset(*, description: str, kinds: set[str], priority: int, deps: list[str], pool: str | None = None) -> Callable[..., Any]:
    """An asset of 8.3.2. Higher ``priority`` runs first within a run: pictures and records never wait behind a long transfer."""
    return dg.asset(
        partitions_def=SCANS,
        group_name=GROUP,
        owners=OWNERS,
        kinds=kinds,
        description=description,
        deps=deps,
        pool=pool,
        op_tags={"dagster/priority": str(priority)},
    )
