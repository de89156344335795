"""Analytic samples and scan files for the tests of recon.

Here: exact line integrals of ellipses, their antialiased images, and a writer of the 8.3.2 layout. What belongs here is truth
that does not come from the code under test. Not here: assertions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Ellipse:
    """Added value, half axes, centre and rotation in degrees; lengths in units of half the width."""

    value: float
    a: float
    b: float
    x: float = 0.0
    y: float = 0.0
    turn: float = 0.0


# L. A. Shepp and B. F. Logan (1974), as in Kak and Slaney table 3.1, shrunk to stay inside the view
SHEPP_LOGAN = tuple(
    Ellipse(value, 0.95 * a, 0.95 * b, 0.95 * x, 0.95 * y, turn)
    for value, a, b, x, y, turn in (
        (2.0, 0.69, 0.92, 0, 0, 0),
        (-0.98, 0.6624, 0.8740, 0, -0.0184, 0),
        (-0.02, 0.11, 0.31, 0.22, 0, -18),
        (-0.02, 0.16, 0.41, -0.22, 0, 18),
        (0.01, 0.21, 0.25, 0, 0.35, 0),
        (0.01, 0.046, 0.046, 0, 0.1, 0),
        (0.01, 0.046, 0.046, 0, -0.1, 0),
        (0.01, 0.046, 0.023, -0.08, -0.605, 0),
        (0.01, 0.023, 0.023, 0, -0.606, 0),
        (0.01, 0.023, 0.046, 0.06, -0.605, 0),
        (0.3, 0.008, 0.008, 0.3, -0.3, 0),
        (0.3, 0.004, 0.004, 0.35, -0.3, 0),
        (0.3, 0.002, 0.02, 0.4, -0.3, 30),
    )
)


# The same sample with the contrasts of Toft's thesis (1996): a bright skull is half as bright, and the brain is not nearly empty.
TOFT = tuple(
    Ellipse(value, e.a, e.b, e.x, e.y, e.turn)
    for value, e in zip((1.0, -0.8, -0.2, -0.2, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.3, 0.3, 0.3), SHEPP_LOGAN, strict=True)
)


def disc(radius: float, x: float = 0.0, y: float = 0.0, value: float = 1.0) -> tuple[Ellipse, ...]:
    return (Ellipse(value, radius, radius, x, y),)


def sinogram(sample: Sequence[Ellipse], width: int, theta: Array, center: float, oversampling: int = 8) -> NDArray[np.float32]:
    """Line integrals in pixels times value, averaged over each detector pixel: (angles, width)."""
    half = width / 2
    out = np.zeros((theta.size, width))
    for part in range(oversampling):
        s = (np.arange(width) - center + (part + 0.5) / oversampling - 0.5) / half
        for e in sample:
            phi = np.deg2rad(e.turn)
            reach = ((e.a * np.cos(theta - phi)) ** 2 + (e.b * np.sin(theta - phi)) ** 2)[:, None]
            t = s[None] - (e.x * np.cos(theta) + e.y * np.sin(theta))[:, None]
            out += 2 * e.value * e.a * e.b * np.sqrt(np.maximum(reach - t * t, 0)) / reach * half / oversampling
    return out.astype(np.float32)


def image(sample: Sequence[Ellipse], width: int, oversampling: int = 8) -> Array:
    """Mean over each pixel, with the axis at pixel width // 2: (width, width), y downwards."""
    out = np.zeros((width, width))
    place = (np.arange(width) - width // 2) / (width / 2)
    parts = ((np.arange(oversampling) + 0.5) / oversampling - 0.5) / (width / 2)
    for e in sample:
        reach, c, s = max(e.a, e.b) + 1 / width, np.cos(np.deg2rad(e.turn)), np.sin(np.deg2rad(e.turn))
        rows, columns = (np.flatnonzero(np.abs(place - middle) <= reach) for middle in (e.y, e.x))
        box = np.ix_(rows, columns)
        for part_y in parts:
            for part_x in parts:
                x, y = (place[columns] + part_x - e.x)[None], (place[rows] + part_y - e.y)[:, None]
                out[box] += e.value * (((x * c + y * s) / e.a) ** 2 + ((y * c - x * s) / e.b) ** 2 <= 1) / oversampling**2
    return out


def distance(width: int) -> Array:
    """Of each pixel from the axis, in units of half the width."""
    y, x = np.mgrid[:width, :width] - width // 2
    return np.asarray(np.hypot(x, y) / (width / 2), np.float64)


def psnr(result: NDArray[np.float32], truth: Array, inside: float = 0.93) -> float:
    mask = distance(truth.shape[0]) < inside
    error = np.mean((result[mask] - truth[mask]) ** 2)
    return float(10 * np.log10((truth.max() - truth.min()) ** 2 / error))


@dataclass
class ScanFile:
    """How to write a scan; ``drop`` names datasets to leave out, ``replace`` those to write differently."""

    rows: int = 6
    width: int = 64
    angles: int = 91
    center: float | None = None
    sample: Sequence[Ellipse] = field(default_factory=lambda: disc(0.5, 0.2, 0.1))
    theta_deg: Array | None = None
    attenuation_per_cm: float = 1.0
    pixel_size_mm: float = 0.05
    dtype: str = "u2"
    chunks: tuple[int, int, int] | None = None
    wishes: dict[str, str] = field(default_factory=dict)
    drop: Sequence[str] = ()
    replace: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> Path:
        """The file, with the sample scaled by (row + 1) / rows so that rows differ."""
        theta = np.linspace(0, 180, self.angles) if self.theta_deg is None else self.theta_deg
        center = (self.width - 1) / 2 if self.center is None else self.center
        lines = sinogram(self.sample, self.width, np.deg2rad(theta), center) * self.attenuation_per_cm * self.pixel_size_mm / 10
        share = (np.arange(self.rows) + 1) / self.rows
        flat = np.full((3, self.rows, self.width), 40_000.0)
        flat += 2_000 * np.sin(np.arange(self.width) / 5)
        dark = np.full((2, self.rows, self.width), 100.0)
        counts = dark[0] + (flat[0] - dark[0]) * np.exp(-lines[:, None, :] * share[None, :, None])
        contents: dict[str, Any] = {
            "/exchange/data": np.rint(counts).astype(self.dtype),
            "/exchange/data_white": np.rint(flat).astype(self.dtype),
            "/exchange/data_dark": np.rint(dark).astype(self.dtype),
            "/exchange/theta": theta,
            "/measurement/instrument/detector/pixel_size": np.array([self.pixel_size_mm]),
            **{f"/process/tomo_rec/setup/algorithm/{key}": value.encode() for key, value in self.wishes.items()},
            **self.replace,
        }
        with h5py.File(path, "w") as file:
            for where, value in contents.items():
                if where not in self.drop:
                    file.create_dataset(where, data=value, chunks=self.chunks if where == "/exchange/data" else None)
            if "/exchange/theta" in file:
                file["/exchange/theta"].attrs["units"] = "deg"
        return path
