"""A first look at a scan within seconds: three orthogonal planes, nine centres, a projection and what to expect.

Here: which few rows and projections are read, and the order of work. What belongs here is speed before detail. Not here: arithmetic
(``look.py``, ``planes.py``) and drawing (``pictures.py``).
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from als_assets.recon import CONTRACT_VERSION
from als_assets.recon.center import Center
from als_assets.recon.chain import Corrector, find_center, pixel_size_mm
from als_assets.recon.errors import OutputIncomplete, explained_output
from als_assets.recon.output import write_atomically
from als_assets.recon.parameters import Resolved
from als_assets.recon.progress import Say
from als_assets.recon.reconstruct import Summary
from als_assets.recon.scan import Scan
from als_assets.recon.views.look import Planes, Slices, coarse_frames, middle_slices, side_planes
from als_assets.recon.views.pictures import LIMIT_BYTES, Caption, Grey, Images, captioned, contact_sheet, grey, histogram, save, window

_DISK_BYTES_PER_S = 400e6  # assumed for the estimate; a single disk
_BINS = 96


def preview(source: Path, into: Path, resolved: Resolved, say: Say) -> Summary:
    """Writes six pictures and, last, ``preview.json`` into ``into``.

    Corrections of whole projections (phase, tilt, sparks) are left out: they need the whole scan. Raises the errors of input, parameters
    and output.
    """
    started = time.monotonic()
    parameters = resolved.parameters
    with Scan(source) as scan, ThreadPoolExecutor(1) as pool:
        pixel_size_mm(scan, parameters)
        frames = pool.submit(coarse_frames, scan)  # reads while the centre is searched
        corrector = Corrector(scan, parameters.transmission_floor)
        center = find_center(scan, corrector, parameters.center)
        say(f"centre of rotation {center.value:.2f} px by {center.method}, confidence {center.confidence}")
        side = pool.submit(lambda: side_planes(frames.result(), scan, parameters, center.value))
        slices = middle_slices(scan, corrector, parameters, center.value)
        planes = side.result()
        view = _View(slices, planes, np.exp(-frames.result().middle), center, _estimate(scan, slices.seconds_full))
        with explained_output(into):
            into.mkdir(parents=True, exist_ok=True)
            sizes = {name: save(draw, into / name, longest) for name, (draw, longest) in view.pictures().items()}
            record = {**view.record(sizes), "parameters": parameters.model_dump(), "ignored": resolved.ignored}
            write_atomically(into / "preview.json", json.dumps(record, indent=2).encode())
    files = [into / name for name in (*sizes, "preview.json")]
    total = sum(_checked_bytes(path) for path in files)
    return Summary(into, len(files), total, time.monotonic() - started, center.value)


class _View:
    """What is shown of one scan; ``projection`` is a transmission."""

    def __init__(self, slices: Slices, planes: Planes, projection: Images, center: Center, seconds: float) -> None:
        self._slices, self._planes, self._projection, self._center, self._seconds = slices, planes, projection, center, seconds
        self._shown = window(slices.middle[slices.inside])
        values = slices.middle[slices.inside]
        low, high = (float(value) for value in np.percentile(values, (0.02, 99.98)))
        self._counts, self._edges = np.histogram(values, bins=_BINS, range=(low, high if high > low else low + 1))

    def pictures(self) -> dict[str, Any]:
        """Files by name: how each is drawn, and its longest side."""
        slices = self._slices
        xz, yz = self._planes.planes
        fine_mm, coarse_mm = slices.pixel_mm, self._planes.pixel_mm
        side = window(np.stack([xz, yz]))
        nearest = f"row {slices.row}, centre {self._center.value:.2f} px"
        count = f"{self._planes.count} projections"
        return {
            "preview_xy.jpg": _drawn(grey(slices.middle, *self._shown), Caption("across the axis", nearest, fine_mm), 960),
            "preview_xz.jpg": _drawn(grey(xz, *side), Caption("along the axis, from the front", count, coarse_mm), 960),
            "preview_yz.jpg": _drawn(grey(yz, *side), Caption("along the axis, from the side", count, coarse_mm), 960),
            "projection.jpg": _drawn(
                grey(self._projection, *window(self._projection)), Caption("one projection", "transmission", coarse_mm), 960
            ),
            "centers.jpg": (self._sheet(), 1024),
            "histogram.png": (lambda _longest: histogram(self._counts, self._edges, self._shown, "1/cm"), 640),
        }

    def _sheet(self) -> Any:
        trials, images = self._slices.trials, self._slices.details
        step = trials[1] - trials[0]
        header = f"centre of rotation in pixels, steps of {step:g}; framed: the estimate ({self._center.confidence} confidence)"
        shown = window(images[len(trials) // 2])
        labels = [f"{trial:.2f}" for trial in trials]
        return partial(contact_sheet, [grey(image, *shown) for image in images], labels, header, len(trials) // 2)

    def record(self, sizes: dict[str, tuple[int, int]]) -> dict[str, Any]:
        """The content of ``preview.json``."""
        estimates = self._center.estimates
        return {
            "contract": CONTRACT_VERSION,
            "center": asdict(self._center),
            "agreement_px": max(estimates.values()) - min(estimates.values()) if len(estimates) > 1 else None,
            "centers_shown": [round(value, 3) for value in self._slices.trials],
            "images": {name: {"width_px": size[0], "height_px": size[1]} for name, size in sizes.items()},
            "row": self._slices.row,
            "estimated_seconds": round(self._seconds, 1),
            "histogram": {"units": "1/cm", "counts": self._counts.tolist(), "edges": [float(edge) for edge in self._edges]},
            "shown": {"units": "1/cm", "black": self._shown[0], "white": self._shown[1]},
        }


def _drawn(image: Grey, caption: Caption, longest: int) -> tuple[Any, int]:
    return partial(captioned, image, caption), longest


def _estimate(scan: Scan, seconds_per_slice: float) -> float:
    """Seconds of the full reconstruction here: computing on all cores and moving bytes overlap, the slower one counts."""
    shape = scan.shape
    moved = shape.rows * (4 * shape.columns**2 + scan.dtype.itemsize * shape.angles * shape.columns)
    return max(seconds_per_slice * shape.rows, moved / _DISK_BYTES_PER_S) + 1


def _checked_bytes(path: Path) -> int:
    size = path.stat().st_size
    if size == 0 or (path.suffix != ".json" and size > LIMIT_BYTES):
        raise OutputIncomplete(f"{path.name} has {size} bytes.", next_step="Check the disk and run the same command again.")
    return size
