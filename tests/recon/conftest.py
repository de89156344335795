"""What the tests of recon share.

Here: the path to the analytic samples, small scans and the real tooth. What belongs here is input. Not here: assertions.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from recon_phantoms import ScanFile


@pytest.fixture
def small_scan(tmp_path: Path) -> Path:
    """6 rows, 64 columns, 91 angles over a closed half turn."""
    return ScanFile().write(tmp_path / "small.h5")


@pytest.fixture(scope="session")
def tooth() -> Path:
    """The real tooth of the TomoPy project."""
    named = os.environ.get("ALS_TEST_TOOTH")
    path = Path(named) if named else Path(__file__).parents[3] / "shared" / "data" / "tooth.h5"
    if not path.exists():
        pytest.skip(f"no real scan at {path}; set ALS_TEST_TOOTH to tooth.h5")
    return path
