"""How values in 1/cm become the pixels of a file: 32-bit as they are, or 8 and 16 bits between two values.

Here: the one formula and its inverse in words. What belongs here is what a reader needs to get values back. Not here: file
formats, see ``tiff.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from als_assets.recon.parameters import Parameters

_TYPES: dict[int, type[np.generic]] = {8: np.uint8, 16: np.uint16, 32: np.float32}


@dataclass(frozen=True)
class Pixels:
    """``bits`` 8, 16 or 32; for 8 and 16, ``low`` and ``high`` in 1/cm become 0 and the largest number, values beyond are cut."""

    bits: int = 32
    low: float = 0.0
    high: float = 1.0

    @classmethod
    def of(cls, parameters: Parameters) -> Pixels:
        """As the parameters say."""
        return cls(parameters.output_bits, parameters.output_min, parameters.output_max)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the stored numbers."""
        return np.dtype(_TYPES[self.bits])

    @property
    def bytes(self) -> int:
        """Of one pixel."""
        return self.bits // 8

    def stored(self, image: NDArray[np.float32]) -> NDArray[Any]:
        """(height, width) float32 as it is stored; 32-bit images are not copied."""
        if self.bits == 32:
            return image
        from als_assets.recon import kernels_values

        out = np.empty(image.shape, self.dtype)
        top = 2**self.bits - 1
        kernels_values.quantise(image, np.float32(self.low), np.float32(top / (self.high - self.low)), np.float32(top), out)
        return out

    def described(self) -> dict[str, Any]:
        """For the record of the result."""
        if self.bits == 32:
            return {"pixels": "float32"}
        step = (self.high - self.low) / (2**self.bits - 1)
        return {"pixels": str(self.dtype), "offset": self.low, "scale": step, "formula": "1/cm = offset + scale * pixel"}
