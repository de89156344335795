"""A detector for tests and demonstrations: scans of a sample that is known exactly, in the real file layout.

Here: an analytic sample (grains and pores in a cylinder), its projections as counts with flats, darks, noise and ring
artefacts, and the rewriting of other DX files into the layout of 8.3.2. Not here: the layout itself, or any service.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from als_assets.beamlines.bl832 import layout
from als_assets.beamlines.bl832.writer import Frames, ScanHeader, write_scan
from als_assets.errors import ScanFieldMissing

Array = NDArray[np.float64]

_CYLINDER_RADIUS = 0.84  # all lengths of the sample are in units of half the detector's width
_MATRIX_OPTICAL_DEPTH = 0.5  # through the cylinder's middle, so that grains still let light through
_DARK_COUNTS = 105.0
_FLAT_COUNTS = 28_000.0
_RING_SHARE = 0.015  # of the columns have a gain that drifts after the flats were taken


@dataclass(frozen=True)
class Sphere:
    """A grain or pore: centre (x, y across the axis, z along it) and radius in pixels, contrast to the matrix in 1/cm."""

    x: float
    y: float
    z: float
    radius: float
    contrast_per_cm: float


@dataclass(frozen=True)
class Phantom:
    """A cylinder of ``matrix_per_cm`` with spheres inside. Attenuation in 1/cm, lengths in pixels, ``pixel_cm`` a pixel's edge.

    The axis of rotation is the cylinder's axis; at ``theta`` the point (x, y) lies x cos(theta) + y sin(theta) from it.
    """

    rows: int
    columns: int
    radius: float
    matrix_per_cm: float
    pixel_cm: float
    spheres: tuple[Sphere, ...]

    def line_integrals(self, theta_deg: Array, centre: float) -> Array:
        """Exact attenuation along each ray, shape (angles, rows, columns), no unit; ``centre``: the axis' column, 0-based."""
        theta = np.deg2rad(theta_deg)
        s: Array = np.arange(self.columns, dtype=np.float64) - centre
        cylinder = 2 * self.matrix_per_cm * self.pixel_cm * _half_chord(self.radius**2 - s**2)
        sums = np.broadcast_to(cylinder, (theta.size, self.rows, self.columns)).copy()
        for sphere in self.spheres:
            rows = self._rows_of(sphere)
            offset = s[None, :] - (sphere.x * np.cos(theta) + sphere.y * np.sin(theta))[:, None]
            squares = sphere.radius**2 - offset[:, None, :] ** 2 - ((rows - sphere.z) ** 2)[None, :, None]
            sums[:, rows] += 2 * sphere.contrast_per_cm * self.pixel_cm * _half_chord(squares)
        return sums

    def slice_per_cm(self, row: int) -> Array:
        """The true slice of one detector row in 1/cm, shape (columns, columns): [y, x], the axis in the middle."""
        axis = np.arange(self.columns) - (self.columns - 1) / 2
        x, y = np.meshgrid(axis, axis)
        image = np.where(x**2 + y**2 <= self.radius**2, self.matrix_per_cm, 0.0)
        for sphere in self.spheres:
            left = sphere.radius**2 - (row - sphere.z) ** 2
            image += np.where((x - sphere.x) ** 2 + (y - sphere.y) ** 2 <= left, sphere.contrast_per_cm, 0.0)
        return image

    def _rows_of(self, sphere: Sphere) -> NDArray[np.intp]:
        first = max(0, int(np.ceil(sphere.z - sphere.radius)))
        return np.arange(first, min(self.rows, int(np.floor(sphere.z + sphere.radius)) + 1))


@dataclass(frozen=True)
class SyntheticScan:
    """What a synthetic scan was made of: the sample and the axis of rotation (column, 0-based)."""

    path: Path
    phantom: Phantom
    centre: float
    theta_deg: Array


def grains_in_cylinder(rows: int, columns: int, pixel_size_mm: float, seed: int, grains: int = 60) -> Phantom:
    """A cylinder packed with grains of three materials and pores that do not overlap; the same seed gives the same sample."""
    random = np.random.default_rng(seed)
    radius = _CYLINDER_RADIUS * columns / 2
    pixel_cm = pixel_size_mm / 10
    matrix = _MATRIX_OPTICAL_DEPTH / (2 * radius * pixel_cm)
    contrasts = np.array([1.0, 1.6, 2.6, -1.0]) * matrix  # three minerals, and pores that are exactly empty
    placed: list[Sphere] = []
    for _ in range(grains * 40):
        if len(placed) == grains:
            break
        size = radius * random.uniform(0.05, 0.2)
        distance = (radius - size) * 0.97 * np.sqrt(random.uniform())
        angle = random.uniform(0, 2 * np.pi)
        x, y, z = distance * np.cos(angle), distance * np.sin(angle), random.uniform(-size / 2, rows + size / 2)
        if all((x - o.x) ** 2 + (y - o.y) ** 2 + (z - o.z) ** 2 > (size + o.radius) ** 2 for o in placed):
            placed.append(Sphere(x, y, z, size, float(random.choice(contrasts, p=[0.35, 0.25, 0.15, 0.25]))))
    return Phantom(rows, columns, radius, matrix, pixel_cm, tuple(placed))


def synthetic_scan(
    path: Path,
    *,
    rows: int = 48,
    columns: int = 256,
    angles: int = 181,
    seed: int = 0,
    header: ScanHeader | None = None,
    pieces: int = 1,
    pause_s: float = 0.0,
    centre_offset: float = 3.5,
    noise: bool = True,
) -> SyntheticScan:
    """Write a scan of a known sample and say what it shows.

    Angles go from 0 to the header's range inclusive, so the first and the last projection of a 180 degree scan are mirror
    images. The axis lies ``centre_offset`` pixels beside the detector's middle. ``noise=False`` leaves out shot noise and
    ring artefacts. ``pieces`` and ``pause_s`` are those of ``write_scan``.
    """
    header = header or ScanHeader(sample_name=path.stem)
    phantom = grains_in_cylinder(rows, columns, header.pixel_size_mm, seed)
    theta_deg = np.linspace(0.0, header.angle_range_deg, angles)
    centre = (columns - 1) / 2 + centre_offset
    transmission = np.exp(-phantom.line_integrals(theta_deg, centre))
    camera = _Camera(rows, columns, seed, noise)
    write_scan(
        path,
        camera.frames(transmission * camera.drift),
        camera.frames(np.ones((10, rows, columns))),
        camera.frames(np.zeros((5, rows, columns))),
        theta_deg,
        header,
        pieces=pieces,
        pause_s=pause_s,
    )
    return SyntheticScan(path, phantom, centre, theta_deg)


def rewrite_scan(source: Path, target: Path, header: ScanHeader | None = None) -> None:
    """Rewrite a DX file (``/exchange`` with data, data_white, data_dark, theta in degrees; any counts) as a scan of 8.3.2.

    Counts are rounded to 16 bits, and scaled down together first where the brightest exceeds them. Raises ScanFieldMissing.
    """
    with h5py.File(source, "r", locking=False) as file:
        for path in (layout.DATA, layout.WHITE, layout.DARK, layout.THETA):
            if path not in file:
                raise ScanFieldMissing(f"{source.name} has no field {path}", next_step="Give a file in the DX layout")
        data, white, dark = (file[path][:].astype(np.float64) for path in (layout.DATA, layout.WHITE, layout.DARK))
        theta_deg = file[layout.THETA][:].astype(np.float64)
    scale = min(1.0, 65_535 / max(frames.max() for frames in (data, white, dark)))
    step = abs(theta_deg[-1] - theta_deg[0]) / max(1, theta_deg.size - 1)
    header = header or ScanHeader(sample_name=target.stem, title=f"Rewritten from {source.name}")
    header = replace(header, angle_range_deg=float(abs(theta_deg[-1] - theta_deg[0]) + step))
    write_scan(target, _counts(data * scale), _counts(white * scale), _counts(dark * scale), theta_deg, header)


class _Camera:
    """Beam profile, fixed pattern and noise of one detector; the pattern depends on the seed only."""

    def __init__(self, rows: int, columns: int, seed: int, noise: bool) -> None:
        self._random = np.random.default_rng([seed, 832])
        self._noise = noise
        y = np.linspace(-1, 1, rows)[:, None]
        x = np.linspace(-1, 1, columns)[None, :]
        beam = np.exp(-0.35 * y**2) * (1 - 0.12 * x**2 + 0.05 * x)
        self._beam = _FLAT_COUNTS * beam * (1 + 0.03 * self._random.standard_normal((rows, columns)))
        self._dark = _DARK_COUNTS + 3 * self._random.standard_normal((rows, columns))
        self.drift = np.ones(columns)
        if noise:
            drifting = self._random.choice(columns, max(1, round(columns * _RING_SHARE)), replace=False)
            self.drift[drifting] += self._random.uniform(-0.04, 0.04, drifting.size)

    def frames(self, transmission: Array) -> Frames:
        """Counts for a transmission of shape (frames, rows, columns)."""
        signal = self._beam * transmission
        if self._noise:
            signal = signal + np.sqrt(signal + 9) * self._random.standard_normal(signal.shape)
        return _counts(signal + self._dark)


def _half_chord(squares: Array) -> Array:
    return np.sqrt(np.maximum(squares, 0.0))


def _counts(values: Array) -> Frames:
    return np.clip(np.rint(values), 0, 65_535).astype(np.uint16)
