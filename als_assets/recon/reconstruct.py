"""The whole reconstruction of a scan into a directory of TIFF files.

Here: threads, memory, files, resuming and the record of what was done. What belongs here is the run. Not here: arithmetic, see
``chain.py``, nor words for the terminal, see ``cli.py``.
"""

from __future__ import annotations

import json
import os
import platform
import time
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from als_assets.recon import CONTRACT_VERSION, tiff
from als_assets.recon.center import Center
from als_assets.recon.chain import Chain, Corrector, find_center, pixel_size_mm
from als_assets.recon.engine import Images, Plan
from als_assets.recon.engines import choose_engine
from als_assets.recon.errors import NotEnoughMemory, OutputIncomplete, explained_output
from als_assets.recon.output import Staged, checked_name, sync, write_atomically
from als_assets.recon.parameters import Resolved
from als_assets.recon.progress import Progress, Say
from als_assets.recon.scan import Scan


@dataclass(frozen=True)
class Summary:
    """What a command made, for the last line of its output."""

    output: Path
    files: int
    bytes: int
    seconds: float
    center: float | None = None


def reconstruct(
    source: Path, into: Path, resolved: Resolved, name: str | None, say: Say, memory_bytes: int | None = None, engine_name: str = "auto"
) -> Summary:
    """Writes ``into/rec<name>/<name>_00000.tiff ...`` (float32, 1/cm, one per detector row) and ``parameters.json``.

    Raises every ReconError of input, parameters, output and machine.
    """
    started = time.monotonic()
    name = checked_name(source.stem if name is None else name)
    with Scan(source) as scan:
        pixel_size_mm(scan, resolved.parameters)
        with Staged(into / f"rec{name}", _fingerprint(scan, resolved, name)) as staged:
            rows, width = scan.shape.rows, scan.shape.columns
            staged.require_space(rows * (width * width * 4 + tiff.HEADER_BYTES))
            corrector = Corrector(scan, resolved.parameters.transmission_floor)
            center = find_center(scan, corrector, resolved.parameters.center)
            say(f"centre of rotation {center.value:.2f} px by {center.method}, confidence {center.confidence}")
            engine = choose_engine(engine_name)
            chain = Chain(scan, resolved.parameters, corrector, center.value, engine)
            _Run(chain, staged.path, name, rows, pixel_size_mm(scan, resolved.parameters), say).work(_workers(chain.plan, memory_bytes))
            record = _record(scan, resolved, center, engine.name, name, time.monotonic() - started)
            with explained_output(staged.target):
                write_atomically(staged.path / "parameters.json", json.dumps(record, indent=2, default=str).encode())
            size = _verify(staged.path, name, rows, width)
            staged.publish()
    return Summary(staged.target, rows + 1, size, time.monotonic() - started, center.value)


def tiff_path(folder: Path, name: str, row: int) -> Path:
    """The file of one row."""
    return folder / f"{name}_{row:05d}.tiff"


class _Run:
    """The slabs of one reconstruction, each read, computed and written by one thread."""

    def __init__(self, chain: Chain, folder: Path, name: str, rows: int, pixel_size_mm: float, say: Say) -> None:
        self._chain, self._folder, self._name, self._pixel_size_mm = chain, folder, name, pixel_size_mm
        batch = chain.plan.batch
        slabs = [(start, min(start + batch, rows)) for start in range(0, rows, batch)]
        self._slabs = [slab for slab in slabs if not all(tiff_path(folder, name, row).exists() for row in range(*slab))]
        self._progress = Progress(say, "slices", rows, rows - sum(stop - start for start, stop in self._slabs))

    def work(self, workers: int) -> None:
        """Does what is left; the first failure stops the rest."""
        queue = iter(self._slabs)
        count = min(workers, len(self._slabs))
        with ThreadPoolExecutor(max(count, 1)) as pool:
            futures = [pool.submit(self._drain, queue, max(1, cores() // count)) for _ in range(count)]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            if any(future.exception() is not None for future in done):
                self._slabs.clear()
            for future in futures:
                future.result()

    def _drain(self, queue: Any, threads: int) -> None:
        worker = self._chain.worker()
        for start, stop in queue:
            if not self._slabs:
                return
            self._write(start, worker.slices(start, stop, threads))
            self._progress.advance(stop - start)

    def _write(self, start: int, slices: Images) -> None:
        for row, image in enumerate(slices, start):
            target = tiff_path(self._folder, self._name, row)
            with explained_output(target):
                write_atomically(target, partial(tiff.write, image=image, pixel_size_mm=self._pixel_size_mm))


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def _workers(plan: Plan, memory_bytes: int | None) -> int:
    """As many workers as cores and memory allow. Raises NotEnoughMemory."""
    budget = memory_bytes if memory_bytes is not None else int(0.7 * available_memory_bytes())
    fits = (budget - plan.bytes_shared) // plan.bytes_per_worker
    if fits < 1:
        raise NotEnoughMemory(
            f"One worker needs {(plan.bytes_shared + plan.bytes_per_worker) / 1e9:.2f} GB of memory, {budget / 1e9:.2f} GB may be used.",
            next_step="Run on a machine with more memory or raise --memory.",
        )
    return min(cores() + 1, fits)  # one more than cores, so that reading and writing overlap with computing


def available_memory_bytes() -> int:
    """Memory that may be taken without swapping, bounded by the control group of a container."""
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and (text := limit.read_text(encoding="ascii").strip()).isdigit():
        return min(available, int(text))
    return available


def _fingerprint(scan: Scan, resolved: Resolved, name: str) -> dict[str, Any]:
    stat = scan.path.stat()
    return {
        "contract": CONTRACT_VERSION,
        "version": versions()["als-assets"],
        "input": [str(scan.path.resolve()), stat.st_size, stat.st_mtime_ns],
        "name": name,
        "parameters": resolved.parameters.model_dump(),
    }


def versions() -> dict[str, str]:
    """Versions of this program and of what the numbers depend on."""
    found = {"python": platform.python_version()}
    for package in ("als-assets", "numpy", "h5py", "numba", "ducc0", "tifffile", "tensorstore", "PyWavelets"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed as a package"
    return found


def _record(scan: Scan, resolved: Resolved, center: Center, engine: str, name: str, seconds: float) -> dict[str, Any]:
    return {
        "contract": CONTRACT_VERSION,
        "name": name,
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
        "output": {"units": "1/cm", "pixels": "float32", "shape": [scan.shape.rows, scan.shape.columns, scan.shape.columns]},
        "center": asdict(center),
        "pixel_size_mm": pixel_size_mm(scan, resolved.parameters),
        "parameters": resolved.parameters.model_dump(),
        "sources": resolved.sources,
        "ignored": resolved.ignored,
        "engine": engine,
        "seconds": round(seconds, 3),
        "versions": versions(),
    }


def _verify(folder: Path, name: str, rows: int, width: int) -> int:
    """Reopens every file (header and size) and reads some whole; returns all bytes. Raises OutputIncomplete."""
    import tifffile

    total = (folder / "parameters.json").stat().st_size
    for row in range(rows):
        path = tiff_path(folder, name, row)
        with explained_output(path):
            sync(path)
        total += path.stat().st_size
        try:
            with tifffile.TiffFile(path) as file:
                page = file.pages.first
                sound = page.shape == (width, width) and page.dtype == np.float32
                sound = sound and path.stat().st_size >= page.dataoffsets[-1] + page.databytecounts[-1]
                sound = sound and (row not in (0, rows // 2, rows - 1) or bool(np.isfinite(page.asarray()).all()))
        except (tifffile.TiffFileError, OSError, ValueError, IndexError) as error:
            raise _incomplete(path, str(error)) from error
        if not sound:
            raise _incomplete(path, "size, shape or values are not as written")
    return total


def _incomplete(path: Path, reason: str) -> OutputIncomplete:
    return OutputIncomplete(
        f"{path.name} does not read back: {reason}.", next_step="Check the disk, remove the partial directory and run again."
    )
