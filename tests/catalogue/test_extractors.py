"""From files to records: 8.3.2 for any content of the file, and beamlines whose data are something else.

Here: real files through an extractor into a record. Not here: field by field (``test_records``).
"""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import catalogue_oracle as oracle
import h5py
import numpy as np
import pytest
from catalogue_samples import SETTINGS
from hypothesis import given, settings
from hypothesis import strategies as st

from als_assets.beamlines.base import CatalogueFields, Extract, ExtractedFile, Extractor, ScanIdentity
from als_assets.beamlines.bl832 import BL832, layout
from als_assets.beamlines.bl832.extract import EXTRACTOR
from als_assets.catalogue.gather import file_entries
from als_assets.catalogue.model import Record
from als_assets.catalogue.pictures import thumbnail_read_by
from als_assets.catalogue.records import Surroundings, raw_record
from als_assets.errors import ScanError, ScanFieldMissing
from als_assets.simulator.detector import synthetic_scan

# --- 8.3.2 -------------------------------------------------------------------------------------------------------------

texts = st.one_of(
    st.binary(max_size=12).map(lambda raw: raw.replace(b"\0", b"")),
    st.sampled_from([b"None", b"'bl832',", b"a@b.org,c@d", b"$(rm -rf /)", b"__proto__", b"../../x", b"\xff\xfe", b""]),
)
numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True, width=32),
    st.just(np.zeros((2, 3))),
    st.just(np.array([])),
    st.just(np.array([1.0, np.nan, np.inf])),
    st.integers(-(2**31), 2**31),
    st.booleans(),
)
contents = st.dictionaries(st.sampled_from([field.path for field in layout.FIELDS]), st.one_of(texts, numbers), max_size=10)


@settings(max_examples=60)
@given(contents, st.booleans())
def test_any_file_gives_a_valid_record_or_a_named_error(content: dict[str, Any], complete: bool) -> None:
    """Never a partial record and never another exception: NaN, infinite, bytes, 0-d, 2-D, missing, hostile."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.h5"
        if complete:
            synthetic_scan(path, rows=2, columns=8, angles=3)
        with h5py.File(path, "a") as file:
            for name, value in content.items():
                if name in file:
                    del file[name]
                file[name] = value
        try:
            scan = EXTRACTOR.extract(path)
        except ScanError as error:
            assert error.next_step
            return
        record = _record(BL832.identify(PurePosixPath("a-00847_b/scan.h5")), scan)
    assert record.errors == ()
    oracle.accept_dataset(record.body())
    sent = json.dumps(record.body(), ensure_ascii=False, allow_nan=False).encode("utf-8")
    assert json.loads(sent) == record.body()
    assert [entry.path for entry in record.file_blocks[0]] == ["scan.h5"]


def _record(identity: ScanIdentity, scan: Extract, beamline: str = "bl832") -> Record:
    picture = thumbnail_read_by(scan.thumbnail, "projection", [])
    around = Surroundings("/global/cfs/raw", file_entries(scan), [picture] if picture else [])
    return raw_record(SETTINGS, beamline, identity, scan, around)


def test_a_scan_that_cannot_be_reconstructed_has_a_record_with_a_warning(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file[layout.PROPOSAL] = b"ALS-00847"
        file[layout.ENERGY] = np.array([20000.0, 20001.0])
    scan = EXTRACTOR.extract(tmp_path / "scan.h5")
    assert (scan.catalogue.proposal, scan.scientific[layout.ENERGY]) == ("ALS-00847", [20000.0, 20001.0])
    assert scan.issues[-1].endswith("it cannot be reconstructed as it is")
    with pytest.raises(ScanFieldMissing):
        BL832.inspect(tmp_path / "scan.h5")


def test_the_picture_of_a_complete_scan_is_small_and_a_jpeg(tmp_path: Path) -> None:
    synthetic_scan(tmp_path / "scan.h5", rows=64, columns=640, angles=5)
    record = _record(BL832.identify(PurePosixPath("a-00847_b/scan.h5")), EXTRACTOR.extract(tmp_path / "scan.h5"))
    (thumbnail,) = record.thumbnails
    assert thumbnail.uri.startswith("data:image/jpeg;base64,")
    assert thumbnail.content.startswith(b"\xff\xd8\xff")
    assert len(thumbnail.uri) <= 60_000


# --- others ------------------------------------------------------------------------------------------------------------


class Frames:
    """As 7.3.3 writes: a text header beside each frame, two files a scan."""

    def extract(self, path: Path) -> Extract:
        header = dict(line.split(": ", 1) for line in path.with_suffix(".txt").read_text().splitlines())
        both = (path, path.with_suffix(".txt"))
        files = tuple(ExtractedFile(p.name, p.stat().st_size, datetime.fromtimestamp(p.stat().st_mtime, UTC)) for p in both)
        return Extract(
            CatalogueFields(name=path.stem, investigator=header.pop("User"), proposal=header.pop("Proposal"), instrument="SAXS"),
            header,
            files,
            units={"Energy": "eV"},
            thumbnail=lambda: np.fromfile(path, np.float32).reshape(8, 8),
            issues=("no e-mail address is written by this beamline",),
        )


class Folder:
    """As 7.0.1.2 writes: a folder of one HDF5 file for each view."""

    def extract(self, path: Path) -> Extract:
        views = sorted(path.glob("*.cxi"))
        if not views:
            raise ScanError(f"The folder {path.name} holds no views.", next_step="Wait until the scan is complete.")
        files = tuple(ExtractedFile(f"{path.name}/{view.name}", view.stat().st_size, datetime(2026, 1, 1, tzinfo=UTC)) for view in views)
        return Extract(CatalogueFields(name=path.name), {}, files, datetime(2026, 1, 1, tzinfo=UTC), summary={"views": len(views)})


def _identity(name: str) -> ScanIdentity:
    return ScanIdentity(name, name, name, "f", PurePosixPath("f") / name, None, None, None)


def test_a_beamline_of_frames_with_headers(tmp_path: Path) -> None:
    path = tmp_path / "frame.edf"
    np.ones(64, np.float32).tofile(path)
    path.with_suffix(".txt").write_text("User: Jane\nProposal: ALS-00733\nEnergy: 10000\nComment: ok")
    extractor: Extractor = Frames()
    record = _record(_identity("frame"), extractor.extract(path), "bl733")
    assert record.errors == ()
    oracle.accept_dataset(record.body())
    body = record.body()
    assert (body["ownerGroup"], body["principalInvestigator"], body["creationLocation"]) == ("ALS-00733", "Jane", "SAXS")
    assert body["scientificMetadata"]["Energy"] == {"value": "10000", "unit": "eV"}
    assert [entry.path for entry in record.file_blocks[0]] == ["frame.edf", "frame.txt"]
    assert len(record.thumbnails) == 1
    assert "no e-mail address is written by this beamline" in [issue.sentence for issue in record.warnings]


def test_a_beamline_of_folders(tmp_path: Path) -> None:
    folder = tmp_path / "ptycho_7"
    folder.mkdir()
    extractor: Extractor = Folder()
    with pytest.raises(ScanError, match="no views"):
        extractor.extract(folder)
    for number in range(3):
        (folder / f"{number}.cxi").write_bytes(b"x" * number)
    record = _record(_identity("ptycho_7"), extractor.extract(folder), "bl7012")
    assert record.errors == ()
    oracle.accept_dataset(record.body())
    assert record.body()["scientificMetadata"]["views"] == 3
    assert [(e.path, e.size_bytes) for e in record.file_blocks[0]] == [(f"ptycho_7/{n}.cxi", n) for n in range(3)]
    assert record.thumbnails == ()
    assert record.pid != _record(_identity("ptycho_7"), extractor.extract(folder), "bl733").pid
