"""One simulated facility for all tests of transfers. Here: the paths and fixtures. Not here: any promise."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from bench_fixtures import bench, facility, meddle, zygote

__all__ = ["bench", "facility", "meddle", "zygote"]
