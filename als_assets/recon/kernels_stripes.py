"""Inner loops of the Fourier-wavelet stripe filter: products of sinograms with few modes, and wavelets over many modes at once.

Here: loops over plain arrays, compiled when first used. What belongs here is code without decisions. Not here: which matrices these are,
see ``fourier_wavelet.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from als_assets.recon.compiled import compiled
from als_assets.recon.vectors import take_products


@cache
def gather(lanes: int) -> Callable[..., None]:
    """own[piece, mode] = - sum over the ``size`` angles of a piece of weights[piece, panel, angle, lane] * sinogram[angle], where a mode
    is a lane of a panel; all lines a multiple of ``lanes`` long."""

    def kernel(sinogram: Any, size: int, weights: Any, own: Any) -> None:
        angles, columns = sinogram.shape
        pieces, panels = weights.shape[:2]
        nothing = np.zeros(columns, np.float32)
        bases, targets = np.empty(lanes, np.uint64), np.empty(lanes, np.uint64)
        for piece in range(pieces):
            first, count = piece * size, min(size, angles - piece * size)
            source = np.uint64(sinogram[first].ctypes.data)
            for panel in range(panels):
                row = (piece * panels + panel) * lanes
                for r in range(lanes):
                    bases[r], targets[r] = np.uint64(nothing.ctypes.data), np.uint64(own[row + r].ctypes.data)
                from_, to = np.uint64(bases.ctypes.data), np.uint64(targets.ctypes.data)
                factors = np.uint64(weights[piece, panel].ctypes.data)
                for x in range(0, columns, lanes):
                    at = np.uint64(4 * x)
                    take_products(factors, count, source + at, np.uint64(4 * columns), from_, to, at, lanes)

    return compiled(kernel)


@cache
def scatter(lanes: int) -> Callable[..., None]:
    """out[angle] = sinogram[angle] - sum over the own modes of its piece of weights[piece, panel, mode, lane] * own[piece, mode], where
    an angle is a lane of a panel; ``out`` may be ``sinogram``."""

    def kernel(own: Any, size: int, weights: Any, sinogram: Any, out: Any) -> None:
        angles, columns = sinogram.shape
        pieces, panels, modes = weights.shape[:3]
        nowhere = np.zeros(columns, np.float32)
        bases, targets = np.empty(lanes, np.uint64), np.empty(lanes, np.uint64)
        for piece in range(pieces):
            source = np.uint64(own[piece * modes].ctypes.data)
            for panel in range(panels):
                row = piece * size + panel * lanes
                for r in range(lanes):
                    there = row + r < angles
                    bases[r] = np.uint64(sinogram[row + r].ctypes.data if there else nowhere.ctypes.data)
                    targets[r] = np.uint64(out[row + r].ctypes.data if there else nowhere.ctypes.data)
                factors = np.uint64(weights[piece, panel].ctypes.data)
                from_, to = np.uint64(bases.ctypes.data), np.uint64(targets.ctypes.data)
                for x in range(0, columns, lanes):
                    at = np.uint64(4 * x)
                    take_products(factors, modes, source + at, np.uint64(4 * columns), from_, to, at, lanes)

    return compiled(kernel)


@compiled
def split(lines: Any, low: Any, high: Any) -> Any:
    """One level of a wavelet transform along the first axis of (n, modes), mirrored at the ends: approximation and detail."""
    length, modes = lines.shape
    half = (length + low.size - 1) // 2
    smooth, detail = np.zeros((half, modes), np.float32), np.zeros((half, modes), np.float32)
    for i in range(half):
        to_smooth, to_detail = smooth[i], detail[i]
        for j in range(low.size):
            at = (2 * i + 1 - j) % (2 * length)
            source = lines[at if at < length else 2 * length - 1 - at]
            a, b = low[j], high[j]
            for m in range(modes):
                to_smooth[m] += a * source[m]
                to_detail[m] += b * source[m]
    return smooth, detail


@compiled
def joined(smooth: Any, detail: Any, low: Any, high: Any) -> Any:
    """The way back: (n, modes) approximation and detail -> (2 n - taps + 2, modes)."""
    half, modes = detail.shape
    out = np.zeros((2 * half - low.size + 2, modes), np.float32)
    for i in range(out.shape[0]):
        target = out[i]
        for j in range(i % 2, low.size, 2):
            k = (i + low.size - 2 - j) // 2
            a, b, from_smooth, from_detail = low[j], high[j], smooth[k], detail[k]
            for m in range(modes):
                target[m] += a * from_smooth[m] + b * from_detail[m]
    return out
