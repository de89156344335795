"""Two vertical planes of a volume from few projections, without the volume.

Here: binning, filtering and back projection along two lines of every slice. What belongs here is a quick look from the side. Not here:
slices (``gridding.py``) and pictures.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from als_assets.recon import filters
from als_assets.recon.compiled import compiled

Images = NDArray[np.float32]


def binned(image: NDArray[Any], by_rows: int, by_columns: int) -> Images:
    """Sums over blocks: (rows, columns) of any number type -> (rows // by_rows, columns // by_columns) float32."""
    out = np.empty((image.shape[0] // by_rows, image.shape[1] // by_columns), np.float32)
    _block_sums(image, by_rows, by_columns, np.empty(image.shape[1], np.float32), out)
    return out


def vertical_planes(lines: Images, theta: NDArray[np.float64], period: float, center: float) -> tuple[Images, Images]:
    """The planes through the axis along x and along y, each (rows, columns), from line integrals (angles, rows, columns).

    Values per pixel; ``theta`` radian, ``center`` in columns. Filtered back projection (Kak and Slaney 1988, section 3.3) with a Hann
    window, because projections are few.
    """
    import ducc0

    length = 2 * ducc0.fft.good_size(lines.shape[2], True)
    columns = lines.shape[2]
    half = np.asarray(np.fft.rfftfreq(length), np.float64)
    response: NDArray[np.float64] = filters.ramp(length)[: half.size] * filters.window("hann", half, 0.5, 1)
    padded = np.empty((*lines.shape[:2], length), np.float32)
    padded[..., :columns] = lines
    middle = columns + (length - columns) // 2  # each edge value goes on to the middle of the padding
    padded[..., columns:middle] = lines[..., -1:]
    padded[..., middle:] = lines[..., :1]
    spectra = ducc0.fft.r2c(padded, axes=(2,), nthreads=2)
    spectra *= response.astype(np.float32)
    filtered = ducc0.fft.c2r(spectra, axes=(2,), lastsize=length, forward=False, inorm=2, out=padded, nthreads=2)
    weights = filters.angle_weights(theta, period)
    planes = np.zeros((2, lines.shape[1], columns), np.float32)
    for plane, slope in zip(planes, (np.cos(theta), np.sin(theta)), strict=True):
        _back_project(filtered, slope, weights, center, plane)
    return planes[0], planes[1]


@compiled
def _block_sums(image: Any, by_rows: int, by_columns: int, line: Any, out: Any) -> None:
    """Rows are added up first, which uses vector registers, then groups of columns."""
    for row in range(out.shape[0]):
        for column in range(line.size):
            line[column] = np.float32(image[row * by_rows, column])
        for further in range(1, by_rows):
            source = image[row * by_rows + further]
            for column in range(line.size):
                line[column] += np.float32(source[column])
        for column in range(out.shape[1]):
            total = np.float32(0.0)
            for part in range(by_columns):
                total += line[column * by_columns + part]
            out[row, column] = total


@compiled
def shifted(lines: Any, by: float, bins: int, out: Any) -> None:
    """(angles, columns) moved right by a part of pixels, then averaged in groups of ``bins``: out[a, i] = mean of
    lines[a, i * bins + j - by] over j, each taken between its two neighbours; edges are repeated."""
    columns = lines.shape[1]
    whole = math.floor(-by)
    share = np.float32(-by - whole)
    moved = np.empty(columns, np.float32)
    for a in range(lines.shape[0]):
        for x in range(columns):
            left = min(max(x + whole, 0), columns - 1)
            right = min(max(x + whole + 1, 0), columns - 1)
            moved[x] = lines[a, left] + share * (lines[a, right] - lines[a, left])
        for i in range(out.shape[1]):
            total = np.float32(0.0)
            for j in range(bins):
                total += moved[i * bins + j]
            out[a, i] = total / np.float32(bins)


@compiled
def _back_project(filtered: Any, slope: Any, weights: Any, center: float, plane: Any) -> None:
    """plane[row, i] = sum over angles of weight * filtered[angle, row, center + (i - columns // 2) * slope], linear between columns."""
    rows, columns = plane.shape
    left = np.empty(columns, np.int64)
    share = np.empty(columns, np.float32)
    for angle in range(slope.size):
        weight = np.float32(weights[angle])
        for i in range(columns):
            place = min(max(center + (i - columns // 2) * slope[angle], 0.0), columns - 1.001)
            left[i] = int(place)
            share[i] = np.float32(place - left[i])
        for row in range(rows):
            line, target = filtered[angle, row], plane[row]
            for i in range(columns):
                at = left[i]
                target[i] += weight * (line[at] + share[i] * (line[at + 1] - line[at]))
