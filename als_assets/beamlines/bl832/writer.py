"""Write a scan in the layout of 8.3.2, at once or in pieces as the detector does.

Here: the real file layout (contiguous frames, numbers of shape (1,) as float64, texts as scalar bytes, one value a frame
for motors) made from arrays. Not here: where the arrays come from (a detector, the simulator, another file).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from als_assets.beamlines.bl832 import layout
from als_assets.errors import ScanShapeMismatch

Frames = NDArray[np.uint16]


@dataclass(frozen=True)
class ScanHeader:
    """What the scan program knows beside the frames; ``acquired_at`` needs an offset from UTC.

    ``extra`` adds or replaces fields by path; a value is a number, a text, or None to leave the field out.
    """

    sample_name: str = "sample"
    proposal: str = "ALS-00847"
    principal_investigator: str = "J. Doe"
    experiment_lead: str = "J. Doe"
    experimenter: str = "J. Doe"
    email: str = "jdoe@example.org"
    beamline: str = "bl832"
    instrument_name: str = "micro-tomography"
    title: str = "Micro-tomography"
    detector_model: str = "PCO.edge"
    objective: str = "Mitutoyo 10x"
    scintillator: str = "LuAG:Ce 50 um"
    pixel_size_mm: float = 0.00325
    energy_ev: float = 20_000.0
    camera_distance_mm: float = 120.0
    exposure_s: float = 0.02
    angle_range_deg: float = 180.0
    acquired_at: datetime = datetime(2026, 3, 2, 18, 30, tzinfo=UTC)
    extra: Mapping[str, float | str | None] = field(default_factory=dict)


def write_scan(
    path: Path,
    data: Frames,
    white: Frames,
    dark: Frames,
    theta_deg: NDArray[np.float64],
    metadata: ScanHeader,
    *,
    pieces: int = 1,
    pause_s: float = 0.0,
    in_place: bool = True,
) -> None:
    """Write a scan file.

    ``data`` (projections, rows, columns), ``white`` and ``dark`` (frames, rows, columns) are unsigned 16-bit counts,
    ``theta_deg`` (projections,) degrees. In ``pieces`` > 1 the file is opened, filled and closed piece by piece with
    ``pause_s`` between them: size and mtime change until the last one, and before it the reader says how many projections
    are missing. ``in_place=False`` writes under a hidden name and renames at the end. An existing file is replaced.
    Raises ScanShapeMismatch where the arrays do not fit together.
    """
    _require_fit(data, white, dark, theta_deg)
    target = path if in_place else path.with_name(f".{path.name}.partial")
    target.unlink(missing_ok=True)
    with h5py.File(target, "w") as file:
        _write_frame(file, data, white, dark, theta_deg, metadata)
    bounds = np.linspace(0, len(data), min(max(1, pieces), len(data)) + 1).astype(int)
    for start, stop in pairwise(bounds):
        time.sleep(pause_s if pieces > 1 else 0.0)
        with h5py.File(target, "r+") as file:
            file[layout.DATA][start:stop] = data[start:stop]
            if stop == len(data):
                _write_motors(file, len(data), len(data) + len(white) + len(dark), metadata)
    if not in_place:
        target.rename(path)


def _require_fit(data: Frames, white: Frames, dark: Frames, theta_deg: NDArray[np.float64]) -> None:
    same_size = data.ndim == white.ndim == dark.ndim == 3 and data.shape[1:] == white.shape[1:] == dark.shape[1:]
    if not same_size or theta_deg.shape != data.shape[:1]:
        raise ScanShapeMismatch(
            f"Projections {data.shape}, flats {white.shape}, darks {dark.shape} and angles {theta_deg.shape} do not fit",
            next_step="Give one angle a projection, and frames of the same rows and columns everywhere",
        )


def _write_frame(file: h5py.File, data: Frames, white: Frames, dark: Frames, theta_deg: NDArray[np.float64], header: ScanHeader) -> None:
    """Everything but projections and motors. The projections' space is allocated only when the first one is written."""
    file["implements"] = np.bytes_(b"exchange:measurement:process")
    file["/exchange/name"] = np.bytes_(b"tomography")
    file["/exchange/description"] = np.bytes_(b"raw tomography")
    file.create_dataset(layout.DATA, data.shape, np.uint16).attrs["axes"] = np.bytes_(b"theta:y:x")
    for path, frames, axes in ((layout.WHITE, white, b"theta_white:y:x"), (layout.DARK, dark, b"theta_dark:y:x")):
        file.create_dataset(path, data=frames, dtype=np.uint16).attrs["axes"] = np.bytes_(axes)
    edges = {layout.THETA_WHITE: len(white), layout.THETA_DARK: len(dark)}
    for path, angles in ((layout.THETA, theta_deg), *((path, np.zeros(count)) for path, count in edges.items())):
        file.create_dataset(path, data=angles, dtype=np.float64).attrs["units"] = np.bytes_(b"deg")
    for path, value in {**_numbers(data, white, dark, header), **_texts(header), **header.extra}.items():
        if isinstance(value, str):
            file[path] = np.bytes_(value.encode("utf-8"))
        elif value is not None:
            file[path] = np.array([value], dtype=np.float64)


def _numbers(data: Frames, white: Frames, dark: Frames, header: ScanHeader) -> dict[str, float]:
    setup = f"{layout.INSTRUMENT}/camera_motor_stack/setup"
    return {
        layout.NUM_ANGLES: len(data),
        layout.ANGLE_RANGE: header.angle_range_deg,
        f"{layout.ROTATION}/multiRev": 0,
        f"{layout.ROTATION}/nhalfCir": round(header.angle_range_deg / 180),
        f"{layout.ROTATION}/blur_limit": 1,
        layout.NUM_FLATS: len(white),
        layout.I0_CYCLE: 0,
        f"{layout.FLATS}/i0_move_x": 10,
        f"{layout.FLATS}/i0_move_y": 0,
        f"{layout.FLATS}/usebrightexpose": 0,
        layout.NUM_DARKS: len(dark),
        f"{layout.DARKS}/dark_num_avg_of": 1,
        layout.DIMENSION_X: data.shape[2],
        layout.DIMENSION_Y: data.shape[1],
        layout.PIXEL_SIZE: header.pixel_size_mm,
        f"{layout.DETECTOR}/binning_x": 1,
        f"{layout.DETECTOR}/binning_y": 1,
        f"{layout.DETECTOR}/delay_time": 0,
        f"{layout.DETECTOR}/temperature": 12.5,
        f"{layout.DETECTOR}/dark_field_value": float(dark.mean()) if dark.size else 0.0,
        f"{layout.INSTRUMENT}/attenuator/setup/filter_y": 1.0,
        f"{layout.INSTRUMENT}/monochromator/setup/Z2": 14.2,
        f"{setup}/tilt_motor": 0.0,
        **{f"{layout.INSTRUMENT}/slits/setup/{name}": 0.0 for name in ("hslits_center", "hslits_size", "vslits_Lead_Flag")},
        **{f"{layout.ACQUISITION}/mosaic/tile_{axis}numimg": 1 for axis in "xy"},
        **{f"{layout.ACQUISITION}/mosaic/tile_{axis}{n}": 0 for axis in "xy" for n in ("movedist", "orig", "overlap")},
    }


def _texts(header: ScanHeader) -> dict[str, str]:
    detection = f"{layout.INSTRUMENT}/detection_system"
    return {
        layout.INSTRUMENT_NAME: header.instrument_name,
        layout.BEAMLINE: header.beamline,
        layout.EXPERIMENT_LEAD: header.experiment_lead,
        layout.PI: header.principal_investigator,
        layout.PROPOSAL: header.proposal,
        layout.TITLE: header.title,
        layout.EMAIL: header.email,
        layout.EXPERIMENTER: header.experimenter,
        layout.FILE_NAME: header.sample_name,
        layout.START_DATE: header.acquired_at.isoformat(),
        f"{layout.ACQUISITION}/name": "raw tomography",
        f"{layout.DETECTOR}/model": header.detector_model,
        f"{layout.INSTRUMENT}/source/source_name": "Advanced Light Source",
        f"{layout.INSTRUMENT}/source/beamline": header.beamline,
        f"{detection}/objective/camera_objective": header.objective,
        f"{detection}/scintillator/scintillator_type": header.scintillator,
    }


def _write_motors(file: h5py.File, projections: int, frames: int, header: ScanHeader) -> None:
    """The arrays of one value a frame, which exist only when the scan has ended."""
    exposures: NDArray[np.float64] = np.arange(frames, dtype=np.float64) * header.exposure_s + header.acquired_at.timestamp()
    values: dict[str, NDArray[np.float64]] = {
        layout.CAMERA_DISTANCE: np.full(frames, header.camera_distance_mm),
        layout.ENERGY: np.full(frames, header.energy_ev),
        layout.EXPOSURE_TIME: np.full(frames, header.exposure_s),
        layout.TIME_STAMP: exposures,
        layout.IMAGE_DATE: exposures[:projections],
    }
    fixed = {"source/current": 500.0, "source/beam_intensity_incident": 1.0, "camera_motor_stack/setup/camera_elevation": 0.0}
    for name in ("axis1pos", "axis2pos", "sample_x", "axis5pos"):
        fixed[f"sample_motor_stack/setup/{name}"] = 0.0
    for name in ("turret1", "turret2"):
        fixed[f"monochromator/setup/{name}"] = 0.0
    values.update({f"{layout.INSTRUMENT}/{name}": np.full(frames, value) for name, value in fixed.items()})
    for path, array in values.items():
        if path not in header.extra:
            file.create_dataset(path, data=array, dtype=np.float64)
