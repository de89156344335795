"""Slabs of a reconstruction go straight from memory into a multi-resolution store, while the next ones are computed.

Here: collecting slices until a band is full, and the life of one store from its staging directory to its place. What belongs here is what
``reconstruct`` and ``multires`` share about a store. Not here: levels (``pyramid.py``) and metadata (``ngff.py``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from als_assets.recon.errors import OutputIncomplete, explained_output
from als_assets.recon.machine import available_memory_bytes, versions
from als_assets.recon.output import Staged, checked_name
from als_assets.recon.pieces import spans
from als_assets.recon.volume import ngff
from als_assets.recon.volume.levels import CHUNK, Band, Triple
from als_assets.recon.volume.ngff import Description, Window
from als_assets.recon.volume.pyramid import Pyramid, pyramid_bytes
from als_assets.recon.volume.zarr_store import Form, Pixels, Version

if TYPE_CHECKING:
    from als_assets.recon.sinks import Product, Volume

Images = NDArray[np.float32]
_SHARE = 0.35  # of the memory that is free may hold bands of full size; more of them wait on disk


class StoreInWork:
    """One store from its staging directory to its place: a context manager that holds the lock of the place."""

    def __init__(self, target: Path, shape: Triple, form: Form, fingerprint: dict[str, Any]) -> None:
        checked_name(target.name)
        self.shape, self.form = shape, form
        self._staged = Staged(target, {**fingerprint, "zarr": [form.version, form.pixels], **versions()})
        self.pyramid: Pyramid

    def __enter__(self) -> StoreInWork:
        self._staged.__enter__()
        try:
            voxel_bytes = 4 if self.form.pixels == "float32" else 2
            self._staged.require_space(int(1.2 * voxel_bytes * np.prod(self.shape)))
            with explained_output(self._staged.target):
                self.pyramid = Pyramid(self._staged.path, self.shape, self.form)
        except BaseException as error:
            self._staged.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.pyramid.stop()
        self._staged.__exit__(kind, value, trace)

    @property
    def folder(self) -> Path:
        """Where the store is built."""
        return self._staged.path

    def publish(self, pixel_um: float, provenance: dict[str, Any], truth: Callable[[int, slice], Images | None]) -> tuple[int, int]:
        """Completes levels and metadata, reads back, and puts the store in its place; returns its files and bytes.

        ``truth`` gives lines of a slice as they were given, None where they are not at hand any more. Raises OutputIncomplete.
        """
        pyramid, target = self.pyramid, self._staged.target
        with explained_output(target):
            pyramid.finish()
            coarse = pyramid.shapes[-1]
            window = Window.of(pyramid.read(len(pyramid.shapes) - 1, slice(0, coarse[0]), slice(0, coarse[1])))
            record = {**provenance, "voxels_outside_the_scale": pyramid.outside} if pyramid.scale is not None else provenance
            name = target.name.removesuffix(".zarr")
            description = Description(name, self.shape, pixel_um, window, pyramid.scale, {**record, "versions": versions()})
            ngff.write(self.folder, self.form, description)
            self._verify(truth)
            pyramid.close()
            self._staged.publish()
        files = [path for path in target.rglob("*") if path.is_file()]
        return len(files), sum(path.stat().st_size for path in files)

    def _verify(self, truth: Callable[[int, slice], Images | None]) -> None:
        """Every file still has its size, and lines of three slices read back as they were."""
        if damaged := self.pyramid.damaged():
            raise self._incomplete(f"files of {damaged[0]} are missing or cut")
        for level, shape in enumerate(self.pyramid.shapes):
            if tuple(self.form.open(self.folder, level).shape) != shape:
                raise self._incomplete(f"level {level} has not the shape {shape}")
        lines = middle_strip(self.shape, self.form.strip)
        for row in sorted({0, self.shape[0] // 2, self.shape[0] - 1}):
            meant = truth(row, lines)
            if meant is not None and not np.array_equal(
                self.pyramid.read(0, slice(row, row + 1), lines)[0], self._rounded(meant), equal_nan=True
            ):
                raise self._incomplete(f"slice {row} differs from what was written")

    def _rounded(self, meant: Images) -> Images:
        scale = self.pyramid.scale
        return meant if scale is None else scale.values(scale.stored(np.ascontiguousarray(meant))[0])

    def _incomplete(self, reason: str) -> OutputIncomplete:
        return OutputIncomplete(
            f"{self._staged.target.name} does not read back: {reason}.", next_step="Check the disk and run the same command again."
        )


class ZarrSink:
    """A ``SlabSink``: slabs in nearly rising order become ``<folder>/rec<name>.zarr``."""

    def __init__(self, volume: Volume, form: Form) -> None:
        self._volume, self._form = volume, form
        target = volume.folder / f"rec{volume.name}.zarr"
        self._work = StoreInWork(Path(target.absolute()), volume.shape, form, volume.fingerprint)
        self._lock = threading.Lock()
        self._open: dict[int, _Slices] = {}
        self._witnesses: dict[int, Images] = {}
        self._band_bytes: int = 4 * min(CHUNK, volume.shape[0]) * volume.shape[1] * volume.shape[2]
        self._in_memory = min(2, -(-volume.shape[0] // CHUNK), int(_SHARE * available_memory_bytes() / self._band_bytes))

    @property
    def memory_bytes(self) -> int:
        """See ``SlabSink``: bands of full size, their halves, and strips on their way to disk."""
        return self._in_memory * self._band_bytes + pyramid_bytes(self._volume.shape, self._form.strip)

    def __enter__(self) -> ZarrSink:
        self._work.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._work.__exit__(kind, value, trace)

    def has(self, first_row: int, stop_row: int) -> bool:
        """See ``SlabSink``."""
        return all(self._work.pyramid.has(Band(0, index)) for index in range(first_row // CHUNK, (stop_row - 1) // CHUNK + 1))

    def write(self, first_row: int, slab: Images) -> None:
        """See ``SlabSink``. Raises DiskFull, OutputNotWritable."""
        row = first_row
        while row < first_row + slab.shape[0]:
            index = row // CHUNK
            stop = min((index + 1) * CHUNK, first_row + slab.shape[0])
            self._add(index, row, slab[row - first_row : stop - first_row])
            row = stop

    def finish(self, record: dict[str, Any]) -> Product:
        """See ``SlabSink``. Raises OutputIncomplete."""
        from als_assets.recon.sinks import Product

        volume = self._volume
        provenance = {"source": volume.name, "reconstruction": record}
        files, size = self._work.publish(1000 * volume.pixel_size_mm, provenance, self._witness)
        return Product(volume.folder / f"rec{volume.name}.zarr", files, size)

    def _add(self, index: int, row: int, part: Images) -> None:
        pyramid = self._work.pyramid
        band = Band(0, index)
        if pyramid.has(band):  # a slab that reaches into the next band was computed again for that one
            return
        with self._lock:
            slices = self._open.get(index) or self._opened(band)
        slices.put(row - index * CHUNK, part)
        for kept in {0, self._volume.shape[0] // 2, self._volume.shape[0] - 1} & set(range(row, row + part.shape[0])):
            self._witnesses[kept] = part[kept - row].astype(np.float32)
        with self._lock:
            slices.filled += part.shape[0]
            if slices.filled < slices.rows:
                return
        pyramid.settle(slices.strips(middle_strip(self._volume.shape, self._form.strip)))
        pyramid.write(band, slices.strips)
        with self._lock:
            del self._open[index]

    def _opened(self, band: Band) -> _Slices:
        rows = band.rows(self._work.pyramid.shapes)
        shape = (rows.stop - rows.start, *self._volume.shape[1:])
        in_memory = sum(slices.spill is None for slices in self._open.values()) < self._in_memory
        slices = _Slices(shape, self._form.strip, None if in_memory else self._work.folder / f".band-{band.index}")
        self._open[band.index] = slices
        return slices

    def _witness(self, row: int, lines: slice) -> Images | None:
        found = self._witnesses.get(row)
        return None if found is None else found[lines]


class _Slices:
    """The slices of one band as they come, in strips of lines, in memory or in a file without a name."""

    def __init__(self, shape: Triple, strip: int, spill: Path | None) -> None:
        self.rows, self.filled, self.spill = shape[0], 0, spill
        self._pieces, self._step = spans(shape[1], strip), strip
        sizes = [shape[0] * (piece.stop - piece.start) * shape[2] for piece in self._pieces]
        store = np.empty(sum(sizes), np.float32) if spill is None else _on_disk(spill, sum(sizes))
        parts = np.split(store, np.cumsum(sizes)[:-1])
        self._strips = [part.reshape(shape[0], -1, shape[2]) for part in parts]

    def put(self, row: int, part: Images) -> None:
        """Copies slices into their places from ``row`` of the band on."""
        for piece, target in zip(self._pieces, self._strips, strict=True):
            target[row : row + part.shape[0]] = part[:, piece]

    def strips(self, lines: slice) -> Images:
        """Lines of the whole band."""
        strip: Images = self._strips[lines.start // self._step]
        return strip


def _on_disk(place: Path, size: int) -> Images:
    """An array in a file that goes away with it, whatever ends this process."""
    with explained_output(place):
        array = np.memmap(place, np.float32, "w+", shape=(size,))
        place.unlink()
    return cast(Images, array)


def zarr_sink(volume: Volume, version: str = "0.4", pixels: str = "float32") -> ZarrSink:
    """The sink that ``reconstruct`` writes to when a multi-resolution volume is wanted; see ``Form`` for the words."""
    return ZarrSink(volume, Form(cast(Version, version), cast(Pixels, pixels)))


def middle_strip(shape: Triple, strip: int) -> slice:
    """Lines in the middle of the slices, where the sample is."""
    pieces = spans(shape[1], strip)
    return pieces[len(pieces) // 2]
