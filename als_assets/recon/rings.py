"""Removal of stripes from sinograms, which are rings in the slices.

Here: filters that take and return sinograms (angles, columns). What belongs here is each published method under its name. Not
here: which one is used, see ``parameters.py``.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
Array = NDArray[np.float64]

_TOLERANCE = 1e-5  # of singular values; the difference to the direct form stays under 1e-5 of a sinogram's range


class StripeFilter(Protocol):
    """One method with its settings."""

    def apply(self, sinogram: Images) -> Images:
        """(angles, columns) float32 without its stripes, a new array."""
        ...


class Smoothing:
    """The mean over all angles is made smooth along the detector; cheap, for weak full stripes.

    ``size`` columns of a moving mean. Source: Boin and Haibel, Opt. Express 14 (2006) 12071.
    """

    def __init__(self, size: int) -> None:
        self._size = size | 1

    def apply(self, sinogram: Images) -> Images:
        """See ``StripeFilter.apply``."""
        mean = sinogram.mean(axis=0, dtype=np.float64)
        smooth = np.convolve(np.pad(mean, self._size // 2, "edge"), np.full(self._size, 1 / self._size), "valid")
        return np.asarray(sinogram - (mean - smooth)[None], np.float32)


class Sorting:
    """Each column is sorted along the angle, neighbours of equal rank are median filtered, and the order is restored.

    ``size`` columns of the median; for partial stripes, without new artefacts beside dense parts.
    Source: Vo et al., Opt. Express 26 (2018) 28396, algorithm 3.
    """

    def __init__(self, size: int) -> None:
        self._size = size | 1

    def apply(self, sinogram: Images) -> Images:
        """See ``StripeFilter.apply``."""
        order = np.argsort(sinogram, axis=0, kind="stable")
        ranked = np.take_along_axis(sinogram, order, axis=0)
        wide = np.pad(ranked, ((0, 0), (self._size // 2, self._size // 2)), "reflect" if self._size <= sinogram.shape[1] else "edge")
        for first in range(0, ranked.shape[0], 64):  # the windows of all rows at once would not fit into memory
            windows = np.lib.stride_tricks.sliding_window_view(wide[first : first + 64], self._size, axis=1)
            ranked[first : first + 64] = np.median(windows, axis=2)
        out = np.empty_like(sinogram)
        np.put_along_axis(out, order, ranked, axis=0)
        return out


class FourierWavelet:
    """Combined wavelet and Fourier filtering of stripes in its exact low-rank form.

    The filter is linear: per wavelet level a narrow low-pass along the angle times a band-pass along the detector. Few angular
    modes survive, so all levels share one small basis, and the wavelets run on its rows alone.
    Source: Muench et al., Opt. Express 17 (2009) 8567, with the padding of TomoPy's ``remove_stripe_fw``.
    """

    def __init__(self, angles: int, level: int, wavelet: str, sigma: float) -> None:
        self._wavelet = wavelet
        analysis, synthesis = _angular_modes(angles, level, wavelet, sigma)
        basis_in = _basis(np.concatenate(analysis))
        basis_out = _basis(np.concatenate(synthesis, axis=1).T).T
        self._in = basis_in.astype(np.float32)
        self._out = basis_out.astype(np.float32)
        self._maps = [(basis_out.T @ s @ (a @ basis_in.T)).astype(np.float32) for a, s in zip(analysis, synthesis, strict=True)]

    def apply(self, sinogram: Images) -> Images:
        """See ``StripeFilter.apply``."""
        import pywt

        low, highs = self._in @ sinogram, []
        for _ in self._maps:
            low, high = pywt.dwt(low, self._wavelet, axis=1)
            highs.append(high)
        stripes: Any = None
        for mapping, high in zip(reversed(self._maps), reversed(highs), strict=True):
            detail = mapping @ high
            stripes = None if stripes is None else stripes[:, : detail.shape[1]]
            stripes = pywt.idwt(stripes, detail, self._wavelet, axis=1)
        return np.asarray(sinogram - self._out @ stripes[:, : sinogram.shape[1]], np.float32)


def _angular_modes(angles: int, level: int, wavelet: str, sigma: float) -> tuple[list[Array], list[Array]]:
    """Per level, what is taken out along the angle, as a product: synthesis (angles, r) @ analysis (r, angles)."""
    import pywt

    padded = angles + angles // 8
    start = (padded - angles) // 2
    current = np.zeros((padded, angles))
    current[start + np.arange(angles), np.arange(angles)] = 1
    sizes, analysis, synthesis = [padded], [], []
    for _ in range(level):
        current, _ = pywt.dwt(current, wavelet, axis=0)
        size = current.shape[0]
        sizes.append(size)
        order = (np.arange(-size, size, 2) + 1) / 2
        keep = np.fft.ifftshift(np.exp(-(order**2) / (2 * sigma**2)))
        stripes = np.fft.ifft(np.fft.fft(current, axis=0) * keep[:, None], axis=0).real
        back = np.eye(size)
        for upper in reversed(sizes[:-1]):
            back = pywt.idwt(back, None, wavelet, axis=0)[:upper]
        left, strength, right = np.linalg.svd(stripes, full_matrices=False)
        rank = int((strength > _TOLERANCE * strength[0]).sum())
        analysis.append(right[:rank])
        synthesis.append(back[start : start + angles] @ (left[:, :rank] * strength[:rank]))
    return analysis, synthesis


def _basis(rows: Array) -> Array:
    """Orthonormal rows that span ``rows``."""
    _, strength, right = np.linalg.svd(rows, full_matrices=False)
    return np.asarray(right[: int((strength > _TOLERANCE * strength[0]).sum())], np.float64)
