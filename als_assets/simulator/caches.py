"""Where programs of a simulated facility keep their compiled code: one folder for all its sites.

Here: that folder. Not here: which programs use it.
"""

from __future__ import annotations

import os
from pathlib import Path


def numba_cache(state_dir: Path) -> str:
    """The folder that the variable NUMBA_CACHE_DIR names, else one in the state folder. Compiling takes seconds, so many facilities
    on one machine (as in the tests) had better share it."""
    return os.environ.get("NUMBA_CACHE_DIR") or str(state_dir / "numba")
