"""The whole reconstruction of a scan into slices, handed to whatever stores them.

Here: threads, memory, order of work and the record of what was done. What belongs here is the run. Not here: arithmetic, see
``chain.py``, nor files, see ``sinks.py``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from als_assets.recon import CONTRACT_VERSION
from als_assets.recon.center import Center
from als_assets.recon.chain import TOMOPY_SCALE, Chain, Corrector, find_center, pixel_size_mm
from als_assets.recon.engine import Plan
from als_assets.recon.engines import choose_engine
from als_assets.recon.errors import NotEnoughMemory
from als_assets.recon.machine import available_memory_bytes, cores, versions
from als_assets.recon.output import checked_name
from als_assets.recon.parameters import Parameters, Resolved
from als_assets.recon.pixels import Pixels
from als_assets.recon.progress import Progress, Say
from als_assets.recon.projections import prepared
from als_assets.recon.scan import Scan
from als_assets.recon.sinks import Product, SlabSink, TiffSink, Volume


@dataclass(frozen=True)
class Summary:
    """What a command made, for the last line of its output."""

    output: Path
    files: int
    bytes: int
    seconds: float
    center: float | None = None
    others: tuple[Product, ...] = ()


@dataclass(frozen=True)
class Options:
    """How to run, which does not change values: ``memory_bytes`` (None: 70 % of what is free), engine, and which results.

    ``zarr_format`` and ``zarr_pixels`` see ``zarrsink.py``.
    """

    memory_bytes: int | None = None
    engine: str = "auto"
    tiff: bool = True
    zarr: bool = False
    zarr_format: str = "0.4"
    zarr_pixels: str = "float32"


def reconstruct(source: Path, into: Path, resolved: Resolved, name: str | None, say: Say, options: Options | None = None) -> Summary:
    """Writes ``into/rec<name>/<name>_00000.tiff ...`` (1/cm, one per detector row) with ``parameters.json``, or a store, or both.

    Raises every ReconError of input, parameters, output and machine.
    """
    options = options or Options()
    started = time.monotonic()
    name = checked_name(source.stem if name is None else name)
    with Scan(source) as scan, ExitStack() as stack:
        parameters = resolved.parameters
        size_mm = pixel_size_mm(scan, parameters)
        marks = _fingerprint(scan, resolved, name)
        place = into / f"rec{name}.projections"
        ready = stack.enter_context(prepared(scan, parameters, size_mm, place, marks, cores(), say))
        corrector = Corrector(ready, parameters.transmission_floor)
        center = find_center(ready, corrector, parameters.center)
        say(f"centre of rotation {center.value:.2f} px by {center.method}, confidence {center.confidence}")
        warnings = _warnings(corrector.dead_rows, center)
        for warning in warnings:
            say(f"warning: {warning}")
        engine = choose_engine(options.engine)
        chain = Chain(ready, parameters, corrector, center.value, engine)
        volume = Volume(name, into, (scan.shape.rows, chain.width, chain.width), size_mm, marks)
        sinks = [stack.enter_context(sink) for sink in _sinks(volume, parameters, options)]
        _Run(chain, sinks, volume.shape[0], say).work(_workers(chain.plan, options.memory_bytes, sinks))
        record = {**_record(scan, resolved, center, engine.name, volume), "warnings": warnings}
        record["seconds"] = round(time.monotonic() - started, 3)
        products = [sink.finish(record) for sink in sinks]
    first, others = products[0], products[1:]
    return Summary(first.path, first.files, first.bytes, time.monotonic() - started, center.value, tuple(others))


def _sinks(volume: Volume, parameters: Parameters, options: Options) -> list[SlabSink]:
    sinks: list[SlabSink] = [TiffSink(volume, Pixels.of(parameters))] if options.tiff else []
    if options.zarr:
        from als_assets.recon.volume.zarrsink import zarr_sink

        sinks.append(zarr_sink(volume, options.zarr_format, options.zarr_pixels))
    return sinks


def _warnings(dead_rows: list[int], center: Center) -> list[str]:
    """What a person should know although the work goes on."""
    found = []
    if dead_rows:
        shown = ", ".join(map(str, dead_rows[:5])) + (", ..." if len(dead_rows) > 5 else "")
        found.append(f"{len(dead_rows)} detector rows see no light in the flat fields ({shown}): their slices are zero")
    if center.confidence == "low":
        found.append(f"the centre of rotation {center.value:.2f} px is uncertain: look at the centres of the preview")
    return found


class _Run:
    """The slabs of one reconstruction, each read, computed and handed on by one thread."""

    def __init__(self, chain: Chain, sinks: list[SlabSink], rows: int, say: Say) -> None:
        self._chain, self._sinks = chain, sinks
        batch = chain.plan.batch
        slabs = [(start, min(start + batch, rows)) for start in range(0, rows, batch)]
        self._wanted = {slab: [sink for sink in sinks if not sink.has(*slab)] for slab in slabs}
        self._slabs = [slab for slab in slabs if self._wanted[slab]]
        self._progress = Progress(say, "slices", rows, rows - sum(stop - start for start, stop in self._slabs))

    def work(self, workers: int) -> None:
        """Does what is left; the first failure stops the rest."""
        queue = iter(list(enumerate(self._slabs)))
        count = min(workers, len(self._slabs))
        with ThreadPoolExecutor(max(count, 1)) as pool:
            futures = [pool.submit(self._drain, queue, count) for _ in range(count)]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            if any(future.exception() is not None for future in done):
                self._slabs.clear()
            for future in futures:
                future.result()

    def _drain(self, queue: Iterator[tuple[int, tuple[int, int]]], workers: int) -> None:
        worker = self._chain.worker()
        for number, slab in queue:
            if not self._slabs:
                return
            for later in self._slabs[number + workers : number + workers + 1]:
                self._chain.announce(*later)
            slices = worker.slices(*slab, max(1, cores() // workers))
            for sink in self._wanted[slab]:
                sink.write(slab[0], slices)
            self._progress.advance(slab[1] - slab[0])


def _workers(plan: Plan, memory_bytes: int | None, sinks: Sequence[SlabSink]) -> int:
    """As many workers as cores and memory allow. Raises NotEnoughMemory."""
    budget = memory_bytes if memory_bytes is not None else int(0.7 * available_memory_bytes())
    fixed = plan.bytes_shared + sum(sink.memory_bytes for sink in sinks)
    fits = (budget - fixed) // plan.bytes_per_worker
    if fits < 1:
        raise NotEnoughMemory(
            f"One worker needs {(fixed + plan.bytes_per_worker) / 1e9:.2f} GB of memory, {budget / 1e9:.2f} GB may be used.",
            next_step="Run on a machine with more memory or raise --memory.",
        )
    return min(cores(), fits)  # reading overlaps by announcing rows, writing by the system's own memory of files


def _fingerprint(scan: Scan, resolved: Resolved, name: str) -> dict[str, Any]:
    stat = scan.path.stat()
    return {
        "contract": CONTRACT_VERSION,
        "version": versions()["als-assets"],
        "input": [str(scan.path.resolve()), stat.st_size, stat.st_mtime_ns],
        "name": name,
        "parameters": resolved.parameters.model_dump(),
    }


def _units(parameters: Parameters) -> str:
    return "1/cm" if parameters.value_scale == "1/cm" else f"{TOMOPY_SCALE} x 1/cm (scale of TomoPy)"


def _record(scan: Scan, resolved: Resolved, center: Center, engine: str, volume: Volume) -> dict[str, Any]:
    return {
        "contract": CONTRACT_VERSION,
        "name": volume.name,
        "input": {
            "file": scan.path.name,
            "bytes": scan.path.stat().st_size,
            "angles": scan.shape.angles,
            "rows": scan.shape.rows,
            "columns": scan.shape.columns,
            "pixels": str(scan.dtype),
            "first_angle_deg": float(scan.theta_deg[0]),
            "last_angle_deg": float(scan.theta_deg[-1]),
        },
        "output": {"units": _units(resolved.parameters), "pixels": "float32", "shape": list(volume.shape)},
        "center": asdict(center),
        "pixel_size_mm": volume.pixel_size_mm,
        "parameters": resolved.parameters.model_dump(),
        "sources": resolved.sources,
        "ignored": resolved.ignored,
        "engine": engine,
        "versions": versions(),
    }
