"""The demo's table of proof: every copy under the asset that it belongs to, with the proof that it has."""

from __future__ import annotations

from typing import Any

import pytest

from als_assets.demo.show import _proof, asset_of
from als_assets.ledger import Replica

JOB: dict[str, Any] = {"report": {"job_id": "7"}}


@pytest.mark.parametrize(
    ("product", "location", "facts", "asset", "proof"),
    [
        ("raw", "spot832", {}, "raw_on_spot832", "frames counted"),
        ("raw", "nersc832_alsdev_raw", {"sha256": "a" * 64}, "raw_on_nersc", f"SHA-256 {'a' * 12}…"),
        ("raw", "olcf832_raw", {"sha256": "a" * 64}, "raw for recon_tiff", f"SHA-256 {'a' * 12}…"),
        ("staged_raw", "nersc832_alsdev_pscratch_raw", {"evidence": {"how": "x"}}, "raw for recon_tiff", "size compared at the site"),
        ("recon_tiff", "olcf832_scratch", {"evidence": JOB, "files": 33}, "recon_tiff", "job 7: exit codes, result, 33 files"),
        (
            "recon_zarr",
            "data832_scratch",
            {"evidence": {"files_compared": 14}},
            "recon_on_data832",
            "checksums by mover, 14 files compared",
        ),
    ],
)
def test_a_copy_and_its_proof(product: str, location: str, facts: dict[str, Any], asset: str, proof: str) -> None:
    replica = Replica(product=product, location=location, **{"evidence": {}, "sha256": None, "files": 1, **facts})

    assert (asset_of(replica), _proof(replica)) == (asset, proof)
