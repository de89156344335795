"""Phase retrieval: from the bright and dark rims of propagation back to the thickness of the sample.

Here: the filter on one projection. What belongs here is the optics of it. Not here: which projections, see ``projections.py``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]

_KEV_M = 1.239841984e-9  # photon energy times wavelength
_REACH = 6  # decay lengths of the filter after which the edge does not show


class Paganin:
    """Single-distance phase retrieval of transmissions (rows, columns) for one material.

    The spectrum is divided by 1 + pi (wavelength) (distance) (delta / beta) f^2, which keeps the mean; -ln of the result is beta's
    line integral. Source: Paganin et al., J. Microsc. 206 (2002) 33, eq. 12.
    """

    def __init__(self, shape: tuple[int, int], pixel_size_mm: float, energy_kev: float, distance_mm: float, delta_beta: float) -> None:
        import ducc0

        strength = np.pi * (_KEV_M / energy_kev) * (distance_mm * 1e-3) * delta_beta / (pixel_size_mm * 1e-3) ** 2  # in pixels^2
        self._margin = min(int(_REACH * np.sqrt(strength) / (2 * np.pi)) + 2, max(shape))
        self._size = tuple(int(ducc0.fft.good_size(side + 2 * self._margin, True)) for side in shape)
        fy, fx = np.fft.fftfreq(self._size[0])[:, None], np.fft.rfftfreq(self._size[1])[None]
        self._filter = (1 / (1 + strength * (fx**2 + fy**2))).astype(np.float32)
        self._shape = shape

    def apply(self, transmission: Images) -> Images:
        """(rows, columns) -> the same shape; what is beside the view is taken as its edge."""
        import ducc0

        rows, columns = self._shape
        m = self._margin
        wide = np.pad(transmission, ((m, self._size[0] - rows - m), (m, self._size[1] - columns - m)), "edge")
        spectrum = ducc0.fft.r2c(wide, axes=(0, 1), nthreads=1)
        spectrum *= self._filter
        back = ducc0.fft.c2r(spectrum, axes=(0, 1), lastsize=self._size[1], forward=False, inorm=2, nthreads=1)
        return np.asarray(back[m : m + rows, m : m + columns], np.float32)
