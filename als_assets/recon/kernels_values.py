"""Inner loops that change single values: pixels of files, outliers, medians, orders and smooth lines.

Here: loops over plain arrays, compiled when first used. What belongs here is code without decisions that corrections and stripe
filters need. Not here: the loops of the reconstruction itself, see ``kernels.py``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from als_assets.recon.compiled import compiled


@compiled
def quantise(image: Any, low: np.float32, scale: np.float32, top: np.float32, out: Any) -> None:
    """out = (image - low) * scale, rounded and kept between 0 and ``top``."""
    height, width = image.shape
    for y in range(height):
        for x in range(width):
            value = (image[y, x] - low) * scale + np.float32(0.5)
            value = value if value > np.float32(0.0) else np.float32(0.0)
            out[y, x] = np.uint32(value if value < top else top)


@compiled
def polynomial(lines: Any, coefficients: Any) -> None:
    """p = c[0] p + c[1] p^2 + ..., in place, over (rows, angles, columns)."""
    rows, angles, columns = lines.shape
    for z in range(rows):
        for a in range(angles):
            for x in range(columns):
                p = lines[z, a, x]
                total = np.float32(0.0)
                for c in range(coefficients.size - 1, -1, -1):
                    total = (total + coefficients[c]) * p
                lines[z, a, x] = total


@compiled
def middle(values: Any, count: int) -> Any:
    """Median of the first ``count`` (odd) of ``values``, which are left sorted."""
    for i in range(1, count):
        value = values[i]
        j = i
        while j > 0 and values[j - 1] > value:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value
    return values[count // 2]


@compiled
def without_dips(sinogram: Any, half: int, limit: np.float32, out: Any) -> None:
    """Values more than ``limit`` under the median of 2 ``half`` + 1 angles are replaced by it; angles end by repeating the edge."""
    angles, columns = sinogram.shape
    near = np.empty(2 * half + 1, np.float32)
    for a in range(angles):
        for x in range(columns):
            top = sinogram[a, x]
            for k in range(max(a - half, 0), min(a + half + 1, angles)):
                top = max(top, sinogram[k, x])
            out[a, x] = sinogram[a, x]
            if top - sinogram[a, x] > limit:  # rare, so that the order of the window is
                for k in range(near.size):
                    near[k] = sinogram[min(max(a - half + k, 0), angles - 1), x]
                usual = middle(near, near.size)
                if usual - sinogram[a, x] > limit:
                    out[a, x] = usual


@compiled
def without_sparks(image: Any, half: int, limit: np.float32, out: Any) -> None:
    """Pixels more than ``limit`` over the median of their square of 2 ``half`` + 1 are replaced by it; edges are repeated."""
    height, width = image.shape
    side = 2 * half + 1
    near = np.empty(side * side, np.float32)
    for y in range(height):
        for x in range(width):
            value = image[y, x]
            bottom = value
            for j in range(max(y - half, 0), min(y + half + 1, height)):
                for i in range(max(x - half, 0), min(x + half + 1, width)):
                    bottom = min(bottom, image[j, i])
            out[y, x] = value
            if value - bottom > limit:
                for k in range(near.size):
                    j = min(max(y - half + k // side, 0), height - 1)
                    i = min(max(x - half + k % side, 0), width - 1)
                    near[k] = image[j, i]
                usual = middle(near, near.size)
                if value - usual > limit:
                    out[y, x] = usual


@compiled
def weights_at(share: float) -> Any:
    """Of four neighbours for a place ``share`` of a step after the second: Keys (IEEE Trans. ASSP 29, 1981) with a = -1/2."""
    s = share
    return (
        ((-0.5 * s + 1.0) * s - 0.5) * s,
        (1.5 * s - 2.5) * s * s + 1.0,
        ((-1.5 * s + 2.0) * s + 0.5) * s,
        (0.5 * s - 0.5) * s * s,
    )


@compiled
def turned(image: Any, angle: float, out: Any) -> None:
    """``out`` shows at each place what ``image`` has at the place turned by ``angle`` (radian) about its middle; edges repeat."""
    height, width = image.shape
    cos, sin = math.cos(angle), math.sin(angle)
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    for y in range(height):
        for x in range(width):
            from_x = middle_x + cos * (x - middle_x) - sin * (y - middle_y)
            from_y = middle_y + sin * (x - middle_x) + cos * (y - middle_y)
            x0, y0 = math.floor(from_x), math.floor(from_y)
            wx, wy = weights_at(from_x - x0), weights_at(from_y - y0)
            total = 0.0
            for j in range(4):
                row = min(max(y0 - 1 + j, 0), height - 1)
                for i in range(4):
                    total += wy[j] * wx[i] * image[row, min(max(x0 - 1 + i, 0), width - 1)]
            out[y, x] = total


@compiled
def smoothed(line: Any, stiffness: float) -> Any:
    """The line y with the least sum of (y[i+1] - y[i])^2 + ``stiffness`` (y[i] - line[i])^2, by elimination."""
    size = line.size
    diagonal, out = np.empty(size), stiffness * line
    for i in range(size):
        neighbours = 2.0 if 0 < i < size - 1 else 1.0
        diagonal[i] = stiffness + neighbours
        if i > 0:
            diagonal[i] -= 1.0 / diagonal[i - 1]
            out[i] += out[i - 1] / diagonal[i - 1]
    out[size - 1] /= diagonal[size - 1]
    for i in range(size - 2, -1, -1):
        out[i] = (out[i] + out[i + 1]) / diagonal[i]
    return out


@compiled
def to_keys(bits: Any, keys: Any) -> None:
    """(angles, columns) bits of floats -> (columns, angles) numbers that sort as the floats do, with the angle in the low half."""
    angles, columns = bits.shape
    for first in range(0, columns, 16):
        for a in range(angles):
            for x in range(first, min(first + 16, columns)):
                pattern = np.uint64(bits[a, x])
                flip = np.uint64(0xFFFFFFFF) if pattern >> np.uint64(31) else np.uint64(0x80000000)
                keys[x, a] = ((pattern ^ flip) << np.uint64(32)) | np.uint64(a)


@compiled
def from_keys(keys: Any, bits: Any) -> None:
    """The floats of the keys, as bits, in the order of the keys."""
    columns, angles = keys.shape
    for x in range(columns):
        for a in range(angles):
            pattern = keys[x, a] >> np.uint64(32)
            flip = np.uint64(0x80000000) if pattern >> np.uint64(31) else np.uint64(0xFFFFFFFF)
            bits[x, a] = pattern ^ flip


@compiled
def put_back(ranked: Any, keys: Any, out: Any) -> None:
    """(columns, angles) values in the order of their keys -> (angles, columns)."""
    columns, angles = ranked.shape
    for first in range(0, columns, 16):
        last = min(first + 16, columns)
        for x in range(first, last):
            for a in range(angles):
                out[np.int64(keys[x, a] & np.uint64(0xFFFFFFFF)), x] = ranked[x, a]


@compiled
def median_down(values: Any, size: int, out: Any) -> None:
    """Median over ``size`` (odd) neighbours along the first axis, mirrored at the ends, by a window that is kept sorted."""
    length, lines = values.shape
    half = size // 2
    window = np.empty(size, np.float32)
    period = max(2 * (length - 1), 1)
    for line in range(lines):
        for k in range(size):
            at = abs(k - half) % period
            window[k] = values[at if at < length else period - at, line]
        middle(window, size)
        out[0, line] = window[half]
        for x in range(1, length):
            at = abs(x - 1 - half) % period
            leaving = values[at if at < length else period - at, line]
            at = abs(x + half) % period
            coming = values[at if at < length else period - at, line]
            k = 0
            while window[k] != leaving:
                k += 1
            while k < size - 1 and window[k + 1] < coming:
                window[k] = window[k + 1]
                k += 1
            while k > 0 and window[k - 1] > coming:
                window[k] = window[k - 1]
                k -= 1
            window[k] = coming
            out[x, line] = window[half]
