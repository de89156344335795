"""The loops of gridding over vectors of slices, a register at a time.

Here: what is measured to be faster than the portable form in ``kernels.py``, which says the same. What belongs here is code without
decisions, on contiguous arrays. Not here: the choice between the two (``engines.py``) and the vectors themselves (``vectors.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from als_assets.recon.compiled import compiled
from als_assets.recon.kernels import column_factors
from als_assets.recon.vectors import add_weighted, fetch, gather_tile, multiply_pairs, scatter_tile

_AHEAD = 16  # samples; so many are spread while one comes from memory


@cache
def pack(lanes: int) -> Callable[..., None]:
    """As ``kernels.pack``."""

    def kernel(sinograms: Any, first: int, edge: np.float32, out: Any) -> None:
        rows, _, columns = sinograms.shape
        angles, length, _ = out.shape
        middle, whole = columns + (length - columns) // 2, columns // lanes * lanes
        nothing, sources = np.zeros(columns, np.float32), np.empty(lanes, np.uint64)
        for a in range(angles):
            for z in range(lanes):
                sources[z] = np.uint64(sinograms[z, first + a].ctypes.data if z < rows else nothing.ctypes.data)
            target, begin = np.uint64(out[a].ctypes.data), np.uint64(sources.ctypes.data)
            for x in range(0, whole, lanes):
                gather_tile(begin, np.uint64(4 * x), target + np.uint64(4 * x * lanes), lanes)
            for x in range(whole, columns):
                for z in range(lanes):
                    out[a, x, z] = sinograms[z, first + a, x] if z < rows else np.float32(0.0)
            for x in range(columns, length):
                source = columns - 1 if x < middle else 0
                for z in range(lanes):
                    out[a, x, z] = out[a, source, z] * edge

    return compiled(kernel)


@cache
def shape_spectrum(lanes: int) -> Callable[..., None]:
    """As ``kernels.shape_spectrum``."""

    def kernel(spectra: Any, re: Any, im: Any) -> None:
        angles, length, _ = spectra.shape
        vector = np.uint64(4 * lanes)
        for a in range(angles):
            target = np.uint64(spectra[a].ctypes.data)
            for k in range(length):
                multiply_pairs(target, re[k], im[k], lanes)
                target += vector

    return compiled(kernel)


@cache
def cut(lanes: int) -> Callable[..., None]:
    """As ``kernels.cut``."""

    def kernel(columns: Any, first: int, factor_x: Any, factor_y: Any, radius: float, out: Any) -> None:
        rows, width, _ = out.shape
        count, axis = columns.shape[1], width // 2
        whole = count // lanes * lanes
        factors, nowhere = np.empty(count, np.float32), np.empty(count, np.float32)
        targets = np.empty(lanes, np.uint64)
        for y in range(width):
            column_factors(factor_x, factor_y[y], first, y - axis, axis, radius, factors)
            for z in range(lanes):
                if z < rows:
                    targets[z] = np.uint64(out[z, y].ctypes.data) + np.uint64(4 * first)
                else:
                    targets[z] = np.uint64(nowhere.ctypes.data)
            source, begin = np.uint64(columns[y].ctypes.data), np.uint64(targets.ctypes.data)
            numbers = np.uint64(factors.ctypes.data)
            for x in range(0, whole, lanes):
                offset = np.uint64(4 * x)
                scatter_tile(source + offset * np.uint64(lanes), numbers + offset, begin, offset, lanes)
            for x in range(whole, count):
                for z in range(rows):
                    out[z, y, first + x] = columns[y, x, z] * factors[x]

    return compiled(kernel)


@cache
def spread(lanes: int) -> Callable[..., None]:
    """As ``kernels.spread``, on contiguous arrays, one vector of ``lanes`` slices at a time."""

    def kernel(spectra: Any, points: Any, cells: Any, u: Any, v: Any, stride: int, grid: Any) -> None:
        vector = np.uint64(4 * lanes)
        line = np.uint64(stride) * vector
        sources, targets = np.uint64(spectra.ctypes.data), np.uint64(grid.ctypes.data)
        last = points.size - 1
        for m in range(points.size):
            fetch(sources + vector * np.uint64(points[min(m + _AHEAD, last)]))
            source = sources + vector * np.uint64(points[m])
            target = targets + vector * np.uint64(cells[m])
            a, b, c, d = u[m, 0], u[m, 1], u[m, 2], u[m, 3]
            for i in range(4):
                w = v[m, i]
                add_weighted(target, source, (a * w, b * w, c * w, d * w), lanes)
                target += line

    return compiled(kernel)
