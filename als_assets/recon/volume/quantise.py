"""Floating point voxels as 16-bit integers and back, with the scale that tells their values.

Here: the choice of a scale before all values are known, and the two conversions. What belongs here is the arithmetic of rounding. Not
here: where the scale is stored (``ngff.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from als_assets.recon.compiled import compiled

Images = NDArray[np.float32]
_LAST = 65535
_USUAL = (-10.0, 30.0)  # 1/cm; wide enough for what is measured with 8 to 45 keV, short of solid metal


@dataclass(frozen=True)
class Scale:
    """value = ``offset`` + ``step`` * stored, in the units of the values. Rounding errs by at most half a ``step``."""

    offset: float
    step: float

    @classmethod
    def fitting(cls, sample: Images) -> Scale:
        """Wide enough for ``sample`` and more: its middle 99.8 %, four times as much above and three times as much below, and at least
        the usual range of linear attenuation. Steps are still 100 times finer than the noise of a tomogram."""
        low, high = (float(value) for value in np.percentile(sample, (0.1, 99.9)))
        low, high = min(low - 3 * (high - low), _USUAL[0]), max(high + 4 * (high - low), _USUAL[1])
        return cls(low, (high - low) / _LAST)

    def stored(self, values: Images) -> tuple[NDArray[np.uint16], int]:
        """The nearest integers, and how many values lay outside the range and became its ends."""
        out = np.empty(values.shape, np.uint16)
        outside = _to_integers(values.reshape(-1), np.float32(self.offset), np.float32(1 / self.step), out.reshape(-1))
        return out, int(outside)

    def values(self, stored: NDArray[Any]) -> Images:
        """The values that integers (or means of them) stand for."""
        return np.asarray(stored.astype(np.float32) * np.float32(self.step) + np.float32(self.offset))


@compiled
def _to_integers(values: Any, offset: np.float32, per_step: np.float32, out: Any) -> int:
    """out = nearest integer to (values - offset) * per_step within 0 to 65535; returns how many were outside."""
    outside = 0
    for at in range(values.size):
        place = (values[at] - offset) * per_step + np.float32(0.5)
        outside += int(place < np.float32(0.0)) + int(place >= np.float32(65536.0))
        out[at] = np.uint16(min(max(place, np.float32(0.0)), np.float32(65535.0)))
    return outside
