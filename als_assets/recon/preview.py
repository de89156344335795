"""A first look at a scan within seconds: three orthogonal planes, nine centres, a projection and what to expect.

Here: which few rows and projections are read and what is shown of them. What belongs here is speed before detail. Not here:
drawing, see ``pictures.py``.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from als_assets.recon import CONTRACT_VERSION
from als_assets.recon.center import Center
from als_assets.recon.chain import Corrector, find_center, geometry
from als_assets.recon.engine import Geometry, Images
from als_assets.recon.engines import choose_engine
from als_assets.recon.errors import OutputIncomplete, explained_output
from als_assets.recon.output import write_atomically
from als_assets.recon.parameters import Resolved
from als_assets.recon.pictures import LIMIT_BYTES, contact_sheet, grey, save_jpeg, window
from als_assets.recon.progress import Say
from als_assets.recon.reconstruct import Summary, cores
from als_assets.recon.scan import Scan

_VOLUME_WIDTH = 256  # pixels of the small volume behind the vertical planes
_READ_BYTES = 300_000_000  # of projections for it
_SHEET_WIDTH = 320
_DISK_BYTES_PER_S = 400e6  # assumed for the estimate; a single disk


def preview(source: Path, into: Path, resolved: Resolved, say: Say) -> Summary:
    """Writes five JPEG pictures and ``preview.json`` into ``into``. Raises the errors of input, parameters and output."""
    started = time.monotonic()
    with Scan(source) as scan:
        corrector = Corrector(scan, resolved.parameters.transmission_floor)
        center = find_center(scan, corrector, resolved.parameters.center)
        say(f"centre of rotation {center.value:.2f} px by {center.method}, confidence {center.confidence}")
        view = _View(scan, corrector, resolved, center)
        with explained_output(into):
            into.mkdir(parents=True, exist_ok=True)
            sizes = view.draw(into)
            record = view.record(sizes)
            write_atomically(into / "preview.json", json.dumps(record, indent=2).encode())
    files = [into / name for name in (*sizes, "preview.json")]
    total = sum(_checked_bytes(path) for path in files)
    return Summary(into, len(files), total, time.monotonic() - started, center.value)


class _View:
    """The planes of one scan."""

    def __init__(self, scan: Scan, corrector: Corrector, resolved: Resolved, center: Center) -> None:
        self._scan, self._corrector, self._resolved, self._center = scan, corrector, resolved, center
        self._geometry = geometry(scan, resolved.parameters, center.value)
        self._row = scan.shape.rows // 2
        self._sinogram = corrector.sinograms(scan.rows(self._row, self._row + 1), self._row)[0]
        began = time.monotonic()
        plan = choose_engine().plan(self._geometry)
        worker = plan.worker()
        planned = time.monotonic()
        self._slice = worker.apply(self._sinogram[None], cores())[0]
        self._seconds = self._estimate(planned - began, time.monotonic() - planned, plan.batch)

    def draw(self, into: Path) -> dict[str, tuple[int, int]]:
        """Writes the pictures; their sizes (width, height) by name."""
        volume = self._small_volume()
        low, high = window(self._slice)
        middle = self._corrector.sinograms(self._scan.projections(*self._middle()), 0)[:, 0, :]
        pictures = {
            "preview_xy.jpg": grey(self._slice, low, high),
            "preview_xz.jpg": grey(volume[:, volume.shape[1] // 2], *window(volume)),
            "preview_yz.jpg": grey(volume[:, :, volume.shape[2] // 2], *window(volume)),
            "centers.jpg": self._centers(),
            "projection.jpg": grey(np.exp(-middle), *window(np.exp(-middle))),
        }
        return {name: save_jpeg(image, into / name) for name, image in pictures.items()}

    def record(self, sizes: dict[str, tuple[int, int]]) -> dict[str, Any]:
        """The content of ``preview.json``."""
        counts, edges = np.histogram(self._slice, bins=64)
        estimates = self._center.estimates
        return {
            "contract": CONTRACT_VERSION,
            "center": asdict(self._center),
            "agreement_px": max(estimates.values()) - min(estimates.values()) if len(estimates) > 1 else None,
            "centers_shown": [round(value, 3) for value in self._trial_centers()],
            "images": {name: {"width_px": size[0], "height_px": size[1]} for name, size in sizes.items()},
            "row": self._row,
            "estimated_seconds": round(self._seconds, 1),
            "histogram": {"units": "1/cm", "counts": counts.tolist(), "edges": [float(edge) for edge in edges]},
            "parameters": self._resolved.parameters.model_dump(),
            "ignored": self._resolved.ignored,
        }

    def _middle(self) -> tuple[int, int]:
        index = self._scan.shape.angles // 2
        return index, index + 1

    def _trial_centers(self) -> list[float]:
        step = max(0.5, self._scan.shape.columns / 1280)
        return [self._center.value + step * offset for offset in range(-4, 5)]

    def _centers(self) -> NDArray[np.uint8]:
        """The middle slice for nine centres, coarse in columns but shifted before binning, so that the shifts stay visible."""
        by = max(1, self._scan.shape.columns // _SHEET_WIDTH)
        trials = self._trial_centers()
        shifted = np.stack([_binned_columns(_shifted(self._sinogram, self._center.value - trial), by) for trial in trials])
        every = max(1, shifted.shape[1] // (2 * _SHEET_WIDTH))
        slices = _reconstructed(np.ascontiguousarray(shifted[:, ::every]), self._coarse(by, slice(None, None, every)))
        low, high = window(slices[4])
        labels = [f"{trial:.2f}" for trial in trials]
        return contact_sheet([grey(image, low, high) for image in slices], labels)

    def _small_volume(self) -> Images:
        """All rows, binned, from as many evenly spread projections as may be read."""
        shape = self._scan.shape
        by = max(1, shape.columns // _VOLUME_WIDTH)
        frame = shape.rows * shape.columns * self._scan.dtype.itemsize
        count = int(np.clip(_READ_BYTES // frame, 45, 2 * _VOLUME_WIDTH))
        every = max(1, shape.angles // count)
        by_rows = min(by, shape.rows)
        views = []
        for index in range(0, shape.angles, every):
            lines = self._corrector.sinograms(self._scan.projections(index, index + 1), 0)[:, 0, :]
            rows = lines[: lines.shape[0] // by_rows * by_rows].reshape(-1, by_rows, shape.columns).mean(1)
            views.append(_binned_columns(rows, by))
        sinograms = np.ascontiguousarray(np.stack(views, axis=1), np.float32)
        return _reconstructed(sinograms, self._coarse(by, slice(0, shape.angles, every)))

    def _coarse(self, by: int, angles: slice) -> Geometry:
        """The geometry after binning ``by`` columns; values stay in 1/cm."""
        full = self._geometry
        width = full.width // by
        return replace(
            full,
            width=width,
            theta=full.theta[angles],
            center=(full.center - (by - 1) / 2) / by,
            mask_radius=full.mask_radius / by,
            scale=full.scale / by,
        )

    def _estimate(self, planning_s: float, batch_s: float, batch: int) -> float:
        """Seconds of the full reconstruction: computing on all cores and moving bytes overlap, the slower one counts."""
        shape = self._scan.shape
        computing = planning_s + batch_s * -(-shape.rows // batch)
        moved = shape.rows * (4 * shape.columns**2 + self._scan.dtype.itemsize * shape.angles * shape.columns)
        return max(computing, moved / _DISK_BYTES_PER_S) + 1


def _binned_columns(lines: Images, by: int) -> Images:
    usable = lines.shape[-1] // by * by
    return np.asarray(lines[..., :usable].reshape(*lines.shape[:-1], -1, by).mean(-1), np.float32)


def _shifted(sinogram: Images, by: float) -> Images:
    """Columns moved right by a part of pixels, linear between neighbours, edges repeated."""
    columns = np.arange(sinogram.shape[1]) - by
    left = np.floor(columns).astype(int)
    share = (columns - left).astype(np.float32)
    last = sinogram.shape[1] - 1
    return np.asarray((1 - share) * sinogram[:, np.clip(left, 0, last)] + share * sinogram[:, np.clip(left + 1, 0, last)], np.float32)


def _reconstructed(sinograms: Images, shape: Geometry) -> Images:
    plan = choose_engine().plan(shape)
    worker = plan.worker()
    starts = range(0, sinograms.shape[0], plan.batch)
    return np.concatenate([worker.apply(sinograms[start : start + plan.batch], cores()).copy() for start in starts])


def _checked_bytes(path: Path) -> int:
    size = path.stat().st_size
    if size == 0 or (path.suffix == ".jpg" and size > LIMIT_BYTES):
        raise OutputIncomplete(f"{path.name} has {size} bytes.", next_step="Check the disk and run the same command again.")
    return size
