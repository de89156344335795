"""Cost of a slice: our full chain against algotom, astra, scikit-image and the bare transforms, in one run on one machine.

Here: a table of ratios for a few widths, also as JSON, and how two processes side by side scale. What belongs here is measuring.
Not here: bars that must hold, because machines and their load differ. Run: ``python benchmarks/recon.py [--json FILE]
[--scale] [WIDTHxANGLES ...]``; competitors are in the extra [bench], one that is not installed is left out with a line that says so.
"""

# ruff: noqa: E402 - libraries read the number of their threads when they are imported
from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from als_assets.recon.machine import cores, share_cores_among_our_threads

share_cores_among_our_threads()

import ducc0
import numpy as np
from numpy.typing import NDArray

from als_assets.recon import kernels
from als_assets.recon.engine import Geometry
from als_assets.recon.engines import choose_engine
from als_assets.recon.fourier_wavelet import FourierWavelet

Images = NDArray[np.float32]
Pair = tuple[float, float]  # CPU seconds, wall seconds

USUAL = ["512x500", "1024x1000"]  # the larger ones take minutes, of the competitors
ALL = ["512x500", "1024x1000", "2048x1500", "2560x1313"]


def once(work: Callable[[], Any]) -> Pair:
    """CPU time of all threads, and wall time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def best(work: Callable[[], Any], repeats: int = 3) -> Pair:
    """Smallest CPU time and smallest wall time; the first call, which compiles and touches memory, does not count."""
    work()
    taken = [once(work) for _ in range(repeats)]
    return min(pair[0] for pair in taken), min(pair[1] for pair in taken)


def times(pair: Pair, factor: float) -> Pair:
    """Both times a factor."""
    return pair[0] * factor, pair[1] * factor


class Ours:
    """The chain from raw counts to slices: correction, logarithm, fourier-wavelet rings, butterworth gridding, mask."""

    def __init__(self, width: int, angles: int, engine: str = "auto") -> None:
        theta = np.linspace(0, np.pi, angles, endpoint=False)
        plan = choose_engine(engine).plan(Geometry(width, theta, width / 2, filter="butterworth", mask_radius=width / 2))
        self.batch, self._worker = plan.batch, plan.worker()
        self._raw = np.random.default_rng(0).integers(200, 30_000, (angles, self.batch, width)).astype(np.uint16)
        self._gain = np.full((self.batch, width), 1 / 30_000, np.float32)
        self._offset = np.zeros((self.batch, width), np.float32)
        self.lines = np.empty((self.batch, angles, width), np.float32)
        self._rings = FourierWavelet(angles, 8 if angles > 300 else 6, "db5", 3.0)

    def correct(self) -> None:
        """Normalisation and logarithm of a batch."""
        kernels.absorb(self._raw, self._gain, self._offset, np.float32(0.01), self.lines)

    def remove_rings(self) -> None:
        """Of a batch, in place."""
        for sinogram in self.lines:
            self._rings.apply(sinogram, out=sinogram)

    def project_back(self) -> Images:
        """Slices of a batch."""
        return self._worker.apply(self.lines)

    def everything(self) -> None:
        """All three."""
        self.correct()
        self.remove_rings()
        self.project_back()


def floor(width: int, angles: int, threads: int) -> Pair:
    """Half of ducc0's transforms of one complex slice: (angles, 1.6 width) along lines, then (1.25 width) squared."""
    lines = np.ones((angles, int(1.6 * width)), np.complex64)
    plane = np.ones((int(1.25 * width), int(1.25 * width)), np.complex64)
    first = best(lambda: ducc0.fft.c2c(lines, axes=(1,), out=lines, inorm=1, nthreads=threads))
    second = best(lambda: ducc0.fft.c2c(plane, axes=(0, 1), out=plane, inorm=1, nthreads=threads))
    return (first[0] + second[0]) / 2, (first[1] + second[1]) / 2


def algotom(lines: Images, theta: NDArray[np.float64]) -> Callable[[], Any]:
    """Real-space filtered back projection by numba."""
    from algotom.rec.reconstruction import fbp_reconstruction

    center, count = lines.shape[1] / 2, os.cpu_count()
    return lambda: fbp_reconstruction(lines, center, angles=theta, apply_log=False, gpu=False, ncore=count)


def astra(lines: Images, theta: NDArray[np.float64]) -> Callable[[], Any]:
    """FBP on the CPU with the linear projector."""
    import astra as toolbox

    width = lines.shape[1]
    volume = toolbox.create_vol_geom(width, width)
    projector = toolbox.create_projector("linear", toolbox.create_proj_geom("parallel", 1.0, width, theta), volume)
    configuration = toolbox.astra_dict("FBP")
    configuration["ProjectorId"] = projector
    configuration["ProjectionDataId"] = toolbox.data2d.create("-sino", toolbox.projector.projection_geometry(projector), lines)
    configuration["ReconstructionDataId"] = toolbox.data2d.create("-vol", volume)
    algorithm = toolbox.algorithm.create(configuration)
    return lambda: toolbox.algorithm.run(algorithm)


def scikit_image(lines: Images, theta: NDArray[np.float64]) -> Callable[[], Any]:
    """``iradon`` with linear interpolation."""
    from skimage.transform import iradon

    return lambda: iradon(np.ascontiguousarray(lines.T), np.degrees(theta), circle=True)


# by name: module, what makes the work, and on which part of the angles it is measured (their time is linear in them)
COMPETITORS: dict[str, tuple[str, Callable[..., Callable[[], Any]], int]] = {
    "algotom": ("algotom", algotom, 1),
    "astra (linear, CPU)": ("astra", astra, 10),
    "scikit-image iradon": ("skimage", scikit_image, 10),
}


def measure(width: int, angles: int, competitors: bool = True) -> dict[str, Pair]:
    """CPU and wall seconds a slice, by name; the floor is measured before and after, and the smaller one counts."""
    floors = [floor(width, angles, 1)]
    ours = Ours(width, angles)
    ours.correct()
    found = {name: times(best(work), 1 / ours.batch) for name, work in (
        ("  correction and logarithm", ours.correct), ("  rings (fourier-wavelet)", ours.remove_rings),
        ("  back projection (gridding)", ours.project_back), ("full chain, one thread", ours.everything),
    )}  # fmt: skip
    floors.append(floor(width, angles, 1))
    found["floor: transforms alone"] = min(pair[0] for pair in floors), min(pair[1] for pair in floors)
    found["floor on all cores"] = floor(width, angles, cores())
    every = [ours, *(Ours(width, angles) for _ in range(cores() - 1))]
    with ThreadPoolExecutor(len(every)) as pool:
        found["full chain on all cores"] = times(best(lambda: list(pool.map(Ours.everything, every))), 1 / (ours.batch * len(every)))
    lines, theta = ours.lines[0].copy(), np.linspace(0, np.pi, angles, endpoint=False)
    for name, (module, make, step) in COMPETITORS.items() if competitors else ():
        if importlib.util.find_spec(module) is None:
            sys.stdout.write(f"{name} is not installed: left out (pip install 'als-assets[bench]')\n")
            continue
        make(np.ascontiguousarray(lines[:8]), theta[:8])()  # compiles
        part = once(make(np.ascontiguousarray(lines[::step]), theta[::step]))
        found[name] = times(part, angles / len(theta[::step]))
    return found


def table(size: str, found: dict[str, Pair]) -> str:
    """In words."""
    chain, least = found["full chain, one thread"][0], found["floor: transforms alone"][0]
    lines = [
        f"\n{size}, {choose_engine().name}, {cores()} cores",
        f"{'':30}{'CPU ms/slice':>14}{'wall':>9}{'x floor':>9}{'chain is x faster':>19}",
    ]
    for name, (cpu, wall) in found.items():
        lines.append(f"{name:30}{cpu * 1e3:14.1f}{wall * 1e3:9.1f}{cpu / least:9.2f}{cpu / chain:19.1f}")
    lines.append("wall time, all on all cores: " + ", ".join(f"{name} {value:.2f}" for name, value in ratios(found).items()))
    return "\n".join(lines) + "\n"


def ratios(found: dict[str, Pair]) -> dict[str, float]:
    """Of wall times on all cores: the chain over the floor, and the competitor that uses all cores too over the chain."""
    chain = found["full chain on all cores"][1]
    of_wall = {"chain / floor": chain / found["floor on all cores"][1]}
    if "algotom" in found:
        of_wall["algotom / chain"] = found["algotom"][1] / chain
    return of_wall


def side_by_side(size: str, batches: int = 4) -> dict[str, dict[str, float]]:
    """Seconds a slice of one process with one thread, and of two such processes at the same time; twice their ratio is the scaling.

    By wall time, which other programs disturb, and by CPU time, which tells how far the two hinder each other in memory.
    """

    def rate(count: int) -> Pair:
        command = [sys.executable, __file__, "--alone", str(batches), size]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
        pairs = [json.loads(process.communicate()[0]) for process in running]
        return max(pair[0] for pair in pairs), max(pair[1] for pair in pairs)

    found = zip(("CPU", "wall"), rate(1), rate(2), strict=True)
    return {name: {"one": one, "two": two, "scaling": 2 * one / two} for name, one, two in found}


def alone(size: str, batches: int) -> None:
    """Prints the CPU and wall seconds of a slice over some batches."""
    width, angles = map(int, size.split("x"))
    ours = Ours(width, angles)
    ours.everything()

    def work() -> None:
        for _ in range(batches):
            ours.everything()

    taken = times(once(work), 1 / (batches * ours.batch))
    sys.stdout.write(f"{json.dumps(taken)}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", metavar="WIDTHxANGLES", help=f"default {' '.join(USUAL)}; 'all' is {' '.join(ALL)}")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--ours", action="store_true", help="leave the competitors out, which take minutes")
    parser.add_argument("--scale", action="store_true", help="also two processes side by side")
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = ALL if options.sizes == ["all"] else options.sizes or USUAL
    if options.alone:
        alone(sizes[0], options.alone)
        return
    results: dict[str, Any] = {}
    for size in sizes:
        width, angles = map(int, size.split("x"))
        found = measure(width, angles, not options.ours)
        sys.stdout.write(table(size, found))
        sys.stdout.flush()
        results[size] = {name.strip(): {"cpu_s": cpu, "wall_s": wall} for name, (cpu, wall) in found.items()} | {"wall": ratios(found)}
    if options.scale:
        results["side by side"] = scaled = side_by_side(sizes[-1])
        told = ", ".join(f"{found['scaling']:.2f} by {name} time" for name, found in scaled.items())
        sys.stdout.write(f"\nwork of two processes side by side at {sizes[-1]}, in that of one: {told}\n")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
