"""Single values of an 8.3.2 scan file as plain Python: numbers, texts, samples of per-frame arrays, the time of the scan.

Here: reading a field whatever its actual shape and type, with a warning instead of an exception for an odd one. Not here:
the checks that admit a scan (``reader``), or what the catalogue makes of a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import h5py
import numpy as np

from als_assets.beamlines.bl832 import layout

MAX_TEXT = 16_384
MAX_OPTIONS = 200
_SAMPLES = 10
_WHOLE = 20
_LARGEST_COUNT = 2.0**53
_PLACEHOLDERS = frozenset({"", "none", "null", "unknown", "na", "n/a", "nan"})
_ALS_TIME = ZoneInfo("America/Los_Angeles")
_EPOCH_RANGE_S = (946_684_800.0, 4_102_444_800.0)  # years 2000 to 2100; anything else is a counter or a broken clock


@dataclass
class Metadata:
    """Values and units by their path in the file."""

    values: dict[str, object] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)


def read_metadata(file: h5py.File, warnings: list[str]) -> Metadata:
    """All fields of the layout that the file has, and the reconstruction options; a missing catalogue field is a warning."""
    found = Metadata()
    for spec in layout.FIELDS:
        dataset = _find(file, spec.path)
        if dataset is not None:
            _take(found, spec.path, dataset, spec.kind, warnings)
        elif spec in layout.CATALOGUE_FIELDS:
            warnings.append(f"{spec.path} is missing")
    options = file.get(layout.RECON_OPTIONS)
    if isinstance(options, h5py.Group):
        for name in list(options)[:MAX_OPTIONS]:
            dataset = _find(options, name)
            if dataset is not None:
                _take(found, f"{layout.RECON_OPTIONS}/{name}", dataset, layout.Kind.TEXT, warnings)
    return found


def read_number(dataset: h5py.Dataset) -> float | None:
    """The one number in a dataset of shape () or (1,), also where it is stored as text; None for anything else."""
    if dataset.size != 1:
        return None
    value = plain(np.asarray(dataset[()]).reshape(-1)[0])
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, (int, float)) else None


def plain(value: object) -> object:
    """A numpy or bytes value as text, bool, int, float or list; floats may be NaN, undecodable bytes become U+FFFD."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "").strip()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value)


def usable_text(value: object) -> str | None:
    """The text, unless it is one of the words that stand for nothing ("None", "Unknown", "NA", ...)."""
    if not isinstance(value, str) or value.strip().lower() in _PLACEHOLDERS:
        return None
    return value.strip()


def acquisition_time(values: Mapping[str, object], warnings: list[str]) -> datetime | None:
    """When the scan began, in UTC: from the image dates, the time stamp or the start date, whichever is usable first."""
    for path in (layout.IMAGE_DATE, layout.TIME_STAMP, layout.START_DATE):
        value = values.get(path)
        for candidate in value if isinstance(value, list) else [value]:
            moment = _moment(candidate, path, warnings)
            if moment is not None:
                return moment
    return None


def _moment(value: object, path: str, warnings: list[str]) -> datetime | None:
    if isinstance(value, (int, float)):
        low, high = _EPOCH_RANGE_S
        return datetime.fromtimestamp(float(value), UTC) if low <= value <= high else None
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        warnings.append(f"{path} has no offset from UTC; it is read as the time in Berkeley")
        moment = moment.replace(tzinfo=_ALS_TIME)
    return moment.astimezone(UTC)


def _find(group: h5py.Group, path: str) -> h5py.Dataset | None:
    try:
        found = group.get(path)
    except RuntimeError:  # a link that leads to itself
        return None
    return found if isinstance(found, h5py.Dataset) else None


def _take(found: Metadata, path: str, dataset: h5py.Dataset, kind: layout.Kind, warnings: list[str]) -> None:
    try:
        if dataset.dtype.kind == "V" or dataset.shape is None:
            raise TypeError(f"its type is {dataset.dtype}")
        value = _value(dataset, path, kind, warnings)
        unit = plain(dataset.attrs.get("units", "")) or layout.UNITS.get(path)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        # One odd field, of a type that numpy lacks or damaged, must not keep a good scan out.
        warnings.append(f"{path} holds no plain values and is left out: {error}")
        return
    if value is not None:
        found.values[path] = value
        if isinstance(unit, str):
            found.units[path] = unit


def _value(dataset: h5py.Dataset, path: str, kind: layout.Kind, warnings: list[str]) -> object:
    if dataset.size == 0:
        warnings.append(f"{path} is empty and is left out")
        return None
    if dataset.size == 1:
        return _cut(plain(np.asarray(dataset[()]).reshape(-1)[0]), path, kind, warnings)
    if dataset.ndim == 1 and kind is layout.Kind.SAMPLED:
        # The first frame's value may be a zero that was never filled in, so all samples are kept.
        return plain(dataset[:: max(1, dataset.size // _SAMPLES)])
    warnings.append(f"{path} holds {dataset.size} values of shape {dataset.shape} instead of one; the first {_WHOLE} are kept")
    first = dataset[(0,) * (dataset.ndim - 1)][:_WHOLE]
    return plain(first)


def _cut(value: object, path: str, kind: layout.Kind, warnings: list[str]) -> object:
    if isinstance(value, str) and len(value) > MAX_TEXT:
        warnings.append(f"{path} holds {len(value)} characters; the first {MAX_TEXT} are kept")
        return value[:MAX_TEXT]
    if isinstance(value, float) and kind is not layout.Kind.SAMPLED and value.is_integer() and abs(value) < _LARGEST_COUNT:
        return int(value)  # the layout stores counts as float64
    return value
