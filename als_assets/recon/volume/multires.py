"""Multi-resolution images: a directory of slices becomes one OME-Zarr store.

Here: the command, from the slices and the scan they came from to the store. What belongs here is the order of its steps. Not here: how
slices are read (``stack.py``), levels are made (``pyramid.py``) and stores are described (``ngff.py``).
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from als_assets.recon.errors import InputUnreadable, MissingField, ShapeMismatch
from als_assets.recon.progress import Progress, Say
from als_assets.recon.reconstruct import Summary
from als_assets.recon.scan import Scan
from als_assets.recon.volume.levels import CHUNK, Band, bands_of
from als_assets.recon.volume.stack import Stack
from als_assets.recon.volume.zarr_store import Form
from als_assets.recon.volume.zarrsink import StoreInWork


def multires(folder: Path, raw: Path | None, output: Path | None, say: Say, form: Form | None = None) -> Summary:
    """Writes ``output`` (default: ``folder`` + .zarr) from the slices in ``folder``.

    Sizes in micrometres come from the record that reconstruct left beside the slices, else from the scan ``raw``. A killed run is gone on
    with: bands of 128 slices that are finished are not read again. Raises InputUnreadable, ShapeMismatch, MissingField and the errors of
    output.
    """
    started = time.monotonic()
    folder = Path(folder.absolute())
    target = Path(output.absolute()) if output is not None else folder.with_name(folder.name + ".zarr")
    record = _reconstruction_record(folder)
    stack = _scaled(Stack.open(folder), record)
    pixel_um = 1000 * _pixel_size_mm(raw, record, stack)
    newest = max(path.stat().st_mtime_ns for path in stack.files)
    fingerprint = {"slices": [str(folder), len(stack.files), newest], "pixel_um": pixel_um}
    with StoreInWork(target, stack.shape, form or Form(), fingerprint) as work:
        _write(stack, work, say)
        provenance = {"source": folder.name, "reconstruction": record}
        files, size = work.publish(pixel_um, provenance, lambda row, lines: stack.block(slice(row, row + 1), lines)[0])
    return Summary(target, files, size, time.monotonic() - started)


def _write(stack: Stack, work: StoreInWork, say: Say) -> None:
    pyramid = work.pyramid
    bands = bands_of(pyramid.shapes, 0)
    missing = [band.rows(pyramid.shapes) for band in bands if not pyramid.has(band)]
    progress = Progress(say, "slices", stack.shape[0], stack.shape[0] - sum(rows.stop - rows.start for rows in missing))
    pyramid.settle(stack.sample())
    for rows in missing:
        pyramid.write(Band(0, rows.start // CHUNK), partial(stack.block, rows))
        progress.advance(rows.stop - rows.start)


def _scaled(stack: Stack, record: dict[str, Any]) -> Stack:
    """The stack with what its integers stand for, where the record tells it."""
    written = record.get("output")
    if stack.dtype == "float32" or not isinstance(written, dict) or "scale" not in written:
        return stack
    return replace(stack, offset=float(written["offset"]), scale=float(written["scale"]))


def _reconstruction_record(folder: Path) -> dict[str, Any]:
    path = folder / "parameters.json"
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputUnreadable(f"{path} is not JSON: {error}.", next_step="Run reconstruct again.") from error
    return content if isinstance(content, dict) else {}


def _pixel_size_mm(raw: Path | None, record: dict[str, Any], stack: Stack) -> float:
    """What the reconstruction used, else what the scan says."""
    size = record.get("pixel_size_mm")
    if raw is not None:
        with Scan(raw) as scan:
            if (scan.shape.rows, scan.shape.columns) != (stack.shape[0], stack.shape[2]):
                raise ShapeMismatch(
                    f"{raw} has {scan.shape.rows} rows of {scan.shape.columns} columns, the slices are {stack.shape}.",
                    next_step="Give the scan that these slices were reconstructed from as --raw.",
                )
            size = size or scan.pixel_size_mm
    if not isinstance(size, float):
        raise MissingField(
            f"Neither {raw or 'a scan'} nor parameters.json holds a pixel size.", next_step="Give the scan as --raw, or reconstruct again."
        )
    return size
