"""A scan copied to the simulated ALCF over Globus and reconstructed there by the real programs, with proof; and the box around it."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from alcf_shop import alcf
from facility_in_a_box import FOLDER, Bench

from als_assets.beamlines.bl832.writer import ScanHeader
from als_assets.compute.globus_compute.transport import GlobusComputeTransport
from als_assets.facility.load import load_model
from als_assets.facility.settings import Settings
from als_assets.ledger import OperationState, ReplicaState
from als_assets.simulator.detector import synthetic_scan

__all__ = ["alcf"]

ROWS = 2


def test_the_site_is_there_and_switched_off(bench: Bench) -> None:
    assert bench.platform.facility.sites["alcf"].title == "ALCF (simulated)"
    assert isinstance(bench.platform.compute._transports["alcf"], GlobusComputeTransport)
    assert load_model(bench.box.settings_file, Settings).sites["alcf"] is False
    assert "alcf" not in yaml.safe_load(bench.box.settings_file.read_text()).get("reconstruction", {}).get("sites", [])


def test_a_reconstruction_at_alcf_is_made_and_proven(alcf: object, bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "tiny.h5"
    synthetic_scan(path, rows=ROWS, columns=32, angles=31, seed=3, header=ScanHeader(sample_name="tiny"))
    scan = bench.admit(content=path.read_bytes(), facts={"rows": ROWS})
    bench.copy(scan, "data832_raw")
    bench.copy(scan, "alcf832_raw")

    receipt = bench.platform.compute.reconstruct(bench.actor(), scan, "alcf", {}, {"center": "pc"})

    folder = Path(bench.platform.transfers.place("alcf832_scratch", receipt.replica.path).site_path)
    assert (receipt.made, receipt.site, receipt.replica.location) == (True, "alcf", "alcf832_scratch")
    assert receipt.replica.path == f"{FOLDER}/rec{scan.key}" and receipt.replica.state is ReplicaState.VERIFIED
    assert sorted(p.name for p in folder.glob("*.tiff")) == [f"{scan.key}_{n:05d}.tiff" for n in range(ROWS)]
    assert receipt.replica.manifest is not None and receipt.replica.manifest.files == ROWS + 1
    assert json.loads(receipt.replica.evidence["parameters"]) == {"center": "pc"}
    assert (receipt.report["step"], receipt.report["exit_code"]) == ("reconstruct", "0:0")
    assert bench.newest(scan).state is OperationState.SUCCEEDED
    again = bench.platform.compute.reconstruct(bench.actor(), scan, "alcf", {}, {"center": "pc"})
    assert (again.made, again.replica.id) == (False, receipt.replica.id), "it was looked at again, at the site"
