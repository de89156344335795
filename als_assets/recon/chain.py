"""From raw projections to slices: the order of corrections, the centre of rotation and the engine.

Here: what happens to values between the file and the slice. What belongs here is the sequence. Not here: files of the result,
threads and progress, see ``reconstruct.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from als_assets.recon import center as centers
from als_assets.recon.engine import Engine, Geometry, Plan
from als_assets.recon.errors import CenterNotFound, MissingField, ZeroFlats
from als_assets.recon.fourier_wavelet import FourierWavelet
from als_assets.recon.machine import cores
from als_assets.recon.parameters import Parameters
from als_assets.recon.projections import Source
from als_assets.recon.rings import AllStripes, Smoothing, Sorting, StripeFilter, Titarenko, bridge
from als_assets.recon.sharpness import sharpest
from als_assets.recon.stitching import Stitch

Images = NDArray[np.float32]

TOMOPY_SCALE = 1.16  # what gridrec of TomoPy yields over the true value on average; from 1.05 to 1.29, with the filling of the view


class Corrector:
    """Line integrals from raw projections: dark and flat field, floor, -log, dead pixels from their neighbours.

    Raises ZeroFlats (at making) when most pixels see no light in the flat fields.
    """

    def __init__(self, scan: Source, floor: float) -> None:
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

    @property
    def dead_rows(self) -> list[int]:
        """Detector rows without any light: their slices will be zero."""
        return [int(row) for row in np.flatnonzero(self._dead.all(1))]

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
            bridge(out[row], self._dead[start + row])
        return out


def pixel_size_mm(scan: Source, parameters: Parameters) -> float:
    """The pixel size, from the parameters or the scan. Raises MissingField when neither has it."""
    size = parameters.pixel_size_mm or scan.pixel_size_mm
    if size is None:
        raise MissingField(
            f"{scan.path} has no /measurement/instrument/detector/pixel_size, so values in 1/cm cannot be computed.",
            next_step="Give pixel_size_mm in a file named by --params.",
        )
    return size


def find_center(scan: Source, corrector: Corrector, wanted: float | str) -> centers.Center:
    """The centre of rotation as ``wanted``: a number, one method, or ``auto``. Raises CenterNotFound.

    ``auto`` compares phase correlation and vo, for a full turn also overlap, and asks the image only where these do not agree.
    """
    if not isinstance(wanted, str):
        return centers.Center(float(wanted), "given", {}, "given")
    always = [name for name in _METHODS if name in ("pc", "vo", wanted)]
    with ThreadPoolExecutor(len(always)) as pool:
        found = dict(zip(always, pool.map(lambda name: _found(name, scan, corrector), always), strict=True))
    if isinstance(refusal := found.get(wanted), CenterNotFound):
        raise refusal
    for name in ("overlap", "image") if wanted == "auto" else ():
        settled = centers.judge(_numbers(found), wanted).confidence == "high" if _numbers(found) else False
        if np.ptp(scan.theta_deg) > 355 if name == "overlap" else not settled:
            found[name] = _found(name, scan, corrector)
    return centers.judge(_numbers(found), wanted)


def _found(name: str, scan: Source, corrector: Corrector) -> float | CenterNotFound:
    """What one method says, or why it cannot."""
    try:
        return _METHODS[name](scan, corrector)
    except CenterNotFound as error:
        return error


def _numbers(found: dict[str, float | CenterNotFound]) -> dict[str, float]:
    return {name: value for name, value in found.items() if not isinstance(value, CenterNotFound)}


def _by_projections(scan: Source, corrector: Corrector) -> float:
    index, beyond = centers.opposite(scan.theta_deg)
    turned = _projection(scan, corrector, index)
    value = centers.phase_correlation(_projection(scan, corrector, 0), turned)
    step = float(scan.theta_deg[1] - scan.theta_deg[0])
    if abs(beyond) > 0.02 and index > 1 and 0 < abs(step) < 5:
        # the pair is not exactly half a turn apart: a second pair, off by one step more or less, tells the drift per degree
        further = centers.phase_correlation(_projection(scan, corrector, 1), turned)
        value += (further - value) / step * beyond
    return value


def _projection(scan: Source, corrector: Corrector, index: int) -> Images:
    return corrector.sinograms(scan.projections(index, index + 1), 0)[:, 0, :]


def _by_overlap(scan: Source, corrector: Corrector) -> float:
    """Of up to four pairs, because one may show nothing of the sample at the edges."""
    index, _ = centers.opposite(scan.theta_deg)
    starts = np.unique(np.linspace(0, scan.shape.angles - 1 - index, 4).astype(int))
    return centers.overlap([(_projection(scan, corrector, int(i)), _projection(scan, corrector, int(i) + index)) for i in starts])


def _by_sinogram(scan: Source, corrector: Corrector) -> float:
    return _over_rows(scan, corrector, centers.vo)


def _by_image(scan: Source, corrector: Corrector) -> float:
    return _over_rows(scan, corrector, sharpest)


def _over_rows(scan: Source, corrector: Corrector, method: Callable[[Images, NDArray[np.float64]], float]) -> float:
    """Median over up to three rows, because single rows may hold nothing of the sample."""
    rows = sorted({(scan.shape.rows * share) // 4 for share in (1, 2, 3)})

    refusal: CenterNotFound | None = None

    def one(row: int) -> float:
        nonlocal refusal
        try:
            return method(corrector.sinograms(scan.rows(row, row + 1), row)[0], scan.theta_deg)
        except CenterNotFound as error:
            refusal = error
            return np.nan

    with ThreadPoolExecutor(cores()) as pool:
        found = np.array(list(pool.map(one, rows)))
    if refusal is not None and np.isnan(found).all():
        raise refusal
    return float(np.nanmedian(found))


_METHODS: dict[str, Callable[[Source, Corrector], float]] = {
    "pc": _by_projections,
    "vo": _by_sinogram,
    "overlap": _by_overlap,
    "image": _by_image,
}


class Chain:
    """Everything prepared for one scan and one set of parameters; shared by threads, each with its own ``worker()``.

    ``width`` of the slices in pixels. Raises BadParameters (stitching without a full turn).
    """

    def __init__(self, scan: Source, parameters: Parameters, corrector: Corrector, center: float, engine: Engine) -> None:
        shape = geometry(scan, parameters, center)
        self._steps = Steps(scan, parameters, center)
        if self._steps.stitch is not None:
            shape = self._steps.stitch.widened(shape, parameters.mask_ratio)
        self._scan, self._corrector = scan, corrector
        self.width = shape.width
        self.plan: Plan = engine.plan(shape)

    def announce(self, start: int, stop: int) -> None:
        """These rows will be reconstructed soon."""
        self._scan.announce(start, stop)

    def worker(self) -> ChainWorker:
        """One thread's buffers."""
        return ChainWorker(self._scan, self._corrector, self._steps, self.plan)


class Steps:
    """Corrections of sinograms after the logarithm, in their order: outliers along the angle, beam hardening, rings, stitching."""

    def __init__(self, scan: Source, parameters: Parameters, center: float) -> None:
        self._outlier, self._half = np.float32(parameters.outlier_1d), parameters.outlier_size // 2
        self._hardening = np.array(parameters.beam_hardening, np.float32)
        self._rings = ring_filter(parameters, scan.shape.angles)
        self.stitch = Stitch.of(scan.theta_deg, scan.shape.columns, center) if parameters.stitch_360 else None

    def apply(self, sinograms: Images) -> None:
        """(rows, angles, columns) line integrals, in place; stitching is left to the caller, whose memory is wider."""
        from als_assets.recon import kernels_values

        if self._hardening.size:
            kernels_values.polynomial(sinograms, self._hardening)
        for sinogram in sinograms:
            if self._outlier:
                kernels_values.without_dips(sinogram.copy(), self._half, self._outlier, sinogram)
            if self._rings is not None:
                self._rings.apply(sinogram, out=sinogram)


class ChainWorker:
    """One thread's way from rows of the detector to slices, in memory that is used again for every slab."""

    def __init__(self, scan: Source, corrector: Corrector, steps: Steps, plan: Plan) -> None:
        self._scan, self._corrector, self._steps, self._worker = scan, corrector, steps, plan.worker()
        shape = scan.shape
        rows = min(plan.batch, shape.rows)
        self._raw = np.empty((shape.angles, rows, shape.columns), scan.dtype)
        self._sinograms = np.empty((rows, shape.angles, shape.columns), np.float32)
        stitch = steps.stitch
        self._wide = None if stitch is None else np.zeros((rows, shape.angles, stitch.width), np.float32)

    def slices(self, start: int, stop: int, threads: int = 1) -> Images:
        """Slices of rows ``start:stop`` (at most ``plan.batch``) in 1/cm, (rows, width, width), valid until the next call."""
        raw = self._scan.rows(start, stop, self._raw)
        sinograms = self._corrector.sinograms(raw, start, self._sinograms[: stop - start])
        self._steps.apply(sinograms)
        if self._steps.stitch is not None and self._wide is not None:
            sinograms = self._steps.stitch.apply(sinograms, self._wide[: stop - start])
        return self._worker.apply(sinograms, threads)


def geometry(scan: Source, parameters: Parameters, center: float) -> Geometry:
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
        scale=10 / pixel_size_mm(scan, parameters) * (TOMOPY_SCALE if parameters.value_scale == "tomopy" else 1.0),
    )


def ring_filter(parameters: Parameters, angles: int) -> StripeFilter | None:
    """The stripe filter asked for, or None."""
    if parameters.ring_removal == "fourier-wavelet":
        return FourierWavelet(angles, parameters.ring_level, parameters.ring_wavelet, parameters.ring_sigma)
    if parameters.ring_removal == "smoothing":
        return Smoothing(parameters.ring_size)
    if parameters.ring_removal == "titarenko":
        return Titarenko(parameters.ring_size)
    if parameters.ring_removal == "all-stripes":
        return AllStripes(parameters.ring_snr, parameters.ring_large_size, parameters.ring_size)
    if parameters.ring_removal == "sorting":
        return Sorting(parameters.ring_size)
    return None
