"""What a reconstruction engine is: planned once for a geometry, then applied to slabs of sinograms.

Here: the protocol that the chain talks to, and the choice of an engine. What belongs here is what a vector, a plain and a GPU
engine have in common. Not here: any arithmetic, see ``gridding.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]


@dataclass(frozen=True)
class Geometry:
    """How projections were taken and what to make of them.

    ``width`` columns; ``theta`` (angles,) radian; ``center`` detector column of the axis; ``mask_radius`` pixels; ``scale``
    multiplies the result (1 / pixel size in cm for 1/cm); ``period`` is pi, or 2 pi where a projection and the one half a turn
    later see different parts of the sample. A sample at (x, y) from the axis, y down the image, is seen at
    column center + x cos(theta) + y sin(theta); the axis is at pixel width // 2 of the slice in both directions.
    """

    width: int
    theta: NDArray[np.float64]
    center: float
    filter: str = "ramp"
    filter_cutoff: float = 0.25
    filter_order: int = 2
    edge_padding: bool = True
    mask_radius: float = float("inf")
    scale: float = 1.0
    period: float = np.pi


class Worker(Protocol):
    """One thread's buffers."""

    def apply(self, sinograms: Images, threads: int = 1) -> Images:
        """(rows, angles, width) line integrals per pixel, rows <= batch -> (rows, width, width) slices.

        The result is the worker's own memory and valid until its next call.
        """
        ...


class Plan(Protocol):
    """An engine prepared for one geometry; may be shared by threads, each with its own worker."""

    @property
    def batch(self) -> int:
        """Slices per call of a worker."""
        ...

    @property
    def bytes_shared(self) -> int:
        """Memory that all workers read."""
        ...

    @property
    def bytes_per_worker(self) -> int:
        """Memory of one worker, with its raw data, sinograms and slices."""
        ...

    def worker(self) -> Worker:
        """A new set of buffers."""
        ...

    def recentred(self, center: float) -> Plan:
        """The same plan for another centre of rotation; cheap."""
        ...


class Engine(Protocol):
    """A way to reconstruct."""

    @property
    def name(self) -> str:
        """Goes into the record of the result."""
        ...

    def plan(self, geometry: Geometry) -> Plan:
        """All that can be computed before data arrive."""
        ...
