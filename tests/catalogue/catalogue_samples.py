"""Facts, records and products for the catalogue's tests. Here: makers of input. Not here: fixtures, or any promise."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from als_assets.beamlines.base import Extract, ScanFacts, ScanIdentity
from als_assets.beamlines.bl832 import BL832, layout
from als_assets.beamlines.bl832.extract import extract_of
from als_assets.catalogue.model import FileEntry, Record, Thumbnail
from als_assets.catalogue.pictures import thumbnail_of_pixels
from als_assets.catalogue.records import Product, Surroundings, derived_record, raw_record
from als_assets.catalogue.settings import RecordSettings

MOMENT = datetime(2026, 3, 2, 18, 30, tzinfo=UTC)
FOLDER = "dabramov-00847_dabramov"
METADATA: dict[str, object] = {
    layout.FILE_NAME: "20260302_103000_sand_x10.h5",
    layout.PI: "Jane Doe",
    layout.PROPOSAL: "ALS-00847",
    layout.BEAMLINE: "bl832",
    layout.EMAIL: "jane@lbl.gov",
    layout.INSTRUMENT_NAME: "micro-tomography",
    layout.PIXEL_SIZE: 0.00325,
    layout.NUM_ANGLES: 1313,
    layout.ENERGY: [20000.0, 20000.5],
    f"{layout.DETECTOR}/model": "PCO.edge",
}
SETTINGS = RecordSettings()


def identity(stem: str = "20260302_103000_sand_x10", folder: str = FOLDER) -> ScanIdentity:
    return BL832.identify(PurePosixPath(folder) / f"{stem}.h5")


def facts(metadata: dict[str, object] | None = None, **changes: Any) -> ScanFacts:
    fields: dict[str, Any] = {
        "size_bytes": 8_510_000_000,
        "mtime_ns": int(MOMENT.timestamp() * 1e9) + 5,
        "projections": 1313,
        "rows": 1266,
        "columns": 2560,
        "flats": 10,
        "darks": 5,
        "angle_range_deg": 180.0,
        "pixel_size_mm": 0.00325,
        "proposal": "ALS-00847",
        "acquired_at": MOMENT,
        "sample_name": "sand",
        "metadata": METADATA if metadata is None else metadata,
        "units": {layout.PIXEL_SIZE: "mm", layout.ENERGY: "eV"},
    }
    return ScanFacts(**{**fields, **changes})


def extract(metadata: dict[str, object] | None = None, **changes: Any) -> Extract:
    """What the file with these facts says for the catalogue."""
    return extract_of(facts(metadata, **changes), "20260302_103000_sand_x10.h5")


def around(**changes: Any) -> Surroundings:
    fields: dict[str, Any] = {"source_folder": "/a", "files": [entry()]}
    return Surroundings(**{**fields, **changes})


def entry(path: str = "20260302_103000_sand_x10.h5", size: int = 8_510_000_000) -> FileEntry:
    return FileEntry(path, size, MOMENT, sha256="ab" * 32)


def picture(caption: str = "middle projection") -> Thumbnail:
    made = thumbnail_of_pixels(np.random.default_rng(0).random((64, 64)), caption, [])
    assert made is not None
    return made


def raw(metadata: dict[str, object] | None = None, stem: str = "20260302_103000_sand_x10", **changes: Any) -> Record:
    return raw_of(SETTINGS, stem, metadata, **changes)


def raw_of(
    settings: RecordSettings,
    stem: str,
    metadata: dict[str, object] | None = None,
    units: dict[str, str] | None = None,
    **changes: Any,
) -> Record:
    """The raw record of the scan ``stem``, as these settings make it."""
    fields: dict[str, Any] = {
        "source_folder": f"/global/cfs/cdirs/als/data_mover/8.3.2/raw/{FOLDER}",
        "files": [entry(f"{stem}.h5")],
        "thumbnails": [picture()],
    }
    facts = extract(metadata) if units is None else extract(metadata, units=units)
    return raw_record(settings, "bl832", identity(stem), facts, around(**{**fields, **changes}))


def product(**changes: Any) -> Product:
    fields: dict[str, Any] = {
        "kind": "reconstruction",
        "name": "rec20260302_103000_sand_x10",
        "parameters": {"center": 1280.5, "ring_removal": {"method": "fw", "sigma": 3}},
        "software": ["als_assets.recon 0.1.0", "ghcr.io/als-computing/microct@sha256:" + "0" * 64],
        "site": "nersc",
        "job_id": "4711",
        "created_at": MOMENT,
        "source_folder": "/global/cfs/cdirs/als/data_mover/8.3.2/scratch/x",
        "file_blocks": [[entry(f"rec/{i:05d}.tiff", 100) for i in range(3)], [entry("rec.zarr", 250)]],
        "log": "all is well\n",
        "thumbnails": [picture("slice z"), picture("slice y"), picture("slice x")],
        "links": {"viewer": "https://viewer.example.org/?zarr=x", "board": "https://board.example.org/scan/x"},
    }
    return Product(**{**fields, **changes})


def derived(source: Record | None = None, **changes: Any) -> Record:
    """The record of a result of ``source``, under the same prefix."""
    source = source or raw()
    return derived_record(replace(SETTINGS, pid_prefix=source.pid.partition("/")[0]), source, product(**changes))
