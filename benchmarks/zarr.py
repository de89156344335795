"""A stack of slices becomes an OME-Zarr store: ours against ngff-zarr and ome-zarr, on one stack, each in a fresh process.

Here: a table of wall seconds, CPU seconds, peak memory and files with ratios, also as JSON. What belongs here is measuring. Not here: bars
that must hold, because machines and their load differ. Run: ``python benchmarks/zarr.py [SIDE] [--json FILE]``; a side of 1024
needs 20 GB of disk and, for ngff-zarr, 12 GB of memory.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

_OURS = """
from pathlib import Path
from als_assets.recon.machine import keep_freed_memory, share_cores_among_our_threads
keep_freed_memory(), share_cores_among_our_threads()  # as the program does
from als_assets.recon.volume.multires import multires
from als_assets.recon.volume.zarr_store import Form
import numpy, tensorstore, tifffile
from als_assets.recon import kernels
kernels.halve(numpy.zeros((2, 2, 2), numpy.float32), numpy.zeros((1, 1, 1), numpy.float32), 2, 2, 2)
def work():
    multires(Path(source), None, Path(store), lambda line: None, Form({version!r}, {pixels!r}))
"""
# What the beamline's flows call is ngff-zarr with Gaussian levels, which needs dask-image; its other ways need nothing more.
_NGFF = """
from pathlib import Path
from ngff_zarr import Methods, cli_input_to_ngff_image, detect_cli_io_backend, to_multiscales, to_ngff_zarr
def work():
    files = sorted(str(path) for path in Path(source).glob("*.tiff"))
    image = cli_input_to_ngff_image(detect_cli_io_backend(files), files)
    image.scale = dict.fromkeys("zyx", 0.65)
    image.axes_units = dict.fromkeys("zyx", "micrometer")
    to_ngff_zarr(store, to_multiscales(image, method=Methods.{method}, cache=False), version="0.4")
"""
_OME = """
from pathlib import Path
import dask, dask.array, tifffile, zarr
from ome_zarr.writer import write_image
def work():
    files = sorted(Path(source).glob("*.tiff"))
    first = tifffile.imread(files[0])
    slices = [dask.array.from_delayed(dask.delayed(tifffile.imread)(path), first.shape, first.dtype) for path in files]
    stack = dask.array.stack(slices).rechunk((128, 256, 256))
    write_image(stack, zarr.open_group(store, mode="w"), axes="zyx", storage_options={"chunks": (128, 128, 128)})
"""
_FRAME = """
import json, resource, sys, time, warnings
warnings.filterwarnings("ignore")
source, store = sys.argv[1:3]
{program}
before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
work()
wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
print(json.dumps({{"wall_s": wall, "cpu_s": cpu, "peak_mb": after.ru_maxrss / 1e3}}))
"""
CANDIDATES = {
    "ours 0.4 (default)": _OURS.format(version="0.4", pixels="float32"),
    "ours 0.5": _OURS.format(version="0.5", pixels="float32"),
    "ours 0.4 uint16": _OURS.format(version="0.4", pixels="uint16"),
    "ome-zarr": _OME,
    "ngff-zarr, means by dask": _NGFF.format(method="DASK_BIN_SHRINK"),
    "ngff-zarr, means by ITK": _NGFF.format(method="ITKWASM_BIN_SHRINK"),
}
BASELINE = "ngff-zarr, means by dask"
if importlib.util.find_spec("dask_image") is not None:
    BASELINE = "ngff-zarr, Gaussian (the beamline's call)"
    CANDIDATES[BASELINE] = _NGFF.format(method="DASK_IMAGE_GAUSSIAN")


def make_stack(folder: Path, side: int) -> None:
    """Noisy slices with a mask around them, as reconstructions are; eight of them, turned about, so that none repeats in place."""
    folder.mkdir()
    random = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] - side // 2
    mask = (x * x + y * y < (side / 2) ** 2).astype(np.float32)
    noise = [random.normal(5, 1, (side, side)).astype(np.float32) for _ in range(8)]
    for row in range(side):
        tifffile.imwrite(folder / f"v_{row:05d}.tiff", np.roll(noise[row % 8], row * 37, axis=0) * mask, photometric="minisblack")
    (folder / "parameters.json").write_text('{"pixel_size_mm": 0.00065}')


def settle(source: Path) -> None:
    """What was written before is on the disk, and the slices are in memory: nobody pays for those before, nor for being the first."""
    os.sync()
    for path in source.iterdir():
        path.read_bytes()


def measure(program: str, source: Path, store: Path) -> dict[str, float]:
    """One run in a process of its own, its imports and compilation not counted; the store is removed."""
    code = _FRAME.format(program=program)
    done = subprocess.run([sys.executable, "-c", code, str(source), str(store)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    files = [path for path in store.rglob("*") if path.is_file()]
    found |= {"files": float(len(files)), "gb": sum(path.stat().st_size for path in files) / 1e9}
    shutil.rmtree(store)
    return found


def table(results: dict[str, dict[str, float]]) -> str:
    """For the terminal and, as it is, for the documentation."""
    lines = [
        f"| writer | wall s | CPU s | peak memory MB | files | GB | times faster than {BASELINE} | less memory |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    base = results[BASELINE]
    for name, found in results.items():
        faster, less = base["wall_s"] / found["wall_s"], base["peak_mb"] / found["peak_mb"]
        numbers = f"{found['wall_s']:.1f} | {found['cpu_s']:.1f} | {found['peak_mb']:.0f} | {found['files']:.0f} | {found['gb']:.2f}"
        lines.append(f"| {name} | {numbers} | {faster:.1f} (CPU {base['cpu_s'] / found['cpu_s']:.1f}) | {less:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", nargs="?", type=int, default=256, help="voxels along each side (default: 256)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", default="", help="writers with this in their name, and the one that they are measured against")
    parser.add_argument(
        "--rounds", type=int, default=2, help="of which the quicker counts: on a virtual machine the first waits for memory"
    )
    parser.add_argument("--place", type=Path, help="folder on the disk to measure (default: the temporary folder)")
    options = parser.parse_args()
    chosen = {name: program for name, program in CANDIDATES.items() if name == BASELINE or not options.only or options.only in name}
    results: dict[str, Any] = {}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=options.place) as place:
        source = Path(place) / "recv"
        make_stack(source, options.side)
        for name, program in list(chosen.items()) * options.rounds:
            settle(source)
            found = measure(program, source, Path(place) / "store.zarr")
            results[name] = min(results.get(name, found), found, key=lambda seen: seen["wall_s"])
    header = f"{options.side}^3 float32, {os.cpu_count()} processors, load before {load:.1f}, {date.today()}"
    sys.stdout.write(f"{header}\n\n{table(results)}\n")
    if options.json:
        facts = {"side": options.side, "date": str(date.today()), "processors": os.cpu_count(), "load": load, "machine": platform.machine()}
        options.json.write_text(json.dumps({**facts, "results": results}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
