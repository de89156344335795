"""The job of 8.3.2: one run for each scan, all its steps in one process.

Here: the job and its executor. Not here: when it is launched (``sensors``). One process costs 3 CPU seconds a scan where Dagster's
default executor costs 21, and a crash loses nothing: finished assets are not repeated and remote work is adopted.
"""

from __future__ import annotations

import dagster as dg

from als_assets.defs.bl832.common import GROUP

SCAN_ASSET_KEYS = [
    dg.AssetKey(name)
    for name in (
        "raw_on_data832",
        "preview",
        "scicat_record",
        "raw_on_nersc",
        "recon_tiff",
        "recon_zarr",
        "recon_on_data832",
        "scicat_recon_record",
    )
]

scan_job = dg.define_asset_job(
    f"{GROUP}_scan",
    selection=dg.AssetSelection.assets(*SCAN_ASSET_KEYS).without_checks(),  # those are for copies of long ago
    executor_def=dg.in_process_executor,
    description="Everything for one scan: safe copies, preview, record, reconstruction, and the results brought back.",
)
