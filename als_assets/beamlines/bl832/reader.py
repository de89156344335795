"""Look into an 8.3.2 scan file: is it complete, what is its geometry, what does its metadata say.

Here: opening, the checks that admit a scan, and the facts; only headers, small fields and a few detector rows are read, so
a file of many gigabytes costs milliseconds. Not here: single values (``values``), pixels for the reconstruction, waiting.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from als_assets.beamlines.base import ScanFacts
from als_assets.beamlines.bl832 import layout
from als_assets.beamlines.bl832.values import Metadata, acquisition_time, read_metadata, read_number, usable_text
from als_assets.errors import (
    ScanEmpty,
    ScanError,
    ScanFieldMissing,
    ScanNotFinite,
    ScanNotHdf5,
    ScanShapeMismatch,
    ScanStillWriting,
    ScanTruncated,
    ScanUnreadable,
)

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_LAST_SIGNATURE_OFFSET = 1 << 20
_MOST_DEGREES = 36_000
_REPEAT = "Check the detector's disk and the scan program, and repeat the scan if the sample is still mounted"


def inspect(path: Path) -> ScanFacts:
    """The facts of a complete scan file.

    Raises ScanUnreadable, ScanEmpty, ScanNotHdf5, ScanTruncated, ScanStillWriting, ScanFieldMissing, ScanShapeMismatch or
    ScanNotFinite; each sentence names the file and the field.
    """
    status = _status(path)
    with _open_scan(path) as file:
        geometry = _Geometry(path.name, file)
        warnings: list[str] = []
        pixel_size_mm = geometry.pixel_size_mm()
        angles = geometry.check(warnings)
        metadata = read_metadata(file, warnings)
    return ScanFacts(
        size_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        projections=geometry.data.shape[0],
        rows=geometry.data.shape[1],
        columns=geometry.data.shape[2],
        flats=geometry.white.shape[0],
        darks=geometry.dark.shape[0],
        angle_range_deg=_angle_range_deg(metadata, angles, warnings),
        pixel_size_mm=pixel_size_mm,
        proposal=usable_text(metadata.values.get(layout.PROPOSAL)),
        acquired_at=acquisition_time(metadata.values, warnings),
        sample_name=usable_text(metadata.values.get(layout.FILE_NAME)),
        metadata=metadata.values,
        warnings=tuple(warnings),
        units=metadata.units,
    )


def describe(path: Path) -> tuple[Metadata, os.stat_result, list[str]]:
    """What the metadata of a file says, whether or not it can be reconstructed; with its status, and sentences about what is odd.

    Raises ScanUnreadable, ScanEmpty, ScanNotHdf5, ScanTruncated or ScanStillWriting.
    """
    status = _status(path)
    warnings: list[str] = []
    with _open_scan(path) as file:
        return read_metadata(file, warnings), status, warnings


@contextmanager
def _open_scan(path: Path) -> Iterator[h5py.File]:
    """The file, open for reading without taking a lock, so that a writer or a network disk is never disturbed.

    Every fault of the file, also one met while reading inside the block, becomes the ScanError that names it.
    """
    _status(path)
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise _explain(path, error) from error
    try:
        with file:
            yield file
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        # h5py reports damaged structures and types unknown to numpy with any of these, depending on the depth at which it
        # meets them; only the disk's own faults carry a number.
        if isinstance(error, OSError) and error.errno:
            raise _unreadable(path, error) from error
        raise ScanTruncated(
            f"The scan file {path.name} is damaged inside: {error}", next_step=f"Compare it with its other copies. {_REPEAT}"
        ) from error


def _status(path: Path) -> os.stat_result:
    try:
        status = path.stat()
        if not path.is_file():
            raise ScanUnreadable(f"{path.name} is not a regular file", next_step="Announce the scan file itself")
        with path.open("rb") as stream:
            start = stream.read(len(_SIGNATURE))
    except OSError as error:
        raise _unreadable(path, error) from error
    if not start:
        raise ScanEmpty(f"The scan file {path.name} has no bytes", next_step=_REPEAT)
    return status


def _unreadable(path: Path, error: OSError) -> ScanUnreadable:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return ScanUnreadable(
        f"The scan file {path.name} cannot be read: {reason}",
        next_step="Check that the file exists, that this account may read it, and that its disk answers",
    )


def _explain(path: Path, error: OSError) -> ScanError:
    """The named error for a file that the HDF5 library refuses to open."""
    if "already open for write" in str(error):
        return ScanStillWriting(
            f"The scan file {path.name} is open in the program that writes it",
            next_step="Nothing to do while the scan runs; if its writer was killed, repair the file with h5clear -s",
        )
    if not _has_signature(path):
        return ScanNotHdf5(f"The scan file {path.name} is not an HDF5 file", next_step="Check what wrote it; 8.3.2 scans are HDF5 files")
    return ScanTruncated(
        f"The scan file {path.name} ends before its data: {error}", next_step=f"Wait if it is still being copied. {_REPEAT}"
    )


def _has_signature(path: Path) -> bool:
    """Whether an HDF5 signature, or the beginning of one at the end of the file, is where the format allows it."""
    with path.open("rb") as stream:
        offset = 0
        while offset <= _LAST_SIGNATURE_OFFSET:
            stream.seek(offset)
            found = stream.read(len(_SIGNATURE))
            if found and _SIGNATURE.startswith(found):
                return True
            offset = max(512, offset * 2)
    return False


class _Geometry:
    """The image datasets of one open scan file and the checks between them."""

    def __init__(self, name: str, file: h5py.File) -> None:
        self.name = name
        self.file = file
        self.data = self._images(layout.DATA)
        self.white = self._images(layout.WHITE)
        self.dark = self._images(layout.DARK)

    def check(self, warnings: list[str]) -> np.ndarray:
        """Check counts, sizes and completeness; return the angles in degrees, shape (projections,)."""
        self._check_frame_count()
        self._check_sizes(warnings)
        angles = self._angles()
        self._check_written(layout.DATA, self.data)
        self._check_written(layout.WHITE, self.white)
        return angles

    def pixel_size_mm(self) -> float:
        value = self._number(layout.PIXEL_SIZE)
        if not np.isfinite(value) or value <= 0:
            raise self._not_finite(layout.PIXEL_SIZE, f"holds {value:g}, which is no pixel size in mm")
        return value

    def _images(self, path: str) -> h5py.Dataset:
        images = self._dataset(path)
        if images.ndim != 3 or images.dtype.kind not in "uif":
            raise self._mismatch(path, f"holds {images.dtype} of shape {images.shape}, not frames of (rows, columns) numbers")
        if 0 in images.shape:
            raise ScanFieldMissing(f"The scan {self.name} has no frames in {path} (shape {images.shape})", next_step=_REPEAT)
        return images

    def _check_frame_count(self) -> None:
        announced = self._number(layout.NUM_ANGLES)
        if not np.isfinite(announced):
            raise self._not_finite(layout.NUM_ANGLES, "is not a finite number")
        frames = self.data.shape[0]
        if frames < announced:
            raise ScanTruncated(
                f"The scan {self.name} holds {frames} projections in {layout.DATA}, but {layout.NUM_ANGLES} announces {announced:.12g}",
                next_step=_REPEAT,
            )
        if frames > announced:
            raise self._mismatch(layout.DATA, f"holds {frames} projections, but {layout.NUM_ANGLES} announces {announced:.12g}")

    def _check_sizes(self, warnings: list[str]) -> None:
        _, rows, columns = self.data.shape
        for path, images in ((layout.WHITE, self.white), (layout.DARK, self.dark)):
            if images.shape[1:] != (rows, columns):
                raise self._mismatch(path, f"has frames of {images.shape[1:]}, the projections are {(rows, columns)}")
        for path, size in ((layout.DIMENSION_Y, rows), (layout.DIMENSION_X, columns)):
            stated = self._number(path) if path in self.file else None
            if stated is None:
                warnings.append(f"{path} is missing; the size of the projections ({size}) is used")
            elif stated != size:
                raise self._mismatch(path, f"says {stated:.12g}, the projections have {size}")

    def _angles(self) -> np.ndarray:
        theta = self._dataset(layout.THETA)
        if theta.shape != (self.data.shape[0],):
            raise self._mismatch(layout.THETA, f"has shape {theta.shape} for {self.data.shape[0]} projections")
        if theta.dtype.kind not in "uif":
            raise self._mismatch(layout.THETA, f"holds {theta.dtype} instead of angles in degrees")
        angles: np.ndarray = theta[:].astype(np.float64)
        bad = np.flatnonzero(~np.isfinite(angles))
        if bad.size:
            raise self._not_finite(layout.THETA, f"is not a finite number at projection {bad[0]} ({bad.size} such angles)")
        return angles

    def _check_written(self, path: str, images: h5py.Dataset) -> None:
        """Frames are filled in order and start as zeros; a real frame never is all zero (the camera has a dark current)."""
        frames = images.shape[0]
        if self._has_light(images, frames - 1):
            return
        low, high = 0, frames - 1  # the first frame without light lies in low..high
        while low < high:
            middle = (low + high) // 2
            if self._has_light(images, middle):
                low = middle + 1
            else:
                high = middle
        raise ScanTruncated(f"The scan {self.name} has only {low} of {frames} frames written in {path}", next_step=_REPEAT)

    @staticmethod
    def _has_light(images: h5py.Dataset, frame: int) -> bool:
        rows = images.shape[1]
        return any(bool(np.any(images[frame, row, :])) for row in {rows // 4, rows // 2, 3 * rows // 4})

    def _dataset(self, path: str) -> h5py.Dataset:
        found = self.file.get(path)
        if not isinstance(found, h5py.Dataset):
            raise ScanFieldMissing(f"The scan {self.name} has no field {path}", next_step=_REPEAT, field=path)
        return found

    def _number(self, path: str) -> float:
        value = read_number(self._dataset(path))
        if value is None:
            raise self._mismatch(path, "does not hold one number")
        return value

    def _mismatch(self, path: str, reason: str) -> ScanShapeMismatch:
        return ScanShapeMismatch(f"In the scan {self.name} the field {path} {reason}", next_step=_REPEAT, field=path)

    def _not_finite(self, path: str, reason: str) -> ScanNotFinite:
        return ScanNotFinite(f"In the scan {self.name} the field {path} {reason}", next_step=_REPEAT, field=path)


def _angle_range_deg(metadata: Metadata, angles: np.ndarray, warnings: list[str]) -> float:
    """The announced range, or what the angles cover (first to last, plus one step) where none is usable."""
    announced = metadata.values.get(layout.ANGLE_RANGE)
    if isinstance(announced, (int, float)) and not isinstance(announced, bool) and 0 < announced <= _MOST_DEGREES:
        return float(announced)
    step = abs(float(angles[-1] - angles[0])) / max(1, angles.size - 1)
    covered = abs(float(angles[-1] - angles[0])) + step
    warnings.append(f"{layout.ANGLE_RANGE} is missing or no angle ({announced}); the angles cover {covered:.2f} degrees")
    return covered
