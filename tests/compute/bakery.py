"""Scans at sites with their raw files in place, and a quick stand-in for the programs. Here: makers. Not here: assertions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from facility_in_a_box import NERSC_RAW, PSCRATCH, RAW, SCRATCH, Bench

from als_assets.beamlines.bl832.writer import ScanHeader
from als_assets.compute.service import ComputeService
from als_assets.facility.compute import Container
from als_assets.ledger import Dataset
from als_assets.simulator.detector import synthetic_scan

ROWS = 4
HOME, NERSC = ("als", RAW, SCRATCH), ("nersc", NERSC_RAW, PSCRATCH)
ALCF, OLCF = ("alcf", "alcf832_raw", "alcf832_scratch"), ("olcf", "olcf832_raw", "olcf832_scratch")


@pytest.fixture(scope="session")
def tiny_scan(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("scan") / "tiny.h5"
    synthetic_scan(path, rows=ROWS, columns=64, angles=61, seed=3, header=ScanHeader(sample_name="tiny"))
    return path.read_bytes()


@dataclass
class Bakery:
    """One scan at one site, with its raw file where the jobs of that site expect it."""

    bench: Bench
    scan: Dataset
    site: str
    scratch: str

    def reconstruct(self, overrides: dict[str, Any] | None = None, standard: dict[str, Any] | None = None) -> Any:
        compute = self.bench.platform.compute
        return compute.reconstruct(self.bench.actor(), self.scan, self.site, overrides or {}, standard or {})

    def folder(self, path: str) -> Path:
        return Path(self.bench.platform.transfers.place(self.scratch, path).site_path)

    def jobs(self) -> int:
        return sum(operation.kind == "job" for operation in self.bench.ledger.operations.of(self.scan.key))


@pytest.fixture
def staged(bench: Bench, tiny_scan: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Put a scan to a site. Both kinds of site compile into one cache."""

    def make(site: tuple[str, str, str], content: bytes = tiny_scan, **options: Any) -> Bakery:
        name, raw, scratch = site
        scan = bench.admit(content=content, facts={"rows": ROWS}, **options)
        bench.copy(scan, RAW)
        if raw != RAW:
            bench.copy(scan, raw)
        return Bakery(bench, scan, name, scratch)

    yield make


STAND_IN = """#!/bin/bash
# -m als_assets.recon reconstruct SCAN.h5 --output DIR --name NAME --params FILE
set -eu
for word in "$@"; do
  case "${before-}" in --output) output=$word ;; --name) name=$word ;; --params) params=$word ;; esac
  before=$word
done
mkdir -p "$output/rec$name"
for n in 0 1 2 3; do echo slice >"$output/rec$name/${name}_0000$n.tiff"; done
cp "$params" "$output/rec$name/parameters.json"
"""


@pytest.fixture
def quick(staged: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """As ``staged``, with the stand-in for Python at every site."""
    program = tmp_path / "python-at-site"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    setup = ComputeService.setup
    changes = {"container": Container(python=str(program))}
    monkeypatch.setattr(ComputeService, "setup", lambda self, site: setup(self, site).model_copy(update=changes))
    return staged
