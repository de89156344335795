"""One projection of an 8.3.2 scan for people to look at: flat-fielded, and small.

Here: reading and normalising the frame. Not here: encoding it as an image, or anything the reconstruction uses.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from als_assets.beamlines.bl832 import layout


def middle_projection(path: Path, most_pixels: int = 512) -> NDArray[np.float32]:
    """The transmission of the middle projection, shape (rows, columns) with no more than ``most_pixels`` a side.

    Larger frames are thinned by a whole number. Raises OSError or KeyError where the file is not a complete scan (inspect it
    first).
    """
    with h5py.File(path, "r", locking=False) as file:
        data = file[layout.DATA]
        step = max(1, -(-max(data.shape[1:]) // most_pixels))
        frame, white, dark = (
            file[name][number][::step, ::step].astype(np.float32)
            for name, number in ((layout.DATA, data.shape[0] // 2), (layout.WHITE, 0), (layout.DARK, 0))
        )
    light: NDArray[np.float32] = np.maximum(white - dark, 1.0)
    transmission: NDArray[np.float32] = np.clip((frame - dark) / light, 0.0, 2.0)
    return transmission
