"""Seconds a slice: our engines and whole chain against plain numpy and the bare transforms, in one run on one machine.

Here: a table of ratios for a few sizes, also as JSON. What belongs here is measuring. Not here: bars that must hold, because
machines and their load differ. Run: ``python benchmarks/recon/bench_slices.py [--json FILE] [WIDTHxANGLES ...]``
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ducc0
import numpy as np
from numpy.typing import NDArray

from als_assets.recon import filters, kernels
from als_assets.recon.engine import Geometry, lanes
from als_assets.recon.gridding import GriddingEngine
from als_assets.recon.rings import FourierWavelet

Images = NDArray[np.float32]


def best(work: Callable[[], Any], repeats: int = 3) -> float:
    """Smallest wall time; the first call, which compiles and touches memory, does not count."""
    work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def numpy_back_projection(sinogram: Images, theta: NDArray[np.float64]) -> Images:
    """The baseline: ramp filter by numpy's FFT, linear interpolation in real space, angle by angle."""
    angles, width = sinogram.shape
    length = 2 * width
    filtered = np.fft.irfft(np.fft.rfft(sinogram, length) * filters.ramp(length)[: length // 2 + 1], length)[:, :width]
    y, x = np.mgrid[:width, :width] - width / 2
    out = np.zeros((width, width))
    for line, angle in zip(filtered, theta, strict=True):
        out += np.interp((x * np.cos(angle) + y * np.sin(angle)).ravel() + width / 2, np.arange(width), line).reshape(out.shape)
    return np.asarray(out * (np.pi / angles), np.float32)


def floor_s(width: int, angles: int) -> float:
    """Half of ducc0's transforms of one complex slice: (angles, 1.6 width) along lines, then (1.25 width) squared; one thread."""
    lines = np.zeros((angles, int(1.6 * width)), np.complex64)
    plane = np.zeros((int(1.25 * width), int(1.25 * width)), np.complex64)
    first = best(lambda: ducc0.fft.c2c(lines, axes=(1,), out=lines, nthreads=1))
    return (first + best(lambda: ducc0.fft.c2c(plane, axes=(0, 1), out=plane, nthreads=1))) / 2


def measure(width: int, angles: int) -> dict[str, float]:
    """Seconds a slice on one thread, by name."""
    theta = np.linspace(0, np.pi, angles, endpoint=False)
    batch = lanes()
    raw = np.random.default_rng(0).integers(200, 30_000, (angles, batch, width)).astype(np.uint16)
    gain, offset = np.full((batch, width), 1 / 30_000, np.float32), np.zeros((batch, width), np.float32)
    lines = np.empty((batch, angles, width), np.float32)
    geometry = Geometry(width, theta, width / 2, mask_radius=width / 2)
    seconds = {"floor: transforms alone": floor_s(width, angles)}
    seconds["correction and logarithm"] = best(lambda: kernels.absorb(raw, gain, offset, np.float32(0.01), lines)) / batch
    for name, vector in (("plain engine", False), ("vector engine", True)):
        worker = GriddingEngine(batch, vector).plan(geometry).worker()
        seconds[name] = best(lambda worker=worker: worker.apply(lines)) / batch
    rings = FourierWavelet(angles, 8, "db5", 3.0)
    seconds["fourier-wavelet rings"] = best(lambda: rings.apply(lines[0]))
    seconds["chain without rings"] = seconds["correction and logarithm"] + seconds["vector engine"]
    seconds["chain with rings"] = seconds["chain without rings"] + seconds["fourier-wavelet rings"]
    every = max(1, angles // 50)  # the baseline is linear in angles: a share of them is enough
    part = best(lambda: numpy_back_projection(lines[0, ::every], theta[::every]), 1)
    seconds["baseline: numpy back projection"] = part * angles / len(theta[::every])
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", default=["512x500", "1024x1000"], metavar="WIDTHxANGLES")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {}
    for size in options.sizes:
        width, angles = map(int, size.split("x"))
        results[size] = seconds = measure(width, angles)
        sys.stdout.write(
            f"\n{size}, {lanes()} slices at once, one thread\n{'':34}{'ms/slice':>10}{'x floor':>9}{'x faster than baseline':>24}\n"
        )
        for name, value in sorted(seconds.items(), key=lambda item: item[1]):
            floor, base = seconds["floor: transforms alone"], seconds["baseline: numpy back projection"]
            sys.stdout.write(f"{name:34}{value * 1e3:10.1f}{value / floor:9.2f}{base / value:24.1f}\n")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
