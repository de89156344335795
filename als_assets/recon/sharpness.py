"""The centre of rotation by looking: the trial centre whose slice has the least false signal.

Here: small slices for trial centres and one number for each. What belongs here is the image metric. Not here: methods that need no
slice, see ``center.py``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from als_assets.recon.center import half_turn, peak
from als_assets.recon.engine import Geometry, Images, Worker
from als_assets.recon.engines import choose_engine

Array = NDArray[np.float64]

_LEVELS = ((128, 1.0), (512, 0.5), (1024, 0.25))  # columns at most, and the step between trials in these


def sharpest(sinogram: Images, theta_deg: Array) -> float:
    """Centre from one sinogram (angles, columns) over at least half a turn, to about a quarter of a pixel.

    A wrong centre makes arcs, bright and dark, so the mean absolute value of the slice is least at the right one. Source: Donath et
    al., J. Opt. Soc. Am. A 23 (2006) 1048, Q_IA. Raises CenterNotFound (less than half a turn, no contrast).
    """
    lines, theta = half_turn(sinogram, theta_deg)
    columns = lines.shape[1]
    center, reach = (columns - 1) / 2, columns / 4
    for limit, step in _LEVELS:
        by = max(1, columns // limit)
        count = int(np.ceil(reach / by / step))
        trial = _Trial(lines, theta, by, int(np.ceil(reach / by)) + 8)
        places = (center - (by - 1) / 2) / by + step * np.arange(-count, count + 1)
        center = peak(places, -trial.falseness(places)) * by + (by - 1) / 2
        reach = 1.5 * step * by
    return float(center)


class _Trial:
    """One sinogram with ``by`` columns joined and ``margin`` more at both sides, and a worker that makes slices of it."""

    def __init__(self, lines: Array, theta_deg: Array, by: int, margin: int) -> None:
        every = max(1, lines.shape[0] * by // lines.shape[1])
        usable = lines.shape[1] // by * by
        binned = lines[::every, :usable].reshape(-1, usable // by, by).mean(2)
        self._margin = margin
        wide = np.pad(binned, ((0, 0), (margin, margin)), "edge")
        self._width = wide.shape[1]
        self._spectra = np.fft.rfft(wide, axis=1)
        geometry = Geometry(self._width, np.radians(theta_deg[::every]), self._width / 2, filter="hann")
        self._plan = choose_engine().plan(geometry)
        self._worker: Worker = self._plan.worker()
        place = np.arange(self._width) - self._width // 2
        self._inside = place**2 + place[:, None] ** 2 < (0.48 * self._width) ** 2

    def falseness(self, centers: Array) -> Array:
        """Mean absolute value of the slice for each centre, in binned columns."""
        frequency = np.fft.rfftfreq(self._width)
        out = np.empty(centers.size)
        for first in range(0, centers.size, self._plan.batch):
            some = centers[first : first + self._plan.batch]
            shifts = self._width / 2 - (some + self._margin)
            moved = [np.fft.irfft(self._spectra * np.exp(-2j * np.pi * frequency * shift), self._width, axis=1) for shift in shifts]
            slices = self._worker.apply(np.stack(moved).astype(np.float32), 2)
            out[first : first + some.size] = np.abs(slices[:, self._inside]).mean(axis=1, dtype=np.float64)
        return out
