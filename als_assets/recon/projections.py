"""Corrections that need whole projections: sparks of the detector, phase retrieval and the tilt of the axis.

Here: the pass over all projections before the slices, and the file of transmissions that it leaves for them. What belongs here is
whatever looks beyond one row. Not here: corrections of single rows, see ``chain.py``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from als_assets.recon.errors import MissingField, explained_output
from als_assets.recon.output import Staged, write_atomically
from als_assets.recon.parameters import Parameters
from als_assets.recon.phase import Paganin
from als_assets.recon.progress import Progress, Say
from als_assets.recon.reading import ContiguousReader
from als_assets.recon.rings import bridge
from als_assets.recon.scan import Scan, Shape

Images = NDArray[np.float32]

ENERGY_EV = "/measurement/instrument/monochromator/energy"
DISTANCE_MM = "/measurement/instrument/camera_motor_stack/setup/camera_distance"


class Source(Protocol):
    """What the chain reads: a scan file, or the transmissions made of it."""

    @property
    def path(self) -> Path:
        """For messages."""
        ...

    @property
    def shape(self) -> Shape:
        """Counts of angles, rows and columns."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""
        ...

    @property
    def theta_deg(self) -> NDArray[np.float64]:
        """Angles, (angles,)."""
        ...

    @property
    def pixel_size_mm(self) -> float | None:
        """If the file has it."""
        ...

    def rows(self, start: int, stop: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """(angles, stop - start, columns)."""
        ...

    def announce(self, start: int, stop: int) -> None:
        """These rows will be asked for soon."""
        ...

    def projections(self, start: int, stop: int, step: int = 1) -> NDArray[Any]:
        """(n, rows, columns)."""
        ...

    def fields(self) -> tuple[Images, Images]:
        """Mean flat and mean dark field, (rows, columns)."""
        ...


class Transmissions:
    """Corrected projections, float32, in a file of their own; the flat field is 1, the dark field 0."""

    def __init__(self, scan: Scan, file: Path) -> None:
        self.path, self.shape, self.theta_deg, self.pixel_size_mm = scan.path, scan.shape, scan.theta_deg, scan.pixel_size_mm
        self.dtype: np.dtype[Any] = np.dtype(np.float32)
        shape = (scan.shape.angles, scan.shape.rows, scan.shape.columns)
        self._all = np.memmap(file, np.float32, "r", shape=shape)
        self._reader = ContiguousReader(file, 0, shape, self.dtype)

    def close(self) -> None:
        """Lets go of the file."""
        self._reader.close()

    def rows(self, start: int, stop: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """See ``Source.rows``."""
        shape = (self.shape.angles, stop - start, self.shape.columns)
        values = out if out is not None and out.shape == shape else np.empty(shape, np.float32)
        self._reader.rows(start, stop, values)
        return values

    def announce(self, start: int, stop: int) -> None:
        """See ``Source.announce``."""
        self._reader.announce(start, stop)

    def projections(self, start: int, stop: int, step: int = 1) -> NDArray[Any]:
        """See ``Source.projections``."""
        return np.array(self._all[start:stop:step])

    def fields(self) -> tuple[Images, Images]:
        """See ``Source.fields``."""
        shape = (self.shape.rows, self.shape.columns)
        return np.ones(shape, np.float32), np.zeros(shape, np.float32)


def needed(parameters: Parameters) -> bool:
    """Whether anything is to be done to whole projections."""
    return bool(parameters.outlier_2d or parameters.tilt_deg or parameters.phase_retrieval != "none")


@contextmanager
def prepared(
    scan: Scan, parameters: Parameters, pixel_size_mm: float, place: Path, fingerprint: dict[str, Any], threads: int, say: Say
) -> Iterator[Source]:
    """The scan itself, or its corrected projections, kept beside ``place`` until the end (also for a run that was killed).

    Raises MissingField (energy or distance for phase retrieval), DiskFull, OutputNotWritable and the errors of reading.
    """
    if not needed(parameters):
        yield scan
        return
    correct = _correction(scan, parameters, pixel_size_mm)
    with ExitStack() as stack:
        staged = stack.enter_context(Staged(place, fingerprint))
        file, mark = staged.path / "transmissions.f32", staged.path / "complete"
        if not mark.exists():
            staged.require_space(4 * scan.shape.angles * scan.shape.rows * scan.shape.columns)
            _write(scan, correct, file, threads, say)
            with explained_output(mark):
                write_atomically(mark, b"")
        made = Transmissions(scan, file)
        stack.callback(made.close)
        yield made
        staged.discard()


def _write(scan: Scan, correct: Callable[[int], Images], file: Path, threads: int, say: Say) -> None:
    progress = Progress(say, "projections", scan.shape.angles)
    size = 4 * scan.shape.rows * scan.shape.columns
    with explained_output(file), file.open("wb", buffering=0) as stream, ThreadPoolExecutor(threads) as pool:

        def one(index: int) -> None:
            rest = np.ascontiguousarray(correct(index)).data.cast("B")
            while rest:
                rest = rest[os.pwrite(stream.fileno(), rest, (index + 1) * size - len(rest)) :]
            progress.advance(1)

        jobs = [pool.submit(one, index) for index in range(scan.shape.angles)]
        try:
            for job in jobs:
                job.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _correction(scan: Scan, parameters: Parameters, pixel_size_mm: float) -> Callable[[int], Images]:
    """From the number of a projection to its transmission after all corrections."""
    flat, dark = scan.fields()
    light = flat - dark
    dead = ~(light > 0)
    gain = np.where(dead, 0, 1 / np.where(dead, 1, light)).astype(np.float32)
    dead_rows = np.flatnonzero(dead.any(1))
    phase = _phase(scan, parameters, pixel_size_mm) if parameters.phase_retrieval == "paganin" else None

    def correct(index: int) -> Images:
        from als_assets.recon import kernels_values

        image: Images = scan.projections(index, index + 1)[0].astype(np.float32)
        out = np.empty_like(image)
        if parameters.outlier_2d:
            kernels_values.without_sparks(image, parameters.outlier_size // 2, np.float32(parameters.outlier_2d), out)
            image, out = out, image
        np.multiply(image - dark, gain, out=image)
        for row in dead_rows:
            bridge(image[row : row + 1], dead[row], 1.0)
        if phase is not None:
            image = phase.apply(image)
        if parameters.tilt_deg:
            kernels_values.turned(image, np.radians(parameters.tilt_deg), out)
            image = out
        return image

    return correct


def _phase(scan: Scan, parameters: Parameters, pixel_size_mm: float) -> Paganin:
    energy_kev = parameters.energy_kev or (scan.measured(ENERGY_EV) or 0) / 1000
    distance_mm = parameters.phase_distance_mm or scan.measured(DISTANCE_MM) or 0
    for value, name, where in ((energy_kev, "energy_kev", ENERGY_EV), (distance_mm, "phase_distance_mm", DISTANCE_MM)):
        if value <= 0:
            raise MissingField(
                f"{scan.path} has no value above zero in {where}, which phase retrieval needs.",
                next_step=f"Give {name} as a parameter, or switch phase_retrieval off.",
            )
    shape = (scan.shape.rows, scan.shape.columns)
    return Paganin(shape, pixel_size_mm, energy_kev, distance_mm, parameters.phase_delta_beta)
