"""Seconds, memory and files of an OME-Zarr store from slices, against zarr-python with numpy means, in one run.

Here: a table of ratios. What belongs here is measuring in fresh processes, so that peaks of memory are each method's own. Not
here: bars. Run: ``python benchmarks/recon/bench_stores.py [SIDE]`` (default 256: a volume of 256 x 256 x 256 voxels)
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
import tifffile

_OURS = """
import sys
from als_assets.recon.cli import main
code = main(["multires", sys.argv[1], "--raw", sys.argv[2], "--output", sys.argv[3]])
"""
_BASELINE = """
import sys, pathlib
import numpy as np, tifffile, zarr, numcodecs
volume = np.stack([tifffile.imread(path) for path in sorted(pathlib.Path(sys.argv[1]).glob("*.tiff"))])
group = zarr.open_group(sys.argv[3], mode="w", zarr_format=2)
level = 0
while True:
    array = group.create_array(f"scale{level}", shape=volume.shape, chunks=(128,) * 3, dtype="f4",
                               compressors=numcodecs.Blosc("lz4", 5, 1))
    array[:] = volume
    if max(volume.shape) <= 128:
        break
    z, y, x = (side // 2 for side in volume.shape)
    volume = volume[: 2 * z, : 2 * y, : 2 * x].reshape(z, 2, y, 2, x, 2).mean((1, 3, 5), dtype=np.float32)
    level += 1
"""
_REPORT = """
import resource, json, time
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3]))
"""


def run(program: str, folder: Path, raw: Path, store: Path) -> list[float]:
    """Wall seconds without imports of the interpreter, CPU seconds, peak memory in MB."""
    code = f"import time; started = time.perf_counter()\n{program}\n{_REPORT}"
    done = subprocess.run([sys.executable, "-c", code, *map(str, (folder, raw, store))], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return [float(value) for value in found]


def make_input(place: Path, side: int) -> tuple[Path, Path]:
    """Noisy slices, as real ones are, and a scan file that fits them."""
    folder, raw = place / "recv", place / "v.h5"
    folder.mkdir()
    random = np.random.default_rng(0)
    for row in range(side):
        tifffile.imwrite(folder / f"v_{row:05d}.tiff", random.normal(5, 1, (side, side)).astype(np.float32), photometric="minisblack")
    with h5py.File(raw, "w") as file:
        for name, frames in (("data", 2), ("data_white", 1), ("data_dark", 1)):
            file[f"/exchange/{name}"] = np.ones((frames, side, side), np.uint16)
        file["/exchange/theta"] = [0.0, 180.0]
        file["/measurement/instrument/detector/pixel_size"] = [0.00065]
    return folder, raw


def main() -> None:
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    with tempfile.TemporaryDirectory() as place:
        folder, raw = make_input(Path(place), side)
        results = {}
        for name, program in (("ours", _OURS), ("zarr-python and numpy", _BASELINE)):
            store = Path(place) / f"{name.split()[0]}.zarr"
            run(program, folder, raw, store)  # compiles and fills the page cache
            results[name] = [*run(program, folder, raw, store), float(sum(path.is_file() for path in store.rglob("*")))]
    sys.stdout.write(f"{side}^3 float32\n{'':24}{'wall s':>9}{'CPU s':>9}{'MB peak':>9}{'files':>9}\n")
    for name, values in results.items():
        sys.stdout.write(f"{name:24}" + "".join(f"{value:9.1f}" for value in values) + "\n")
    base, ours = results["zarr-python and numpy"], results["ours"]
    sys.stdout.write(f"{'ratio':24}" + "".join(f"{b / o:9.2f}" for b, o in zip(base, ours, strict=True)) + "\n")


if __name__ == "__main__":
    main()
