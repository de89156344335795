"""Time to the first look at a scan: the preview in a fresh process, its file not in memory, imports not counted.

Here: a scan file of the beamline's width, and wall and CPU seconds of one preview. What belongs here is measuring. Not here: bars that must
hold, because machines and their load differ. Run: ``python benchmarks/preview.py [ROWS] [--json FILE] [--place FOLDER]``; with
1266 rows, as the beamline has, the file takes 8.6 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np

WIDTH, ANGLES, CENTER = 2560, 1313, 1290.3

_RUN = """
import sys
from als_assets.recon.machine import keep_freed_memory, share_cores_among_our_threads
share_cores_among_our_threads(); keep_freed_memory()
import json, time
from pathlib import Path
import PIL.Image, PIL.ImageDraw, PIL.ImageFont, ducc0, h5py, numba, pywt
from als_assets.recon import kernels, kernels_vector
from als_assets.recon.parameters import resolve
from als_assets.recon.views import preview
wall, cpu = time.perf_counter(), time.process_time()
summary = preview.preview(Path(sys.argv[1]), Path(sys.argv[2]), resolve({}, {}, {}), lambda line: None)
found = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu, "center": summary.center}
found["largest_picture_bytes"] = max(file.stat().st_size for file in Path(sys.argv[2]).iterdir() if file.suffix != ".json")
print(json.dumps(found))
"""


def write_scan(path: Path, rows: int) -> None:
    """Three discs, noise and stripes, in the layout of 8.3.2: contiguous uint16."""
    theta, random = np.linspace(0, np.pi, ANGLES), np.random.default_rng(0)
    gain = 27_000 * (1 + 0.02 * random.normal(size=WIDTH))
    noise = (random.normal(size=(rows + 97, WIDTH)) * 120).astype(np.int16)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("/exchange/data", (ANGLES, rows, WIDTH), "u2")
        for index, angle in enumerate(theta):
            lines = np.zeros(WIDTH)
            for radius, x, y in ((1000, 60, -40), (200, 500, 100), (80, -300, 400)):
                away = np.arange(WIDTH) - CENTER - x * np.cos(angle) - y * np.sin(angle)
                lines += 2 * np.sqrt(np.maximum(radius**2 - away**2, 0)) * 4e-4
            first = int(random.integers(97))
            data[index] = (noise[first : first + rows] + (100 + gain * np.exp(-lines)).astype(np.int16)).view("u2")
        file["/exchange/data_white"] = np.broadcast_to((100 + gain).astype("u2"), (10, rows, WIDTH))
        file["/exchange/data_dark"] = np.full((10, rows, WIDTH), 100, "u2")
        file["/exchange/theta"] = np.degrees(theta)
        file["/measurement/instrument/detector/pixel_size"] = np.array([0.00065])


def measure(scan: Path, into: Path) -> dict[str, float]:
    """One preview; before it the system is told to forget the file."""
    handle = os.open(scan, os.O_RDONLY)
    os.fsync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)
    done = subprocess.run([sys.executable, "-c", _RUN, str(scan), str(into)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="?", type=int, default=100)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--place", type=Path, help="folder on the disk to measure (default: the temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.place) as place:
        scan = Path(place) / "scan.h5"
        write_scan(scan, options.rows)
        measure(scan, Path(place) / "compiles")
        runs = [measure(scan, Path(place) / "preview") for _ in range(3)]
    best = min(runs, key=lambda run: run["wall_s"])
    size = f"{WIDTH} x {ANGLES} x {options.rows} rows"
    told = f"{best['wall_s']:.2f} s, {best['cpu_s']:.2f} CPU s, centre off by {abs(best['center'] - CENTER):.2f} pixels"
    sys.stdout.write(f"preview of {size}, file not in memory: {told}, largest picture {best['largest_picture_bytes'] / 1e3:.0f} kB\n")
    if options.json:
        options.json.write_text(json.dumps({"rows": options.rows, "runs": runs}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
