"""Where the axis of rotation is projected on the detector, in columns (pixel centres are whole numbers, from 0).

Here: estimates from projections and sinograms, and how far they agree. What belongs here is the search for one number. Not
here: reading the scan and correcting it, see ``chain.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from als_assets.recon.errors import CenterNotFound

Images = NDArray[np.float32]
Array = NDArray[np.float64]
Confidence = Literal["given", "high", "medium", "low"]

_CONTRAST = 1e-4  # of line integrals; less than any detector can tell from nothing
_SAME = 0.75  # pixels
_PREFERRED = ("pc", "vo", "overlap", "image")
_GIVE = "Look at centers.jpg of the preview and give the centre as a number with --center."


@dataclass(frozen=True)
class Center:
    """The centre used, in pixels, how it was found, all estimates, and how far they agree."""

    value: float
    method: str
    estimates: dict[str, float]
    confidence: Confidence


def opposite(theta_deg: Array) -> tuple[int, float]:
    """Index of the projection nearest to half a turn after the first, and how far it is beyond that in degrees (signed).

    Raises CenterNotFound when none is near.
    """
    miss = np.mod(theta_deg - theta_deg[0], 360.0) - 180.0
    index = int(np.argmin(np.abs(miss)))
    if abs(miss[index]) > 5:
        raise CenterNotFound(
            f"No projection lies within 5 degrees of half a turn after the first (nearest misses by {abs(miss[index]):.1f}).",
            next_step="Use --center vo or give the centre as a number.",
        )
    return index, float(miss[index])


def phase_correlation(first: Images, turned: Images) -> float:
    """Centre from two projections (rows, columns) of line integrals half a turn apart, to about a tenth of a pixel.

    The cross spectrum of the one and the mirrored other, summed over rows and half whitened, peaks at twice the offset of the
    axis. Source: Kuglin and Hines (1975); as ``find_center_pc`` of TomoPy. Raises CenterNotFound (nothing to correlate).
    """
    if min(np.ptp(first), np.ptp(turned)) < _CONTRAST:
        raise CenterNotFound("The projections are empty: nothing to correlate.", next_step=_GIVE)
    columns = first.shape[1]
    length = 2 * columns
    taper = _taper(columns)
    spectra = [np.fft.rfft(np.gradient(image.astype(np.float64), axis=1) * taper, length, axis=1) for image in (first, turned[:, ::-1])]
    cross = (spectra[0] * spectra[1].conj()).sum(0)
    strength = np.abs(cross)
    frequency = np.arange(cross.size) / length
    cross = cross / np.sqrt(np.maximum(strength, 1e-6 * strength.max())) * np.exp(-((frequency / 0.25) ** 2))
    coarse = int(np.argmax(np.fft.irfft(cross, length)))
    near = (coarse - length if coarse > columns else coarse) + np.linspace(-1.5, 1.5, 301)
    height = np.asarray((cross[None] * np.exp(2j * np.pi * frequency[None] * near[:, None])).real.sum(1), np.float64)
    return float(columns - 1 + peak(near, height)) / 2


def vo(sinogram: Images, theta_deg: Array) -> float:
    """Centre from one sinogram (angles, columns) over at least half a turn, to about a quarter of a pixel.

    A sinogram and its mirror image, joined to a full turn, leave part of their Fourier plane empty only if mirrored about the
    right column. Source: Vo et al., Opt. Express 22 (2014) 19078. Raises CenterNotFound (less than half a turn, no contrast).
    """
    half, columns = half_turn(sinogram, theta_deg)[0], sinogram.shape[1]
    bin_by = max(1, columns // 320)
    usable = columns // bin_by * bin_by
    binned = half[:, :usable].reshape(half.shape[0], -1, bin_by).mean(2)
    width = binned.shape[1]
    trials = np.arange(width / 4, 3 * width / 4, 0.5)
    coarse = trials[np.argmin(_Plane(binned).power(trials))] * bin_by + (bin_by - 1) / 2
    plane = _Plane(half)
    for reach, step in ((2.0 * bin_by, 0.5), (1.0, 0.1)):
        trials = np.arange(coarse - reach, coarse + reach + step / 2, step)
        coarse = peak(trials, -plane.power(trials))
    return float(coarse)


def overlap(pairs: Sequence[tuple[Images, Images]]) -> float:
    """Centre from pairs of projections (rows, columns) half a turn apart, also where the axis is near an edge of the view.

    For each possible axis, the columns that both see are compared by their normalised correlation, after differentiation; the small
    window at the edge counts like a large one. Source: Vo et al., Opt. Express 29 (2021) 17849, section 3.1. Raises CenterNotFound.
    """
    columns = pairs[0][0].shape[1]
    product, energies = np.zeros(2 * columns - 1), np.ones(2 * columns - 1) * 1e-30
    length = 2 * columns
    for first, turned in pairs:
        a, b = (np.gradient(np.asarray(image, np.float64), axis=1) for image in (first, turned))
        spectrum = (np.fft.rfft(a, length, axis=1) * np.fft.rfft(b, length, axis=1)).sum(0)
        product -= np.fft.irfft(spectrum, length)[:-1]  # mirroring changes the sign of a slope
        power = [np.fft.rfft((image**2).sum(0), length) for image in (a, b)]
        whole = np.fft.rfft(np.ones(columns), length)
        seen = [np.maximum(np.fft.irfft(part * whole, length)[:-1], 0) for part in power]
        energies += np.sqrt(seen[0] * seen[1])
    if energies.max() < _CONTRAST**2:
        raise CenterNotFound("The projections are empty: nothing to compare.", next_step=_GIVE)
    height = product / np.maximum(energies, 1e-3 * energies.max())
    least = max(columns // 20, 8)  # columns that must be seen twice
    inside = slice(2 * least, 2 * columns - 1 - 2 * least)
    return peak(np.arange(2 * columns - 1)[inside] / 2, height[inside])


def judge(estimates: dict[str, float], wanted: str) -> Center:
    """Chooses among the estimates: the wanted method, or for ``auto`` the first that another one supports; agreement is confidence.

    High: another method gives the same within 0.75 pixels; medium: within 2; low: none does, or there is no other.
    Raises CenterNotFound when there is no estimate.
    """
    if not estimates:
        raise CenterNotFound("No method could find the centre of rotation.", next_step=_GIVE)
    near = {
        name: min((abs(value - estimates[other]) for other in estimates if other != name), default=np.inf)
        for name, value in estimates.items()
    }
    ranked = [name for name in (wanted, *_PREFERRED) if name in estimates]
    supported = [name for name in ranked if near[name] <= _SAME]
    # alone among all, overlap is the one that stands an axis far from the middle, and it is there for a full turn only
    alone = ["overlap", *ranked] if "overlap" in estimates else ranked
    method = wanted if wanted in estimates else (supported or alone)[0]
    confidence: Confidence = "high" if near[method] <= _SAME else "medium" if near[method] <= 2 else "low"
    return Center(estimates[method], method, estimates, confidence)


def _taper(columns: int) -> Array:
    edge = max(columns // 16, 1)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / edge)
    window = np.ones(columns)
    window[:edge], window[-edge:] = ramp, ramp[::-1]
    return window


def peak(places: Array, heights: Array) -> float:
    """Top of the parabola through the highest of equally spaced points and its neighbours."""
    top = int(np.argmax(heights))
    if top in (0, heights.size - 1):
        return float(places[top])
    left, middle, right = heights[top - 1 : top + 2]
    bend = left - 2 * middle + right
    return float(places[top] + (0.5 * (left - right) / bend if bend else 0.0) * (places[1] - places[0]))


def half_turn(sinogram: Images, theta_deg: Array) -> tuple[Array, Array]:
    """The part of a sinogram within half a turn, and its angles. Raises CenterNotFound (less than that, no contrast)."""
    turned = np.abs(theta_deg - theta_deg[0])
    step = float(np.median(np.abs(np.diff(theta_deg)))) if theta_deg.size > 1 else 360.0
    if turned.max() < 180 - 1.5 * step:
        raise CenterNotFound(f"The scan covers {turned.max():.1f} degrees, less than half a turn.", next_step=_GIVE)
    kept = turned < 180 - step / 2
    half = np.asarray(sinogram[kept], np.float64)
    if np.ptp(half) < _CONTRAST:
        raise CenterNotFound("The sinogram is empty: no centre can be found in it.", next_step=_GIVE)
    return half, theta_deg[kept]


def _levelled(image: Array) -> tuple[Array, int]:
    """Without a step at the edges of the view, which would hold the centre in the middle: most scans end in air; where the
    sample is wider than the view, its slope is used instead. Also the sign that mirroring the columns gives to the result."""
    edges = image[:, [0, -1]].mean(axis=0)
    if np.abs(edges).max() < 0.1 * np.abs(image).max():
        return np.asarray(image - edges.mean(), np.float64), 1
    return np.asarray(np.gradient(image, axis=1) * _taper(image.shape[1]), np.float64), -1


class _Plane:
    """The part of the Fourier plane of a half turn (angles, columns) and of its mirror image that the right centre empties."""

    def __init__(self, half: Array) -> None:
        angles, columns = half.shape
        length = 2 * columns
        orders = np.arange(min(20, angles // 8) + 1, min(angles, 256))
        pick = np.concatenate([orders, -orders])
        keep = min(max(int(orders[-1] / (np.pi * columns) * length) + 1, 3), columns + 1)
        levelled, sign = _levelled(half)
        rows = _spectrum(levelled, length)[:, :keep]
        self._frequency = np.arange(keep) / length
        mirrored = sign * rows.conj() * np.exp(-2j * np.pi * self._frequency * (columns - 1))
        nothing = np.zeros_like(rows)
        first = np.fft.fft(np.concatenate([rows, nothing]), axis=0)[pick]
        second = np.fft.fft(np.concatenate([nothing, mirrored]), axis=0)[pick]
        empty = (self._frequency < np.abs(pick[:, None]) / (np.pi * columns)) & (np.arange(keep) > 1)
        # |first + second phase|^2 with the phase of one frequency for all orders: sums over orders do not depend on the trial
        self._alone = float((np.abs(first[empty]) ** 2).sum() + (np.abs(second[empty]) ** 2).sum())
        self._together = np.where(empty, first.conj() * second, 0).sum(axis=0)
        self._cells, self._columns = int(empty.sum()), columns

    def power(self, trials: Array) -> Array:
        """Mean power there for each trial centre."""
        phases = np.exp(-2j * np.pi * self._frequency * (2 * trials[:, None] - (self._columns - 1)))
        return np.asarray((self._alone + 2 * (phases @ self._together).real) / self._cells, np.float64)


def _spectrum(lines: Array, length: int) -> NDArray[np.complex128]:
    """Transforms of the lines, padded with zeros to ``length``, on two threads; numpy's own takes three times as long."""
    import ducc0

    padded = np.zeros((lines.shape[0], length))
    padded[:, : lines.shape[1]] = lines
    return np.asarray(ducc0.fft.r2c(padded, axes=(1,), nthreads=2), np.complex128)
