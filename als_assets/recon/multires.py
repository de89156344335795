"""Multi-resolution images: a directory of slices becomes one OME-Zarr 0.4 store.

Here: levels, chunks, metadata and checks of the store. What belongs here is the format of the result
(https://ngff.openmicroscopy.org/0.4/). Not here: how directories are staged, see ``output.py``.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from als_assets.recon.errors import InputUnreadable, MissingField, OutputIncomplete, ShapeMismatch, explained_output
from als_assets.recon.output import Staged, checked_name, write_atomically
from als_assets.recon.progress import Progress, Say
from als_assets.recon.reconstruct import Summary, versions
from als_assets.recon.scan import Scan

Triple = tuple[int, int, int]
CHUNK = 128
_SMALLEST = 128  # a level whose sides all fit into this is the last one


@dataclass(frozen=True)
class Stack:
    """A directory of float32 slices of equal size: files in order of rows, ``shape`` (rows, height, width),
    and the byte in each file where the pixels begin."""

    files: list[Path]
    shape: Triple
    offsets: list[int]

    @classmethod
    def open(cls, folder: Path) -> Stack:
        """Raises InputUnreadable (no slices, gaps, not TIFF) and ShapeMismatch."""
        import tifffile

        files = sorted(folder.glob("*_[0-9][0-9][0-9][0-9][0-9].tiff"))
        if not files or int(files[-1].stem[-5:]) != len(files) - 1:
            raise InputUnreadable(
                f"{folder} does not hold an unbroken series of slices (*_00000.tiff ...).", next_step="Run reconstruct again."
            )
        shapes: set[tuple[Any, ...]] = set()
        offsets = []
        for path in files:
            try:
                with tifffile.TiffFile(path) as tiff:
                    page = tiff.pages.first
                    plain = page.is_memmappable and tiff.byteorder == "<"
                    shapes.add((*page.shape, str(page.dtype) if plain else "stored in another way"))
                    offsets.append(int(page.dataoffsets[0]))
            except (OSError, ValueError, IndexError, tifffile.TiffFileError) as error:
                raise InputUnreadable(f"{path} is not a readable slice: {error}.", next_step="Run reconstruct again.") from error
        if len(shapes) != 1 or len(only := shapes.pop()) != 3 or only[2] != "float32":
            raise ShapeMismatch(f"The slices in {folder} differ in size or are not plain float32.", next_step="Run reconstruct again.")
        return cls(files, (len(files), int(only[0]), int(only[1])), offsets)

    def block(self, z: slice, y: slice, memory: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Rows ``y`` of the slices ``z`` over their full width, in ``memory`` if that is large enough. Raises InputUnreadable."""
        shape = (z.stop - z.start, y.stop - y.start, self.shape[2])
        size = int(np.prod(shape))
        store = memory if memory is not None and memory.size >= size else np.empty(size, np.float32)
        out = store[:size].reshape(shape)
        for row, target in zip(range(z.start, z.stop), out, strict=True):
            with self.files[row].open("rb", buffering=0) as stream:
                stream.seek(self.offsets[row] + 4 * y.start * self.shape[2])
                if stream.readinto(target.data.cast("B")) != target.nbytes:
                    raise InputUnreadable(f"{self.files[row]} ends before its pixels.", next_step="Run reconstruct again.")
        return out


def level_shapes(shape: Triple) -> list[Triple]:
    """Shapes from full size down; each side is halved (rounded up) while it is longer than one voxel."""
    shapes = [shape]
    while max(shapes[-1]) > _SMALLEST:
        depth, height, width = shapes[-1]
        shapes.append(((depth + 1) // 2, (height + 1) // 2, (width + 1) // 2))
    return shapes


def multires(folder: Path, raw: Path, output: Path | None, say: Say) -> Summary:
    """Writes ``output`` (default: ``folder`` + .zarr) from the slices in ``folder``; sizes in micrometres from ``raw``.

    Raises InputUnreadable, ShapeMismatch, MissingField and the errors of output.
    """
    started = time.monotonic()
    folder = Path(folder.absolute())
    target = Path(output.absolute()) if output is not None else folder.with_name(folder.name + ".zarr")
    checked_name(target.name)
    stack = Stack.open(folder)
    record = _reconstruction_record(folder)
    pixel_um = 1000 * _pixel_size_mm(raw, record, stack)
    newest = max(path.stat().st_mtime_ns for path in stack.files)
    with Staged(target, {"slices": [str(folder), len(stack.files), newest], "pixel_um": pixel_um, **versions()}) as staged:
        staged.require_space(int(1.2 * 4 * np.prod(stack.shape)))
        with explained_output(target):
            window = _write_levels(stack, staged.path, say)
            _write_metadata(staged.path, stack.shape, pixel_um, window, {"source": folder.name, "reconstruction": record})
        _verify(staged.path, stack)
        staged.publish()
    files = [path for path in target.rglob("*") if path.is_file()]
    return Summary(target, len(files), sum(path.stat().st_size for path in files), time.monotonic() - started)


def _reconstruction_record(folder: Path) -> dict[str, Any]:
    path = folder / "parameters.json"
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputUnreadable(f"{path} is not JSON: {error}.", next_step="Run reconstruct again.") from error
    return content if isinstance(content, dict) else {}


def _pixel_size_mm(raw: Path, record: dict[str, Any], stack: Stack) -> float:
    """What the reconstruction used, else what the scan says."""
    with Scan(raw) as scan:
        if (scan.shape.rows, scan.shape.columns) != (stack.shape[0], stack.shape[2]):
            raise ShapeMismatch(
                f"{raw} has {scan.shape.rows} rows of {scan.shape.columns} columns, the slices are {stack.shape}.",
                next_step="Give the scan that these slices were reconstructed from as --raw.",
            )
        size = record.get("pixel_size_mm") or scan.pixel_size_mm
    if not isinstance(size, float):
        raise MissingField(f"Neither {raw} nor parameters.json holds a pixel size.", next_step="Reconstruct with pixel_size_mm.")
    return size


def _write_levels(stack: Stack, store: Path, say: Say) -> tuple[float, float, float, float]:
    shapes = level_shapes(stack.shape)
    arrays = [_create(store, level, shape) for level, shape in enumerate(shapes)]
    progress = Progress(say, "blocks", sum(len(_blocks(shape)) for shape in shapes))
    memory = np.empty(min(CHUNK, stack.shape[0]) * min(CHUNK, stack.shape[1]) * stack.shape[2], np.float32)
    pending: list[Any] = []
    for z, y in _blocks(stack.shape):
        _write(arrays[0][z, y], stack.block(z, y, memory), pending)
        progress.advance(1)
    for finer, array, shape in zip(arrays, arrays[1:], shapes[1:], strict=False):
        _finish(pending)
        for z, y in _blocks(shape):
            _write(array[z, y], _halved(finer, z, y, shape), pending)
            progress.advance(1)
    _finish(pending)
    return _window(arrays[-1].read().result())


def _write(target: Any, block: NDArray[np.float32], pending: list[Any]) -> None:
    """Starts writing and returns when the block's memory may be used again; few blocks are on their way at a time."""
    future = target.write(block)
    future.copy.result()
    pending.append(future)
    if len(pending) > 2:
        pending.pop(0).result()


def _finish(pending: list[Any]) -> None:
    while pending:
        pending.pop(0).result()


def _blocks(shape: Triple) -> list[tuple[slice, slice]]:
    """Bands of whole chunks in z and y over the full width: what is in memory at a time."""
    depth, height, _ = shape
    return [
        (slice(z, min(z + CHUNK, depth)), slice(y, min(y + CHUNK, height))) for z in range(0, depth, CHUNK) for y in range(0, height, CHUNK)
    ]


def _halved(finer: Any, z: slice, y: slice, shape: Triple) -> NDArray[np.float32]:
    from als_assets.recon import kernels

    factors = [min(2, side) for side in finer.shape]
    source = finer[
        z.start * factors[0] : min(z.stop * factors[0], finer.shape[0]),
        y.start * factors[1] : min(y.stop * factors[1], finer.shape[1]),
    ]
    out = np.empty((z.stop - z.start, y.stop - y.start, shape[2]), np.float32)
    kernels.halve(np.asarray(source.read().result()), out, *factors)
    return out


def _create(store: Path, level: int, shape: Triple) -> Any:
    import tensorstore

    spec = {
        "driver": "zarr",
        "kvstore": {"driver": "file", "path": str(store / _level_path(level))},
        "metadata": {
            "shape": list(shape),
            "dtype": "<f4",
            "chunks": [CHUNK] * 3,
            "compressor": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0},
            "dimension_separator": "/",
            "fill_value": 0.0,
            "order": "C",
            "filters": None,
        },
    }
    return tensorstore.open(spec, create=True, delete_existing=True).result()


def _level_path(level: int) -> str:
    return f"scale{level}/image"  # the layout that the viewers and the Tiled server at ALS expect


def _window(coarse: NDArray[np.float32]) -> tuple[float, float, float, float]:
    """Minimum, maximum, and the range that holds 99.8 % of the voxels of the coarsest level."""
    low, high = (float(value) for value in np.percentile(coarse, (0.1, 99.9)))
    return float(coarse.min()), float(coarse.max()), low, high if high > low else low + 1.0


def _write_metadata(
    store: Path, shape: Triple, pixel_um: float, window: tuple[float, float, float, float], provenance: dict[str, Any]
) -> None:
    shapes = level_shapes(shape)
    name = store.name.removeprefix(".").removesuffix(".partial").removesuffix(".zarr")
    attributes = {
        "multiscales": [
            {
                "version": "0.4",
                "name": name,
                "axes": [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"],
                "datasets": [_dataset(level, shapes, pixel_um) for level in range(len(shapes))],
                "type": "mean",
                "metadata": {"method": "mean of blocks of 2 x 2 x 2 voxels", "units": "1/cm"},
            }
        ],
        "omero": {
            "version": "0.4",
            "name": name,
            "channels": [_channel(window)],
            "rdefs": {"model": "greyscale", "defaultZ": shape[0] // 2},
        },
        "als_assets": {**provenance, "versions": versions()},
    }
    documents: dict[str, Any] = {".zgroup": {"zarr_format": 2}, ".zattrs": attributes}
    for level in range(len(shapes)):
        documents[f"scale{level}/.zgroup"] = {"zarr_format": 2}
    for place, content in documents.items():
        write_atomically(store / place, json.dumps(content, indent=1).encode())
    for level in range(len(shapes)):
        array = f"{_level_path(level)}/.zarray"
        documents[array] = json.loads((store / array).read_bytes())
    consolidated = {"zarr_consolidated_format": 1, "metadata": documents}
    write_atomically(store / ".zmetadata", json.dumps(consolidated, indent=1).encode())


def _channel(window: tuple[float, float, float, float]) -> dict[str, Any]:
    bounds = dict(zip(("min", "max", "start", "end"), window, strict=True))
    return {"label": "linear attenuation (1/cm)", "color": "FFFFFF", "active": True, "window": bounds}


def _dataset(level: int, shapes: list[Triple], pixel_um: float) -> dict[str, Any]:
    # a side of one voxel is not halved any further; voxel centres move by half of what a block adds
    halvings = [sum(1 for upper in shapes[:level] if upper[axis] > 1) for axis in range(3)]
    return {
        "path": _level_path(level),
        "coordinateTransformations": [
            {"type": "scale", "scale": [pixel_um * 2**count for count in halvings]},
            {"type": "translation", "translation": [pixel_um * (2**count - 1) / 2 for count in halvings]},
        ],
    }


def _verify(store: Path, stack: Stack) -> None:
    """Reopens the store as a reader would and compares some planes with the slices. Raises OutputIncomplete."""
    import tensorstore

    levels = level_shapes(stack.shape)
    for level, shape in enumerate(levels):
        spec = {"driver": "zarr", "kvstore": {"driver": "file", "path": str(store / _level_path(level))}}
        array = tensorstore.open(spec, read=True).result()
        if tuple(array.shape) != shape:
            raise _incomplete(store, f"level {level} has shape {tuple(array.shape)}, not {shape}")
        if level == 0:
            for z in sorted({0, shape[0] // 2, shape[0] - 1}):
                if not np.array_equal(array[z].read().result(), stack.block(slice(z, z + 1), slice(0, shape[1]))[0]):
                    raise _incomplete(store, f"plane {z} differs from its slice")


def _incomplete(store: Path, reason: str) -> OutputIncomplete:
    return OutputIncomplete(f"{store.name} does not read back: {reason}.", next_step="Check the disk and run the same command again.")
