"""The inner loops, compiled by numba when first used and kept on disk for the next process.

Here: loops over plain arrays, in a vector form and in a portable form. What belongs here is code without decisions. Not
here: geometry, memory and order of work, see ``gridding.py`` and ``chain.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from als_assets.recon.compiled import compiled, exactly_compiled
from als_assets.recon.vectors import split_float


@compiled
def negative_log(x: np.float32) -> np.float32:
    """-ln(x) for normal x > 0 to 1e-6: the exponent from the bits, the mantissa (0.707 to 1.414) by the series of atanh.

    Without branches and calls, so that loops over it use vector registers; the C library's logarithm would be 5 times slower.
    """
    exponent, m = split_float(x)
    t = (m - np.float32(1.0)) / (m + np.float32(1.0))
    t2 = t * t
    series = np.float32(1 / 7) + t2 * np.float32(1 / 9)
    series = np.float32(1 / 5) + t2 * series
    series = np.float32(1 / 3) + t2 * series
    return np.float32(-(exponent * np.float32(0.6931471805599453) + np.float32(2.0) * t * (np.float32(1.0) + t2 * series)))


@compiled
def absorb(raw: Any, gain: Any, offset: Any, floor: np.float32, out: Any) -> None:
    """out[z, a, x] = -ln(max(raw[a, z, x] * gain[z, x] + offset[z, x], floor))."""
    angles, rows, columns = raw.shape
    for a in range(angles):
        for z in range(rows):
            for x in range(columns):
                value = np.float32(raw[a, z, x]) * gain[z, x] + offset[z, x]
                out[z, a, x] = negative_log(value if value > floor else floor)


@exactly_compiled
def place(cos: Any, sin: Any, weight: Any, frequency: Any, grid: Any, table: Any, cursor: Any, points: Any, cells: Any, u: Any, v: Any,
          fill: bool) -> None:  # fmt: skip
    """Counts the polar samples in each square of ``tile`` cells of the n x n grid, whose lines are ``stride`` cells apart (``fill``
    false, into ``cursor``), or writes their number, first grid cell and 4 + 4 weights at the running ``cursor`` of their square. The
    checkerboard sign that puts the image's origin in the middle is part of the weights. Counting and writing must decide alike, so
    rounding must not differ between them. ``grid``: n, stride, tile; ``table``: the window's half, ``(table.size - 2) / 2`` steps per
    cell."""
    n, stride, tile = grid
    tiles = (n + tile - 1) // tile
    steps = np.float64((table.size - 2) // 2)
    for a in range(cos.size):
        for k in range(frequency.size):
            x = frequency[k] * cos[a] * n + n / 2
            y = frequency[k] * sin[a] * n + n / 2
            x0 = math.ceil(x - 2.0)
            y0 = math.ceil(y - 2.0)
            if x0 < 1 or y0 < 1 or x0 + 4 > n or y0 + 4 > n:  # cell 0 has no mirror image
                continue
            square = (y0 // tile) * tiles + x0 // tile
            at = cursor[square]
            cursor[square] = at + 1
            if fill:
                points[at] = a * frequency.size + k
                cells[at] = y0 * stride + x0
                for j in range(4):
                    px = abs(x0 + j - x) * steps
                    py = abs(y0 + j - y) * steps
                    ix, iy = int(px), int(py)
                    wx = table[ix] + (px - ix) * (table[ix + 1] - table[ix])
                    wy = table[iy] + (py - iy) * (table[iy + 1] - table[iy])
                    u[at, j] = wx * (1 - 2 * ((x0 + j) % 2))
                    v[at, j] = wy * (1 - 2 * ((y0 + j) % 2)) * weight[a]


@cache
def pack(lanes: int) -> Callable[..., None]:
    """The loop that lays ``lanes`` sinograms side by side with padding, from angle ``first`` on as many as ``out`` takes:
    (rows, angles, columns) -> (some angles, length, lanes)."""

    def kernel(sinograms: Any, first: int, edge: np.float32, out: Any) -> None:
        rows, _, columns = sinograms.shape
        angles, length, _ = out.shape
        middle = columns + (length - columns) // 2
        for a in range(angles):
            for z in range(rows):
                for x in range(columns):
                    out[a, x, z] = sinograms[z, first + a, x]
            for z in range(rows, lanes):
                for x in range(columns):
                    out[a, x, z] = np.float32(0.0)
            for x in range(columns, length):
                source = columns - 1 if x < middle else 0
                for z in range(lanes):
                    out[a, x, z] = out[a, source, z] * edge

    return compiled(kernel)


@cache
def shape_spectrum(lanes: int) -> Callable[..., None]:
    """The loop that multiplies (angles, length, lanes) spectra, pairs of lanes as complex numbers, by (length,) re + i im."""

    def kernel(spectra: Any, re: Any, im: Any) -> None:
        for a in range(spectra.shape[0]):
            for k in range(spectra.shape[1]):
                for z in range(0, lanes, 2):
                    x, y = spectra[a, k, z], spectra[a, k, z + 1]
                    spectra[a, k, z] = x * re[k] - y * im[k]
                    spectra[a, k, z + 1] = x * im[k] + y * re[k]

    return compiled(kernel)


@cache
def spread(lanes: int) -> Callable[..., None]:
    """The loop that adds each polar sample, weighted, to its 4 x 4 cells: spectra (samples, lanes) -> grid (cells, lanes)."""

    def kernel(spectra: Any, points: Any, cells: Any, u: Any, v: Any, stride: int, grid: Any) -> None:
        for m in range(points.size):
            p = points[m]
            for i in range(4):
                row = cells[m] + i * stride
                for j in range(4):
                    weight = v[m, i] * u[m, j]
                    for z in range(lanes):
                        grid[row + j, z] += weight * spectra[p, z]

    return compiled(kernel)


@compiled
def column_factors(factor_x: Any, factor_y: np.float32, first: int, y: int, axis: int, radius: float, out: Any) -> None:
    """What the pixels from column ``first`` on of line ``y`` (from the axis) are multiplied by: both factors and the checkerboard sign
    of the grid, zero outside the circle."""
    square = radius * radius - y * y
    for i in range(out.size):
        x = first + i - axis
        sign = np.float32(1 - 2 * ((x + y) % 2)) if x * x <= square else np.float32(0.0)
        out[i] = factor_x[first + i] * factor_y * sign


@cache
def cut(lanes: int) -> Callable[..., None]:
    """The loop that takes columns ``first`` and on of the slices out of (width, columns, lanes): times column and row factors, zero
    outside the circle."""

    def kernel(columns: Any, first: int, factor_x: Any, factor_y: Any, radius: float, out: Any) -> None:
        rows, width, _ = out.shape
        count, axis = columns.shape[1], width // 2
        factors = np.empty(count, np.float32)
        for y in range(width):
            column_factors(factor_x, factor_y[y], first, y - axis, axis, radius, factors)
            for z in range(rows):
                target = out[z, y, first : first + count]
                for x in range(count):
                    target[x] = columns[y, x, z] * factors[x]

    return compiled(kernel)


@compiled
def halve(volume: Any, out: Any, fz: int, fy: int, fx: int) -> None:
    """out = mean over blocks of fz x fy x fx voxels (each 1 or 2); blocks at the far edges hold what there is."""
    depth, height, width = volume.shape
    whole = width // 2 if fx == 2 else 0
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            above, below = volume[z * fz], volume[min(z * fz + fz - 1, depth - 1)]
            first, last = y * fy, min(y * fy + fy - 1, height - 1)
            a, b, c, d = above[first], above[last], below[first], below[last]  # a line twice where there is only one
            target = out[z, y]
            for x in range(whole):
                low = a[2 * x] + b[2 * x] + c[2 * x] + d[2 * x]
                target[x] = (low + (a[2 * x + 1] + b[2 * x + 1] + c[2 * x + 1] + d[2 * x + 1])) * np.float32(0.125)
            for x in range(whole, target.size):
                at = min(x * fx, width - 1)
                target[x] = (a[at] + b[at] + c[at] + d[at]) * np.float32(0.25)
