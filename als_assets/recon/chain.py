"""From raw projections to slices: the order of corrections, the centre of rotation and the engine.

Here: what happens to values between the file and the slice. What belongs here is the sequence. Not here: files of the result,
threads and progress, see ``reconstruct.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from als_assets.recon import center as centers
from als_assets.recon.engine import Engine, Geometry, Plan
from als_assets.recon.errors import CenterNotFound, MissingField, ZeroFlats
from als_assets.recon.parameters import Parameters
from als_assets.recon.rings import FourierWavelet, Smoothing, Sorting, StripeFilter
from als_assets.recon.scan import Scan

Images = NDArray[np.float32]


class Corrector:
    """Line integrals from raw projections: dark and flat field, floor, -log, dead pixels from their neighbours.

    Raises ZeroFlats (at making) when most pixels see no light in the flat fields.
    """

    def __init__(self, scan: Scan, floor: float) -> None:
        flat, dark = scan.fields()
        light = flat - dark
        self._dead = ~(light > 0)
        if self._dead.mean() > 0.5:
            raise ZeroFlats(
                f"The flat fields of {scan.path} hold no light above the dark fields in {self._dead.mean():.0%} of the pixels.",
                next_step="Check shutter and exposure of the flat fields; take them again if you can.",
            )
        self._gain = np.where(self._dead, 0, 1 / np.where(self._dead, 1, light)).astype(np.float32)
        self._offset = np.where(self._dead, 1, -dark * self._gain).astype(np.float32)
        self._floor = np.float32(floor)

    def sinograms(self, raw: NDArray[Any], start: int, out: Images | None = None) -> Images:
        """(angles, rows, columns) raw pixels from detector row ``start`` on -> (rows, angles, columns) line integrals,
        in ``out`` if given."""
        from als_assets.recon import kernels

        angles, rows, columns = raw.shape
        if out is None:
            out = np.empty((rows, angles, columns), np.float32)
        here = slice(start, start + rows)
        kernels.absorb(raw, self._gain[here], self._offset[here], self._floor, out)
        for row in np.flatnonzero(self._dead[here].any(1)):
            _bridge(out[row], self._dead[start + row])
        return out


def _bridge(sinogram: Images, dead: NDArray[np.bool_]) -> None:
    """Fills dead columns linearly from the nearest good ones, in place; a row without any good column becomes zero."""
    good = np.flatnonzero(~dead)
    if good.size == 0:
        sinogram[:] = 0
        return
    for column in np.flatnonzero(dead):
        right = int(np.searchsorted(good, column))
        near = good[max(right - 1, 0)], good[min(right, good.size - 1)]
        share = (column - near[0]) / (near[1] - near[0]) if near[1] > near[0] else 0.0
        sinogram[:, column] = (1 - share) * sinogram[:, near[0]] + share * sinogram[:, near[1]]


def pixel_size_mm(scan: Scan, parameters: Parameters) -> float:
    """The pixel size, from the parameters or the scan. Raises MissingField when neither has it."""
    size = parameters.pixel_size_mm or scan.pixel_size_mm
    if size is None:
        raise MissingField(
            f"{scan.path} has no /measurement/instrument/detector/pixel_size, so values in 1/cm cannot be computed.",
            next_step="Give pixel_size_mm in a file named by --params.",
        )
    return size


def find_center(scan: Scan, corrector: Corrector, wanted: float | str) -> centers.Center:
    """The centre of rotation as ``wanted``: a number, one method, or ``auto``. Raises CenterNotFound."""
    if not isinstance(wanted, str):
        return centers.Center(float(wanted), "given", {}, "given")
    estimates: dict[str, float] = {}
    for name, method in (("pc", _by_projections), ("vo", _by_sinogram)):
        try:
            estimates[name] = method(scan, corrector)
        except CenterNotFound:
            if wanted == name:
                raise
    return centers.judge(estimates, wanted)


def _by_projections(scan: Scan, corrector: Corrector) -> float:
    index, beyond = centers.opposite(scan.theta_deg)
    turned = _projection(scan, corrector, index)
    value = centers.phase_correlation(_projection(scan, corrector, 0), turned)
    step = float(scan.theta_deg[1] - scan.theta_deg[0])
    if abs(beyond) > 0.02 and index > 1 and 0 < abs(step) < 5:
        # the pair is not exactly half a turn apart: a second pair, off by one step more or less, tells the drift per degree
        further = centers.phase_correlation(_projection(scan, corrector, 1), turned)
        value += (further - value) / step * beyond
    return value


def _projection(scan: Scan, corrector: Corrector, index: int) -> Images:
    return corrector.sinograms(scan.projections(index, index + 1), 0)[:, 0, :]


def _by_sinogram(scan: Scan, corrector: Corrector) -> float:
    """Median over up to three rows, because single rows may hold nothing of the sample."""
    rows = sorted({(scan.shape.rows * share) // 4 for share in (1, 2, 3)})
    found, refusal = [], None
    for row in rows:
        try:
            found.append(centers.vo(corrector.sinograms(scan.rows(row, row + 1), row)[0], scan.theta_deg))
        except CenterNotFound as error:
            refusal = error
    if refusal is not None and not found:
        raise refusal
    return float(np.median(found))


class Chain:
    """Everything prepared for one scan and one set of parameters; shared by threads, each with its own ``worker()``."""

    def __init__(self, scan: Scan, parameters: Parameters, corrector: Corrector, center: float, engine: Engine) -> None:
        self._scan, self._corrector = scan, corrector
        self.plan: Plan = engine.plan(geometry(scan, parameters, center))
        self._rings = ring_filter(parameters, scan.shape.angles)

    def worker(self) -> ChainWorker:
        """One thread's buffers."""
        return ChainWorker(self._scan, self._corrector, self._rings, self.plan)


class ChainWorker:
    """One thread's way from rows of the detector to slices, in memory that is used again for every slab."""

    def __init__(self, scan: Scan, corrector: Corrector, rings: StripeFilter | None, plan: Plan) -> None:
        self._scan, self._corrector, self._rings, self._worker = scan, corrector, rings, plan.worker()
        shape = scan.shape
        rows = min(plan.batch, shape.rows)
        self._raw = np.empty((shape.angles, rows, shape.columns), scan.dtype)
        self._sinograms = np.empty((rows, shape.angles, shape.columns), np.float32)

    def slices(self, start: int, stop: int, threads: int = 1) -> Images:
        """Slices of rows ``start:stop`` (at most ``plan.batch``) in 1/cm, (rows, columns, columns), valid until the next call."""
        raw = self._scan.rows(start, stop, self._raw)
        sinograms = self._corrector.sinograms(raw, start, self._sinograms[: stop - start])
        if self._rings is not None:
            for row in range(sinograms.shape[0]):
                sinograms[row] = self._rings.apply(sinograms[row])
        return self._worker.apply(sinograms, threads)


def geometry(scan: Scan, parameters: Parameters, center: float) -> Geometry:
    """The geometry of a scan. Raises MissingField without a pixel size."""
    width = scan.shape.columns
    return Geometry(
        width=width,
        theta=np.radians(scan.theta_deg),
        center=center,
        filter=parameters.filter,
        filter_cutoff=parameters.filter_cutoff,
        filter_order=parameters.filter_order,
        edge_padding=parameters.padding == "edge",
        mask_radius=parameters.mask_ratio * width / 2 if parameters.mask_ratio else float("inf"),
        scale=10 / pixel_size_mm(scan, parameters),
    )


def ring_filter(parameters: Parameters, angles: int) -> StripeFilter | None:
    """The stripe filter asked for, or None."""
    if parameters.ring_removal == "fourier-wavelet":
        return FourierWavelet(angles, parameters.ring_level, parameters.ring_wavelet, parameters.ring_sigma)
    if parameters.ring_removal == "smoothing":
        return Smoothing(parameters.ring_size)
    if parameters.ring_removal == "sorting":
        return Sorting(parameters.ring_size)
    return None
