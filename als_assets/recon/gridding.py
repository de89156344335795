"""Fourier reconstruction by gridding: filtered spectra of the projections are spread on a grid and transformed back.

Here: the plan (where each polar sample falls, with which weights) and its application to batches of slices. What belongs here
is the method of O'Sullivan (IEEE Trans. Med. Imaging 4, 1985) with the window of Beatty et al. (IEEE Trans. Med. Imaging 24,
2005). Not here: the inner loops, see ``kernels.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from als_assets.recon import filters
from als_assets.recon.engine import Geometry, Images
from als_assets.recon.pieces import spans

_WINDOW = 4  # cells; with the oversampling below the error of gridding is under the one of the ramp's discretisation
_OVERSAMPLING = 1.25
_PADDING = 1.5  # of the projections; less lets the filter wrap around (cupping, wrong mean)
_TABLE_STEPS = 4096
_PIECE_BYTES = 500_000  # of spectra at a time: what the second cache of a core holds
_COLUMNS = 64  # of the grid at a time
_TILE = 4  # cells along a side of the squares in whose order samples are spread: one and its surroundings stay in the first cache
_BAND = 64  # lines of the grid at a time, whole tiles


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
    """``grid``: cells along each side, a line every ``stride``; ``length``: padded samples of a projection; ``beta``: shape of the
    window."""

    grid: int
    length: int
    beta: float

    @property
    def stride(self) -> int:
        """Lines must not be whole pages apart: neighbours would fall into the same places of the caches, which halves the speed."""
        return self.grid + (8 - self.grid) % 64

    @classmethod
    def of(cls, width: int) -> _Sizes:
        grid = _fast_even_size(max(int(_OVERSAMPLING * width), 2 * _WINDOW))
        sigma = grid / width
        # a tenth over the value of Beatty et al., because the window is used without its step (measured on discs)
        beta = 1.1 * np.pi * np.sqrt((_WINDOW / sigma * (sigma - 0.5)) ** 2 - 0.8)
        return cls(grid, _fast_even_size(int(_PADDING * width)), float(beta))


@dataclass(frozen=True)
class _Table:
    """Polar samples in the order of the tiles of the grid that they fall on; those of a band of tiles follow ``bands[band]``."""

    bands: list[int]
    points: NDArray[np.int32]
    cells: NDArray[np.int32]
    u: Images
    v: Images

    @classmethod
    def of(cls, bands: list[int], size: int) -> _Table:
        """To be filled."""
        points, cells = (np.empty(size, np.int32) for _ in range(2))
        u, v = (np.empty((size, _WINDOW), np.float32) for _ in range(2))
        return cls(bands, points, cells, u, v)


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
        grid = self.sizes.grid * (self.sizes.stride + _COLUMNS)
        return self.lanes * (4 * grid + max(4 * angles * self.sizes.length, 4 * width**2) + 8 * angles * width)

    def worker(self) -> GriddingWorker:
        """New buffers."""
        return GriddingWorker(self)

    def recentred(self, center: float) -> GriddingPlan:
        """Only the phase of the filter changes."""
        geometry = replace(self.geometry, center=center)
        return replace(self, geometry=geometry, response=_response(geometry, self.sizes))


class GriddingWorker:
    """See ``Worker``. Goes over memory in pieces that stay in the caches: angles, then bands of the grid, then columns of it."""

    def __init__(self, plan: GriddingPlan) -> None:
        from als_assets.recon import kernels, kernels_vector

        geometry, sizes, lanes = plan.geometry, plan.sizes, plan.lanes
        self._plan = plan
        spectra, slices = (geometry.theta.size, sizes.length, lanes), (lanes, geometry.width, geometry.width)
        store = _aligned((max(int(np.prod(spectra)), int(np.prod(slices))),))
        self._spectra = store[: int(np.prod(spectra))].reshape(spectra)
        self._out = store[: int(np.prod(slices))].reshape(slices)  # in the same memory: spectra are spread before slices are cut
        self._grid = _aligned((sizes.grid, sizes.stride, lanes))
        self._columns = _aligned((sizes.grid * _COLUMNS * lanes,))
        loops = kernels_vector if plan.vector else kernels
        self._pack, self._spread, self._cut = loops.pack(lanes), loops.spread(lanes), loops.cut(lanes)
        self._shape = loops.shape_spectrum(lanes)
        self._re = np.ascontiguousarray(plan.response.real)
        self._im = np.ascontiguousarray(plan.response.imag)
        self._factor = _deapodisation(geometry.width, sizes)

    def apply(self, sinograms: Images, threads: int = 1) -> Images:
        """See ``Worker.apply``."""
        self._transform_lines(sinograms, threads)
        self._fill_grid(threads)
        out = self._out[: sinograms.shape[0]]
        self._take_slices(out, threads)
        return out

    def _transform_lines(self, sinograms: Images, threads: int) -> None:
        """Filtered spectra of the padded projections, some angles at a time."""
        import ducc0

        edge = np.float32(1.0 if self._plan.geometry.edge_padding else 0.0)
        step = max(1, _PIECE_BYTES // self._spectra[0].nbytes)
        for piece in spans(self._spectra.shape[0], step):
            spectra = self._spectra[piece]
            self._pack(sinograms, piece.start, edge, spectra)
            pairs = spectra.view(np.complex64)
            ducc0.fft.c2c(pairs, axes=(1,), forward=True, out=pairs, nthreads=threads)
            self._shape(spectra, self._re, self._im)

    def _fill_grid(self, threads: int) -> None:
        """Samples spread on the grid, and its lines transformed, a band of tiles at a time."""
        import ducc0

        plan, table, n = self._plan, self._plan.table, self._plan.sizes.grid
        samples, cells = self._spectra.reshape(-1, plan.lanes), self._grid.reshape(-1, plan.lanes)
        images, clean = self._grid[:, :n].view(np.complex64), 0
        for index, band in enumerate(spans(n, _BAND)):
            reached = min(band.stop + _WINDOW - 1, n)  # samples of a band reach into the next one
            self._grid[clean:reached], clean = 0, reached
            here = slice(table.bands[index], table.bands[index + 1])
            self._spread(samples, table.points[here], table.cells[here], table.u[here], table.v[here], plan.sizes.stride, cells)
            ducc0.fft.c2c(images[band], axes=(1,), forward=False, out=images[band], nthreads=threads)

    def _take_slices(self, out: Images, threads: int) -> None:
        """The columns of the grid that are kept, transformed and cut, some at a time."""
        import ducc0

        plan, geometry, n = self._plan, self._plan.geometry, self._plan.sizes.grid
        factor_x = self._factor.astype(np.float32)
        factor_y = (self._factor * (geometry.scale / plan.sizes.length)).astype(np.float32)
        radius = min(geometry.mask_radius, 2.0 * geometry.width)
        start = n // 2 - geometry.width // 2
        images = self._grid.view(np.complex64)
        for piece in spans(geometry.width, _COLUMNS):
            count = piece.stop - piece.start
            columns = self._columns[: n * count * plan.lanes].reshape(n, count, plan.lanes)
            from_grid = images[:, start + piece.start : start + piece.stop]
            ducc0.fft.c2c(from_grid, axes=(0,), forward=False, out=columns.view(np.complex64), nthreads=threads)
            self._cut(columns[start : start + geometry.width], piece.start, factor_x, factor_y, radius, out)


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
    tiles = -(-n // _TILE)
    cursor = np.zeros(tiles**2, np.int64)

    def run(table: _Table, fill: bool) -> None:
        grid = (n, sizes.stride, _TILE)
        kernels.place(cos, sin, weights, frequency, grid, shape, cursor, table.points, table.cells, table.u, table.v, fill)

    run(_Table.of([], 0), False)
    ends = np.cumsum(cursor)
    last = [tiles * min(band.stop // _TILE, tiles) - 1 for band in spans(_TILE * tiles, _BAND)]  # squares of the bands
    table = _Table.of([0, *(int(end) for end in ends[last])], int(ends[-1]))
    cursor[:] = ends - cursor
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


def _fast_even_size(at_least: int) -> int:
    """The smallest even number from ``at_least`` on without prime factors over 5, which transforms are fastest for."""
    size = at_least + at_least % 2
    while True:
        rest = size
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return size
        size += 2


def _aligned(shape: tuple[int, ...]) -> Images:
    """Memory at a multiple of 64 bytes, the width of the widest vector registers; written once, so that it really is there."""
    size = int(np.prod(shape))
    store = np.empty(size + 16, np.float32)
    store.fill(0)
    start = (-store.ctypes.data // 4) % 16
    return store[start : start + size].reshape(shape)
