"""Frequency responses of the reconstruction filters and the weights of the projection angles.

Here: pure functions of a few numbers. What belongs here is whatever multiplies a projection's spectrum. Not here: applying
them, see ``gridding.py``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def ramp(length: int) -> Array:
    """|k| in cycles per pixel for ``np.fft.fftfreq(length)``, from its exact spatial form so that the mean value is right.

    Source: Kak and Slaney, Principles of Computerized Tomographic Imaging (1988), eq. 3.61.
    """
    lag = np.minimum(np.arange(length), length - np.arange(length))
    odd = lag % 2 == 1
    kernel = np.zeros(length)
    kernel[odd] = -1 / (np.pi * lag[odd]) ** 2
    kernel[0] = 0.25
    return np.asarray(np.fft.fft(kernel).real, np.float64)


def window(name: str, frequency: Array, cutoff: float, order: int) -> Array:
    """The factor on the ramp at ``frequency`` (cycles per pixel); ``cutoff`` and ``order`` shape butterworth only."""
    relative = np.minimum(np.abs(frequency) / 0.5, 1.0)
    if name == "shepp-logan":
        return np.asarray(np.sinc(relative / 2), np.float64)
    if name == "cosine":
        return np.asarray(np.cos(np.pi * relative / 2), np.float64)
    if name == "hann":
        return np.asarray(0.5 + 0.5 * np.cos(np.pi * relative), np.float64)
    if name == "hamming":
        return np.asarray(0.54 + 0.46 * np.cos(np.pi * relative), np.float64)
    if name == "parzen":
        near, far = 1 - 6 * relative**2 * (1 - relative), 2 * (1 - relative) ** 3
        return np.where(relative < 0.5, near, far)
    if name == "butterworth":
        return np.asarray(1 / (1 + (np.abs(frequency) / cutoff) ** (2 * order)), np.float64)
    return np.ones_like(relative)


def angle_weights(theta: Array, period: float = np.pi) -> Array:
    """Share of the half circle (or of another ``period``) that each projection stands for, in radian, shape (angles,); a full turn
    or a closed half turn (0 and 180 degrees both measured) needs no special case. A gap counts at most twice the usual step, so
    that a missing wedge is not filled by brightening its neighbours.
    """
    folded = np.mod(theta, period)
    order = np.argsort(folded, kind="stable")
    gaps = np.diff(np.append(folded[order], folded[order[0]] + period))
    usual = float(np.median(gaps[gaps > 1e-9])) if (gaps > 1e-9).any() else period
    gaps = np.minimum(gaps, 2 * usual)
    weights = np.empty_like(folded)
    weights[order] = (gaps + np.roll(gaps, 1)) / 2
    return weights
