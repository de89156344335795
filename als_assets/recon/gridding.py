"""Fourier reconstruction by gridding: filtered spectra of the projections are spread on a grid and transformed back.

Here: the plan (where each polar sample falls, with which weights) and its application to batches of slices. What belongs here
is the method of O'Sullivan (IEEE Trans. Med. Imaging 4, 1985) with the window of Beatty et al. (IEEE Trans. Med. Imaging 24,
2005). Not here: the inner loops, see ``kernels.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from als_assets.recon import filters
from als_assets.recon.engine import Geometry, Images

_WINDOW = 4  # cells; with the oversampling below the error of gridding is under the one of the ramp's discretisation
_OVERSAMPLING = 1.25
_PADDING = 1.5  # of the projections; less lets the filter wrap around (cupping, wrong mean)
_TABLE_STEPS = 4096


@dataclass(frozen=True)
class GriddingEngine:
    """``lanes`` slices (even) are reconstructed at once, interleaved so that one weight serves one vector of slices."""

    lanes: int = 8
    vector: bool = True

    @property
    def name(self) -> str:
        """Goes into the record of the result."""
        return f"gridding-{'vector' if self.vector else 'plain'}-{self.lanes}"

    def plan(self, geometry: Geometry) -> GriddingPlan:
        """See ``Engine.plan``; takes a fraction of a second even for large scans."""
        sizes = _Sizes.of(geometry.width)
        return GriddingPlan(self.lanes, self.vector, geometry, sizes, _table(geometry, sizes), _response(geometry, sizes))


@dataclass(frozen=True)
class _Sizes:
    """``grid``: cells along each side; ``length``: padded samples of a projection; ``beta``: shape of the window."""

    grid: int
    length: int
    beta: float

    @classmethod
    def of(cls, width: int) -> _Sizes:
        grid = _even_good_size(max(int(_OVERSAMPLING * width), 2 * _WINDOW))
        sigma = grid / width
        # a tenth over the value of Beatty et al., because the window is used without its step (measured on discs)
        beta = 1.1 * np.pi * np.sqrt((_WINDOW / sigma * (sigma - 0.5)) ** 2 - 0.8)
        return cls(grid, _even_good_size(int(_PADDING * width) + 2), float(beta))


@dataclass(frozen=True)
class _Table:
    points: NDArray[np.int32]
    cells: NDArray[np.int32]
    u: Images
    v: Images


@dataclass(frozen=True)
class GriddingPlan:
    """See ``Plan``. Memory is given in bytes."""

    lanes: int
    vector: bool
    geometry: Geometry
    sizes: _Sizes
    table: _Table
    response: NDArray[np.complex64]

    @property
    def batch(self) -> int:
        """Slices per call of a worker."""
        return self.lanes

    @property
    def bytes_shared(self) -> int:
        """Tables that all workers read."""
        return self.table.points.size * (4 + 4 + 16 + 16)

    @property
    def bytes_per_worker(self) -> int:
        """Grid, spectra or slices, and sinograms (raw and corrected) of one worker."""
        width, angles = self.geometry.width, self.geometry.theta.size
        return self.lanes * (4 * self.sizes.grid**2 + max(4 * angles * self.sizes.length, 4 * width**2) + 8 * angles * width)

    def worker(self) -> GriddingWorker:
        """New buffers."""
        return GriddingWorker(self)

    def recentred(self, center: float) -> GriddingPlan:
        """Only the phase of the filter changes."""
        geometry = replace(self.geometry, center=center)
        return replace(self, geometry=geometry, response=_response(geometry, self.sizes))


class GriddingWorker:
    """See ``Worker``."""

    def __init__(self, plan: GriddingPlan) -> None:
        from als_assets.recon import kernels, vectors

        geometry, sizes, lanes = plan.geometry, plan.sizes, plan.lanes
        self._plan = plan
        spectra, slices = (geometry.theta.size, sizes.length, lanes), (lanes, geometry.width, geometry.width)
        store = _aligned((max(int(np.prod(spectra)), int(np.prod(slices))),))
        self._spectra = store[: int(np.prod(spectra))].reshape(spectra)
        self._out = store[: int(np.prod(slices))].reshape(slices)  # in the same memory: spectra are spread before slices are cut
        self._grid = _aligned((sizes.grid, sizes.grid, lanes))
        self._pack, self._shape = kernels.pack(lanes), kernels.shape_spectrum(lanes)
        self._spread = vectors.spread(lanes) if plan.vector else kernels.spread(lanes)
        self._cut = kernels.cut(lanes)
        self._re = np.ascontiguousarray(plan.response.real)
        self._im = np.ascontiguousarray(plan.response.imag)
        self._factor = _deapodisation(geometry.width, sizes)

    def apply(self, sinograms: Images, threads: int = 1) -> Images:
        """See ``Worker.apply``."""
        import ducc0

        plan, geometry, n = self._plan, self._plan.geometry, self._plan.sizes.grid
        spectra, grid, table = self._spectra, self._grid, self._plan.table
        rows = sinograms.shape[0]
        self._pack(sinograms, np.float32(1.0 if geometry.edge_padding else 0.0), spectra)
        pairs = spectra.view(np.complex64)
        ducc0.fft.c2c(pairs, axes=(1,), forward=True, out=pairs, nthreads=threads)
        self._shape(spectra, self._re, self._im)
        grid.fill(0)
        flat = spectra.reshape(-1, plan.lanes)
        self._spread(flat, table.points, table.cells, table.u, table.v, n, grid.reshape(-1, plan.lanes))
        out = self._out[:rows]
        start = n // 2 - geometry.width // 2
        inside = slice(start, start + geometry.width)
        images = grid.view(np.complex64)
        ducc0.fft.c2c(images, axes=(1,), forward=False, out=images, nthreads=threads)
        # of the second transform only the columns that are kept
        ducc0.fft.c2c(images[:, inside], axes=(0,), forward=False, out=images[:, inside], nthreads=threads)
        factor_y = (self._factor * (geometry.scale / plan.sizes.length)).astype(np.float32)
        radius = min(geometry.mask_radius, 2.0 * geometry.width)
        self._cut(grid[inside, inside], self._factor.astype(np.float32), factor_y, radius, out)
        return out


def _table(geometry: Geometry, sizes: _Sizes) -> _Table:
    from als_assets.recon import kernels

    n = sizes.grid
    frequency = np.fft.fftfreq(sizes.length)
    cos, sin = np.cos(geometry.theta), np.sin(geometry.theta)
    weights = filters.angle_weights(geometry.theta, geometry.period)
    steps = np.arange(_WINDOW // 2 * _TABLE_STEPS + 2) / _TABLE_STEPS
    inside = np.sqrt(np.maximum(0.0, 1 - (2 * steps / _WINDOW) ** 2))
    # the step at the window's end is taken off, so that a sample on a cell reaches equally far to both sides
    shape = (np.i0(sizes.beta * inside) - 1) / (np.i0(sizes.beta) - 1)
    cursor = np.zeros(((n + 63) // 64) ** 2, np.int64)
    nothing = _Table(np.empty(0, np.int32), np.empty(0, np.int32), np.empty((0, 4), np.float32), np.empty((0, 4), np.float32))

    def run(table: _Table, fill: bool) -> None:
        kernels.place(cos, sin, weights, frequency, n, shape, cursor, table.points, table.cells, table.u, table.v, fill)

    run(nothing, False)
    total = int(cursor.sum())
    cursor[:] = np.cumsum(cursor) - cursor
    table = _Table(np.empty(total, np.int32), np.empty(total, np.int32), np.empty((total, 4), np.float32), np.empty((total, 4), np.float32))
    run(table, True)
    return table


def _response(geometry: Geometry, sizes: _Sizes) -> NDArray[np.complex64]:
    frequency = np.asarray(np.fft.fftfreq(sizes.length), np.float64)
    shape = filters.ramp(sizes.length) * filters.window(geometry.filter, frequency, geometry.filter_cutoff, geometry.filter_order)
    shape[sizes.length // 2] = 0  # the Nyquist sample has no mirror image: it would leak from a slice into its partner
    return np.asarray(shape * np.exp(2j * np.pi * frequency * geometry.center), np.complex64)


def _deapodisation(width: int, sizes: _Sizes) -> NDArray[np.float64]:
    """One over the window's transform at the pixels of a slice (Kaiser-Bessel less its step, in analytic form)."""
    x = (np.arange(width) - width // 2) / sizes.grid
    z = np.sqrt(np.asarray(sizes.beta**2 - (np.pi * _WINDOW * x) ** 2, np.complex128))
    transform = _WINDOW * (np.real(np.sinh(z) / z) - np.sinc(_WINDOW * x)) / (np.i0(sizes.beta) - 1)
    return np.asarray(1 / transform, np.float64)


def _even_good_size(at_least: int) -> int:
    import ducc0

    half = cast(int, ducc0.fft.good_size((at_least + 1) // 2))
    return 2 * half


def _aligned(shape: tuple[int, ...]) -> Images:
    """Memory at a multiple of 64 bytes, the width of the widest vector registers; written once, so that it really is there."""
    size = int(np.prod(shape))
    store = np.empty(size + 16, np.float32)
    store.fill(0)
    start = (-store.ctypes.data // 4) % 16
    return store[start : start + size].reshape(shape)
