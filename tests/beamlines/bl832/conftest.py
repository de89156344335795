"""Small real scan files. Here: one complete scan and an editor for its faults. Not here: any promise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from als_assets.beamlines.bl832.writer import ScanHeader, write_scan

PROJECTIONS, ROWS, COLUMNS, FLATS, DARKS = 12, 4, 6, 3, 2


def arrays(projections: int = PROJECTIONS) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    data = random.integers(100, 20_000, (projections, ROWS, COLUMNS)).astype(np.uint16)
    white = random.integers(20_000, 30_000, (FLATS, ROWS, COLUMNS)).astype(np.uint16)
    dark = random.integers(90, 110, (DARKS, ROWS, COLUMNS)).astype(np.uint16)
    return data, white, dark, np.linspace(0, 180, projections)


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "20240101_120000_sand.h5"
    write_scan(path, *arrays(), ScanHeader(sample_name="20240101_120000_sand"))
    return path


@pytest.fixture
def edit(scan: Path) -> Callable[[Callable[[h5py.File], object]], Path]:
    """Change the complete scan and return its path."""

    def change(action: Callable[[h5py.File], object]) -> Path:
        with h5py.File(scan, "r+") as file:
            action(file)
        return scan

    return change
