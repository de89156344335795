"""The numbers behind a first look: a slice for nine centres, and two planes along the axis, from a small part of a scan.

Here: what is binned and left out, and the reconstructions of that. What belongs here is arithmetic that answers within a second. Not
here: the order of work (``preview.py``) and drawing (``pictures.py``).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from als_assets.recon.chain import Corrector, Steps, geometry, pixel_size_mm
from als_assets.recon.engine import Geometry, Images
from als_assets.recon.engines import choose_engine
from als_assets.recon.machine import cores
from als_assets.recon.parameters import Parameters
from als_assets.recon.pieces import spans
from als_assets.recon.scan import Scan
from als_assets.recon.stitching import Stitch
from als_assets.recon.views.planes import binned, shifted, vertical_planes

_SLICE_WIDTH = 1024  # pixels of the slice across the axis; wider ones are binned
_PLANE_WIDTH = 512  # of the planes along the axis
_READ_BYTES = 420_000_000  # of projections for these
_DETAIL = 400  # pixels of the part of a slice that is shown for each centre
TRIALS = 9


@dataclass(frozen=True)
class Slices:
    """The middle ``row`` for each of ``trials`` centres of rotation (pixels of the detector).

    ``middle``: the whole slice for the estimate, (n, n) in 1/cm; ``inside``: its pixels within the circle; ``details``: its part with
    most edges for each centre; ``pixel_mm``; ``seconds_full``: of all cores for one slice at full size.
    """

    row: int
    trials: tuple[float, ...]
    middle: Images
    inside: NDArray[np.bool_]
    details: list[Images]
    pixel_mm: float
    seconds_full: float


@dataclass(frozen=True)
class Frames:
    """Binned line integrals of a few projections: (angles, rows, columns), every so many (``every``), binned ``by`` columns (and rows).

    ``middle`` is one of them.
    """

    lines: Images
    every: int
    by: int
    by_rows: int

    @property
    def middle(self) -> Images:
        """The projection in the middle of the scan."""
        image: Images = self.lines[self.lines.shape[0] // 2]
        return image


@dataclass(frozen=True)
class Planes:
    """Planes through the axis along x and along y, (rows, columns) in 1/cm, from ``count`` projections."""

    planes: tuple[Images, Images]
    pixel_mm: float
    count: int


def middle_slices(scan: Scan, corrector: Corrector, parameters: Parameters, center: float) -> Slices:
    """Nine centres about ``center``, all in one call of the engine."""
    row = scan.shape.rows // 2
    sinogram = corrector.sinograms(scan.rows(row, row + 1), row)
    steps = Steps(scan, parameters, center)
    steps.apply(sinogram)
    shape, lines = geometry(scan, parameters, center), sinogram[0]
    if steps.stitch is not None:
        shape = steps.stitch.widened(shape, parameters.mask_ratio)
        lines = steps.stitch.apply(sinogram, np.zeros((1, lines.shape[0], steps.stitch.width), np.float32))[0]
    step = max(0.5, scan.shape.columns / 1280)
    trials = tuple(center + step * offset for offset in range(-(TRIALS // 2), TRIALS // 2 + 1))
    by = max(1, -(-shape.width // _SLICE_WIDTH))
    images, seconds = _centred(lines, shape, [center - trial for trial in trials], by)
    middle = images[TRIALS // 2]
    n = middle.shape[0]
    y, x = np.mgrid[:n, :n] - n // 2
    inside = x * x + y * y <= min(shape.mask_radius / by, n / 2) ** 2
    part = liveliest(middle * inside, min(n, _DETAIL))
    rings_s = _seconds(lambda: steps.apply(sinogram)) / cores()
    pixel_mm = pixel_size_mm(scan, parameters) * by
    return Slices(row, trials, middle, inside, [image[part] for image in images], pixel_mm, seconds * by**2 + rings_s)


def coarse_frames(scan: Scan) -> Frames:
    """As many evenly spread projections as may be read, binned while they are read."""
    shape = scan.shape
    frame_bytes = shape.rows * shape.columns * scan.dtype.itemsize
    count = int(np.clip(_READ_BYTES // frame_bytes, 45, _PLANE_WIDTH))
    every = max(1, shape.angles // count)
    by = max(1, shape.columns // _PLANE_WIDTH)
    by_rows = min(by, shape.rows)
    flat, dark = (binned(image, by_rows, by) for image in scan.fields())
    light = np.maximum(flat - dark, 1e-3 * max(float((flat - dark).max()), 1e-9))
    frames = [binned(scan.projections(index, index + 1)[0], by_rows, by) for index in range(0, shape.angles, every)]
    lines = np.stack(frames)
    lines -= dark
    lines /= light
    np.maximum(lines, 0.01, out=lines)
    np.log(lines, out=lines)
    return Frames(np.negative(lines, out=lines), every, by, by_rows)


def side_planes(frames: Frames, scan: Scan, parameters: Parameters, center: float) -> Planes:
    """Both planes through the axis."""
    theta_deg = scan.theta_deg[:: frames.every]
    lines, place, period = frames.lines, (center - (frames.by - 1) / 2) / frames.by, np.pi
    if parameters.stitch_360:
        stitch = Stitch.of(theta_deg, lines.shape[2], place)
        lines = stitch.apply(lines, np.zeros((*lines.shape[:2], stitch.width), np.float32))
        place, period = stitch.center, 2 * np.pi
    pixel_mm = pixel_size_mm(scan, parameters) * frames.by
    along_x, along_y = (plane * np.float32(10 / pixel_mm) for plane in vertical_planes(lines, np.radians(theta_deg), period, place))
    if frames.by_rows != frames.by:  # a scan of a few rows: pixels as high as wide for the eye
        along_x, along_y = (np.repeat(plane, max(1, frames.by_rows // frames.by), axis=0) for plane in (along_x, along_y))
    return Planes((along_x, along_y), pixel_mm, lines.shape[0])


def _centred(lines: Images, shape: Geometry, shifts: Sequence[float], by: int) -> tuple[list[Images], float]:
    """The slice of (angles, columns) ``lines`` for centres that differ by ``shifts``, binned; and the seconds of one slice in a batch."""
    width = shape.width // by
    small = replace(
        shape, width=width, center=(shape.center - (by - 1) / 2) / by, mask_radius=shape.mask_radius / by, scale=shape.scale / by
    )
    plan = choose_engine(most_lanes=8).plan(small)  # nine slices: two workers with eight at once are faster than one with sixteen
    # moved before they are binned, so that a part of a pixel stays visible
    moved = np.empty((len(shifts), lines.shape[0], width), np.float32)
    batches = spans(len(moved), plan.batch)
    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(shifted, repeat(lines), shifts, repeat(by), moved))
        began = time.monotonic()
        threads = max(1, cores() // len(batches))
        slices = list(pool.map(lambda batch: plan.worker().apply(moved[batch], threads), batches))
    seconds = (time.monotonic() - began) / len(batches) / plan.batch
    return [image for part in slices for image in part], seconds


def liveliest(image: Images, side: int) -> tuple[slice, slice]:
    """The square of ``side`` pixels with the strongest edges; there a wrong centre shows best. Noise is averaged out before."""
    by = max(1, side // 40)
    coarse = binned(image, by, by)
    edges = np.hypot(*np.gradient(coarse)) if min(coarse.shape) > 1 else np.zeros(coarse.shape)
    sums = np.zeros((coarse.shape[0] + 1, coarse.shape[1] + 1))
    sums[1:, 1:] = edges.cumsum(0).cumsum(1)
    reach = min(side // by, coarse.shape[0])
    found = sums[reach:, reach:] - sums[:-reach, reach:] - sums[reach:, :-reach] + sums[:-reach, :-reach]
    y, x = (int(place) * by for place in np.unravel_index(np.argmax(found), found.shape))
    y, x = min(y, image.shape[0] - side), min(x, image.shape[1] - side)
    return slice(y, y + side), slice(x, x + side)


def _seconds(work: Any) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began
