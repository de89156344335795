"""Three orthogonal slices through the middle of a reconstructed volume, read from a coarse level of its OME-Zarr.

Here: finding a level that is small enough and reading three planes of it. Not here: encoding pictures (``pictures``), and making the
store. Format: OME-Zarr 0.4 and 0.5 (https://ngff.openmicroscopy.org), axes z, y, x.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENOUGH_PIXELS = 256
_MOST_BYTES = 1 << 30


def orthogonal_slices(store: Path) -> dict[str, NDArray[Any]]:
    """The middle planes "slice xy", "slice xz" and "slice yz", of the coarsest level whose longest side has ``ENOUGH_PIXELS``.

    Raises OSError, LookupError, ValueError or TypeError for what is no such store.
    """
    import tensorstore  # slow to import, and seldom needed

    driver, paths = _levels(store)
    for path in reversed(paths):
        spec = {"driver": driver, "kvstore": {"driver": "file", "path": str(store / path)}}
        level = tensorstore.open(spec, open=True, read=True).result()
        if max(level.shape) >= ENOUGH_PIXELS or path == paths[0]:
            break
    if level.ndim != 3 or level.size * level.dtype.numpy_dtype.itemsize > _MOST_BYTES:
        raise ValueError(f"{store.name}: level {path} has the shape {level.shape}")
    z, y, x = (length // 2 for length in level.shape)
    planes = {"slice xy": level[z, :, :], "slice xz": level[:, y, :], "slice yz": level[:, :, x]}
    return {name: np.asarray(plane.read().result()) for name, plane in planes.items()}


def _levels(store: Path) -> tuple[str, list[str]]:
    """The tensorstore driver and the paths of the levels, finest first."""
    newer = store / "zarr.json"
    if newer.exists():
        multiscales = json.loads(newer.read_text())["attributes"]["ome"]["multiscales"]
    else:
        multiscales = json.loads((store / ".zattrs").read_text())["multiscales"]
    return "zarr3" if newer.exists() else "zarr", [str(level["path"]) for level in multiscales[0]["datasets"]]
