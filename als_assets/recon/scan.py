"""Reading a scan file: projections, flat and dark fields, angles and pixel size of the DXfile/8.3.2 layout.

Here: opening, every check that a reconstruction depends on, and reads of rows and projections. What belongs here is the
knowledge of paths and shapes in the file. Not here: corrections of values, see ``chain.py``.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from als_assets.recon.errors import (
    InputUnreadable,
    MissingField,
    NotFinite,
    NotHdf5,
    ShapeMismatch,
    TruncatedInput,
    WrongThetaCount,
)
from als_assets.recon.reading import ContiguousReader

if TYPE_CHECKING:
    import h5py

_DATA, _FLATS, _DARKS, _THETA = "/exchange/data", "/exchange/data_white", "/exchange/data_dark", "/exchange/theta"
_PIXEL_SIZE = "/measurement/instrument/detector/pixel_size"
_WISHES = "/process/tomo_rec/setup/algorithm"
_REWRITE = "Copy the file again, or look at the acquisition: it ended before the file was complete."


@dataclass(frozen=True)
class Shape:
    """Counts of a scan: ``angles`` projections of ``rows`` x ``columns`` pixels."""

    angles: int
    rows: int
    columns: int


class Scan:
    """An open scan file; use as a context manager.

    ``shape``; ``theta_deg`` (angles,) float64; ``pixel_size_mm`` or None; ``wishes``: what the user chose at the beamline.
    Raises (at opening) InputUnreadable, NotHdf5, TruncatedInput, MissingField, ShapeMismatch, WrongThetaCount, NotFinite.
    Layout: Data Exchange (De Carlo et al., J. Synchrotron Rad. 21, 2014) as the 8.3.2 writer fills it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._fields: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        self._file = _open(path)
        try:
            self._data = self._images(_DATA)
            self.shape = Shape(*(int(n) for n in self._data.shape))
            self.theta_deg = self._angles()
            self.pixel_size_mm = self._pixel_size()
            self.wishes = self._algorithm()
            self._check_companions()
            self._reader = self._contiguous()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Scan:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._reader is not None:
            self._reader.close()
        self._file.close()

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored pixels."""
        dtype: np.dtype[Any] = self._data.dtype
        return dtype

    def rows(self, start: int, stop: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Projections of detector rows ``start:stop``, shape (angles, stop - start, columns), in ``out`` if given and of use.

        Raises TruncatedInput, NotFinite.
        """
        if self._reader is None:
            values = self._read(np.s_[:, start:stop, :])
        else:
            shape = (self.shape.angles, stop - start, self.shape.columns)
            values = out if out is not None and out.shape == shape else np.empty(shape, self.dtype)
            try:
                self._reader.rows(start, stop, values)
            except OSError as error:
                raise TruncatedInput(f"{self.path} cannot be read: {_first_line(error)}.", next_step=_REWRITE) from error
        return self._finite(values, f"rows {start} to {stop - 1}")

    def announce(self, start: int, stop: int) -> None:
        """These rows will be asked for soon."""
        if self._reader is not None:
            self._reader.announce(start, stop)

    def projections(self, start: int, stop: int, step: int = 1) -> NDArray[Any]:
        """Projections ``start:stop:step``, shape (n, rows, columns). Raises TruncatedInput, NotFinite."""
        return self._finite(self._read(np.s_[start:stop:step]), f"projections {start} to {stop - 1}")

    def fields(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean flat and mean dark field, each (rows, columns) float32. Raises TruncatedInput, NotFinite."""
        with self._lock:
            if self._fields is None:
                self._fields = self._mean(_FLATS), self._mean(_DARKS)
            return self._fields

    def measured(self, where: str) -> float | None:
        """The first value other than zero of a dataset of numbers (the first frame's is often not filled in), or None."""
        found = self._file.get(where)
        if found is None:
            return None
        values = np.asarray(found[()], np.float64).ravel()
        usable = values[np.isfinite(values) & (values != 0)]
        return float(usable[0]) if usable.size else None

    def _mean(self, where: str) -> NDArray[np.float32]:
        total = np.zeros((self.shape.rows, self.shape.columns), np.float64)
        frames = self._file[where]
        for index in range(frames.shape[0]):
            total += self._read(np.s_[index], where)
        return self._finite((total / frames.shape[0]).astype(np.float32), where)

    def _read(self, selection: Any, where: str = _DATA) -> NDArray[Any]:
        try:
            values = np.asarray(self._file[where][selection])
        except OSError as error:
            raise TruncatedInput(f"{self.path} cannot be read at {where}: {_first_line(error)}.", next_step=_REWRITE) from error
        return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))

    def _finite(self, values: NDArray[Any], where: str) -> NDArray[Any]:
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise NotFinite(
                f"{self.path} holds NaN or infinite values in {where}.", next_step="Look at how the file was written; raw data are finite."
            )
        return values

    def _contiguous(self) -> ContiguousReader | None:
        offset = self._data.id.get_offset()
        if offset is None or self._data.chunks is not None or not self.dtype.isnative:
            return None
        return ContiguousReader(self.path, offset, (self.shape.angles, self.shape.rows, self.shape.columns), self.dtype)

    def _images(self, where: str) -> h5py.Dataset:
        dataset = self._dataset(where)
        if len(dataset.shape) != 3 or 0 in dataset.shape or dataset.dtype.kind not in "uif":
            raise ShapeMismatch(
                f"{where} in {self.path} has shape {dataset.shape} and type {dataset.dtype}, not a stack of images (n, rows, columns).",
                next_step="Check that the acquisition ran and that this is a tomography scan.",
            )
        return dataset

    def _dataset(self, where: str) -> h5py.Dataset:
        import h5py

        found = self._file.get(where)
        if not isinstance(found, h5py.Dataset):
            raise MissingField(
                f"{self.path} has no {where}.", next_step="Check that this is a complete scan in the 8.3.2 (Data Exchange) layout."
            )
        return found

    def _angles(self) -> NDArray[np.float64]:
        dataset = self._dataset(_THETA)
        theta = np.asarray(dataset[()], np.float64).ravel()
        if theta.size != self.shape.angles:
            raise WrongThetaCount(
                f"{self.path} has {theta.size} angles in {_THETA} for {self.shape.angles} projections in {_DATA}.",
                next_step="The acquisition was interrupted or the file is mixed up: scan again or correct the angles.",
            )
        theta = self._finite(theta, _THETA)
        unit = dataset.attrs.get("units", "deg")
        text = unit.decode() if isinstance(unit, bytes) else str(unit)
        return np.degrees(theta) if text.lower().startswith("rad") else theta

    def _pixel_size(self) -> float | None:
        found = self._file.get(_PIXEL_SIZE)
        if found is None:
            return None
        value = float(np.asarray(found[()], np.float64).ravel()[0])
        if not np.isfinite(value) or value <= 0:
            raise NotFinite(
                f"{_PIXEL_SIZE} in {self.path} is {value}, not a length in millimetres.", next_step="Give pixel_size_mm in --params."
            )
        return value

    def _algorithm(self) -> dict[str, str]:
        group = self._file.get(_WISHES)
        return {} if group is None else {str(key): _text(group[key][()]) for key in group if hasattr(group[key], "shape")}

    def _check_companions(self) -> None:
        for where in (_FLATS, _DARKS):
            shape = self._images(where).shape
            if shape[1:] != self._data.shape[1:]:
                raise ShapeMismatch(
                    f"{where} in {self.path} has images of {shape[1]} x {shape[2]}, the projections have "
                    f"{self.shape.rows} x {self.shape.columns}.",
                    next_step="Use flat and dark fields of the same region of the detector.",
                )
        if not self._read(np.s_[-1]).any():
            raise TruncatedInput(f"The last projection in {self.path} was never written (all zero).", next_step=_REWRITE)


def _open(path: Path) -> h5py.File:
    import h5py

    try:
        with path.open("rb") as stream:
            stream.read(1)
    except OSError as error:
        raise InputUnreadable(
            f"{path} cannot be opened: {error.strerror}.", next_step="Check the path and the rights of this account."
        ) from error
    try:
        return h5py.File(path, "r")
    except OSError as error:
        reason = _first_line(error)
        if "truncated file" in reason:
            raise TruncatedInput(f"{path} ends before its data ({reason}).", next_step=_REWRITE) from error
        raise NotHdf5(f"{path} is not a readable HDF5 file: {reason}.", next_step="Check that this is the scan file.") from error


def _first_line(error: OSError) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else "input/output error"


def _text(value: Any) -> str:
    array = np.asarray(value).ravel()
    item = array[0] if array.size else ""
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
