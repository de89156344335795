"""Removal of stripes from sinograms, which are rings in the slices.

Here: filters that take and return sinograms (angles, columns). What belongs here is each published method under its name. Not
here: the one of wavelets (``fourier_wavelet.py``), and which one is used (``chain.py``).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
Array = NDArray[np.float64]

_DEAD_SMOOTHING = 10  # angles
_DROPPED = 0.1  # share of the darkest and brightest ranks that does not count when stripes are measured


class StripeFilter(Protocol):
    """One method with its settings; shared by threads."""

    def apply(self, sinogram: Images, out: Images | None = None) -> Images:
        """(angles, columns) float32 without its stripes, in ``out`` (which may be ``sinogram`` itself) or a new array."""
        ...


class Smoothing:
    """The mean over all angles is made smooth along the detector; cheap, for weak full stripes.

    ``size`` columns of a moving mean. Source: Boin and Haibel, Opt. Express 14 (2006) 12071.
    """

    def __init__(self, size: int) -> None:
        self._size = size | 1

    def apply(self, sinogram: Images, out: Images | None = None) -> Images:
        """See ``StripeFilter.apply``."""
        mean = sinogram.mean(axis=0, dtype=np.float64)
        smooth = np.convolve(np.pad(mean, self._size // 2, "edge"), np.full(self._size, 1 / self._size), "valid")
        return _without(sinogram, mean - smooth, out)


class Titarenko:
    """The smallest correction of each column that makes the mean over all angles smooth, by the closed formula.

    Least sum of squared differences between neighbouring columns plus squared corrections / ``size`` ^ 2, so that it smooths over
    about ``size`` columns. Source: Titarenko, Withers and Yagola, Appl. Math. Lett. 23 (2010) 1489.
    """

    def __init__(self, size: int) -> None:
        self._size = size | 1

    def apply(self, sinogram: Images, out: Images | None = None) -> Images:
        """See ``StripeFilter.apply``."""
        from als_assets.recon import kernels_values

        mean = sinogram.mean(axis=0, dtype=np.float64)
        return _without(sinogram, mean - kernels_values.smoothed(mean, 1 / self._size**2), out)


class Sorting:
    """Each column is sorted along the angle, neighbours of equal rank are median filtered, and the order is restored.

    ``size`` columns of the median; for partial stripes, without new artefacts beside dense parts.
    Source: Vo et al., Opt. Express 26 (2018) 28396, algorithm 3.
    """

    def __init__(self, size: int) -> None:
        self._size = size | 1

    def apply(self, sinogram: Images, out: Images | None = None) -> Images:
        """See ``StripeFilter.apply``."""
        ranked, order = _ranked(sinogram)
        return _unranked(_median(ranked, self._size), order, out)


class AllStripes:
    """Dead and unresponsive columns are bridged, wide stripes replaced by the median of their ranks, small ones sorted away.

    ``snr`` how far a stripe stands out, ``large`` and ``small`` windows in columns. Source: Vo et al., Opt. Express 26 (2018)
    28396, algorithms 6, 5 and 3, as ``remove_all_stripe`` of algotom joins them; a sinogram without noise is left alone by 6 and 5.
    """

    def __init__(self, snr: float, large: int, small: int) -> None:
        self._snr, self._large, self._small = snr, large | 1, Sorting(small)

    def apply(self, sinogram: Images, out: Images | None = None) -> Images:
        """See ``StripeFilter.apply``."""
        result = sinogram.copy()
        self._bridge_dead(result)
        self._replace_wide(result)
        return self._small.apply(result, out)

    def _bridge_dead(self, sinogram: Images) -> None:
        """Columns that hardly or wildly change with the angle, in place."""
        change = np.abs(sinogram - _moving_mean(sinogram, _DEAD_SMOOTHING)).sum(axis=0, dtype=np.float64)
        usual = _median(change[:, None].astype(np.float32), self._large)[:, 0].astype(np.float64)
        usual[usual == 0] = usual.mean() or 1.0
        dead = _widened(_outstanding(change / usual, self._snr))
        dead[:2] = dead[-2:] = False
        if 0 < dead.sum() < dead.size // 3:
            bridge(sinogram, dead)

    def _replace_wide(self, sinogram: Images) -> None:
        """Columns brighter or darker than their neighbours of equal rank, in place."""
        ranked, order = _ranked(sinogram)
        smooth = _median(ranked, self._large)
        drop = int(0.5 * _DROPPED * sinogram.shape[0])
        used = slice(drop, sinogram.shape[0] - drop)
        level, usual = ranked[:, used].mean(1, dtype=np.float64), smooth[:, used].mean(1, dtype=np.float64)
        factor = np.divide(level, usual, out=np.ones_like(level), where=usual != 0)
        wide = np.flatnonzero(_widened(_outstanding(factor, self._snr)))
        sinogram /= factor.astype(np.float32)
        sinogram[:, wide] = _unranked(smooth[wide], order[wide], None)


def bridge(lines: Images, dead: NDArray[np.bool_], nothing: float = 0.0) -> None:
    """Fills dead columns of (n, columns) linearly from the nearest good ones, in place; with ``nothing`` if there is no good one."""
    good = np.flatnonzero(~dead)
    if good.size == 0:
        lines[:] = nothing
        return
    for column in np.flatnonzero(dead):
        right = int(np.searchsorted(good, column))
        near = good[max(right - 1, 0)], good[min(right, good.size - 1)]
        share = (column - near[0]) / (near[1] - near[0]) if near[1] > near[0] else 0.0
        lines[:, column] = (1 - share) * lines[:, near[0]] + share * lines[:, near[1]]


def _without(sinogram: Images, stripes: Array, out: Images | None) -> Images:
    """Each column less its value in ``stripes`` (columns,)."""
    out = np.empty_like(sinogram) if out is None else out
    np.subtract(sinogram, stripes.astype(np.float32), out=out)
    return out


def _ranked(sinogram: Images) -> tuple[Images, NDArray[np.uint64]]:
    """Each column in rising order, (columns, angles), and the sorting keys, which hold the angle that each value came from."""
    from als_assets.recon import kernels_values

    keys = np.empty(sinogram.shape[::-1], np.uint64)
    kernels_values.to_keys(np.ascontiguousarray(sinogram).view(np.uint32), keys)
    keys.sort(axis=1)  # of whole numbers: numpy has vector code for that, but not for an order of floats
    ranked = np.empty(keys.shape, np.float32)
    kernels_values.from_keys(keys, ranked.view(np.uint32))
    return ranked, keys


def _unranked(ranked: Images, keys: NDArray[np.uint64], out: Images | None) -> Images:
    """(columns, angles) in rising order -> (angles, columns) in the order of the angles."""
    from als_assets.recon import kernels_values

    out = np.empty(ranked.shape[::-1], np.float32) if out is None else out
    kernels_values.put_back(ranked, keys, out)
    return out


def _median(values: Images, size: int) -> Images:
    """Median over ``size`` neighbours along the first axis of (columns, n)."""
    from als_assets.recon import kernels_values

    out = np.empty_like(values)
    kernels_values.median_down(values, size, out)
    return out


def _moving_mean(sinogram: Images, size: int) -> Images:
    """Along the angle, mirrored at the ends."""
    wide = np.pad(sinogram, ((size // 2 + 1, size - size // 2 - 1), (0, 0)), "symmetric").cumsum(axis=0, dtype=np.float64)
    return np.asarray((wide[size:] - wide[:-size]) / size, np.float32)


def _outstanding(values: Array, snr: float) -> NDArray[np.bool_]:
    """Which values leave the straight line that most of them, sorted, lie on; none where there is no noise to compare with.

    Source: Vo et al. (2018), algorithm 4.
    """
    ordered = np.sort(values)
    places = np.arange(values.size, dtype=np.float64)
    drop = values.size // 4
    slope, first = np.polyfit(places[drop : -drop - 1], ordered[drop : -drop - 1], 1)
    last = first + slope * places[-1]
    noise = abs(last - first)
    out = np.zeros(values.size, np.bool_)
    if noise < 1e-5:
        return out
    if abs(ordered[-1] - last) / noise >= snr:
        out |= values > last + noise * snr * 0.5
    if abs(first - ordered[0]) / noise >= snr:
        out |= values <= first - noise * snr * 0.5
    return out


def _widened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """With one more column at both sides of each."""
    return np.asarray(np.convolve(mask, [1, 1, 1], "same") > 0)
