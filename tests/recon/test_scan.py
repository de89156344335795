"""Reading scans: every layout that must be accepted and every fault that must be named.

Here: promises of scan.py on real HDF5 files. What belongs here is one file per case. Not here: corrections of values.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from recon_phantoms import ScanFile

from als_assets.recon import errors
from als_assets.recon.chain import Corrector
from als_assets.recon.scan import Scan


def test_a_scan_tells_its_shape_angles_pixel_size_and_wishes(tmp_path: Path) -> None:
    path = ScanFile(rows=3, width=20, angles=7, wishes={"filter": "hann"}).write(tmp_path / "s.h5")
    with Scan(path) as scan:
        assert (scan.shape.angles, scan.shape.rows, scan.shape.columns) == (7, 3, 20)
        assert scan.theta_deg.tolist() == np.linspace(0, 180, 7).tolist()
        assert scan.pixel_size_mm == 0.05
        assert scan.wishes == {"filter": "hann"}
        assert scan.dtype == np.uint16


@pytest.mark.parametrize("chunks", [None, (4, 2, 10)])
@pytest.mark.parametrize("dtype", ["u2", "f4"])
def test_rows_and_projections_are_the_file_s_whatever_its_storage(tmp_path: Path, dtype: str, chunks: Any) -> None:
    path = ScanFile(rows=5, width=20, angles=9, dtype=dtype, chunks=chunks).write(tmp_path / "s.h5")
    with h5py.File(path) as file:
        truth = file["/exchange/data"][()]
    with Scan(path) as scan:
        assert np.array_equal(scan.rows(1, 4), truth[:, 1:4])
        assert np.array_equal(scan.projections(2, 8, 3), truth[2:8:3])
        assert scan.rows(0, 5).dtype == np.dtype(dtype)


@pytest.mark.parametrize("chunks", [None, (4, 2, 10)])
def test_memory_of_the_caller_is_used_where_it_fits(tmp_path: Path, chunks: Any) -> None:
    path = ScanFile(rows=5, width=20, angles=9, chunks=chunks).write(tmp_path / "s.h5")
    memory = np.zeros((9, 2, 20), np.uint16)
    with Scan(path) as scan:
        assert (scan.rows(1, 3, memory) is memory) == (chunks is None)
        assert np.array_equal(scan.rows(4, 5, memory), scan.rows(0, 5)[:, 4:])


def test_big_endian_pixels_are_read_right(tmp_path: Path) -> None:
    path = ScanFile(rows=3, width=20, angles=9, dtype=">u2").write(tmp_path / "s.h5")
    with Scan(path) as scan:
        assert 20_000 < scan.rows(0, 3).max() < 43_000
        Corrector(scan, 0.01).sinograms(scan.rows(0, 2), 0)


def test_a_file_that_shrinks_while_it_is_read_is_named(tmp_path: Path) -> None:
    path = ScanFile(rows=30, width=64, angles=91).write(tmp_path / "s.h5")
    with Scan(path) as scan:
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(errors.TruncatedInput, match="ends within projection"):
            scan.rows(0, 8)


def test_flats_and_darks_are_averaged(tmp_path: Path) -> None:
    flats = np.stack([np.full((2, 8), value, np.uint16) for value in (100, 200, 600)])
    scan_file = ScanFile(rows=2, width=8, angles=5, replace={"/exchange/data_white": flats})
    with Scan(scan_file.write(tmp_path / "s.h5")) as scan:
        flat, dark = scan.fields()
    assert flat.tolist() == np.full((2, 8), 300.0).tolist()
    assert dark.tolist() == np.full((2, 8), 100.0).tolist()


def test_angles_in_radian_are_converted(tmp_path: Path) -> None:
    path = ScanFile(angles=5, theta_deg=np.linspace(0, np.pi, 5)).write(tmp_path / "s.h5")
    with h5py.File(path, "a") as file:
        file["/exchange/theta"].attrs["units"] = b"rad"
    with Scan(path) as scan:
        assert scan.theta_deg == pytest.approx([0, 45, 90, 135, 180])


def test_a_scan_without_pixel_size_or_wishes_opens(tmp_path: Path) -> None:
    path = ScanFile(drop=["/measurement/instrument/detector/pixel_size"]).write(tmp_path / "s.h5")
    with Scan(path) as scan:
        assert scan.pixel_size_mm is None
        assert scan.wishes == {}


_BAD = {
    "no data": (ScanFile(drop=["/exchange/data"]), errors.MissingField, "/exchange/data"),
    "no flats": (ScanFile(drop=["/exchange/data_white"]), errors.MissingField, "/exchange/data_white"),
    "no darks": (ScanFile(drop=["/exchange/data_dark"]), errors.MissingField, "/exchange/data_dark"),
    "no theta": (ScanFile(drop=["/exchange/theta"]), errors.MissingField, "/exchange/theta"),
    "flat image": (ScanFile(replace={"/exchange/data": np.ones((5, 5))}), errors.ShapeMismatch, "/exchange/data"),
    "text": (ScanFile(replace={"/exchange/data": np.full((2, 2, 2), b"x")}), errors.ShapeMismatch, "/exchange/data"),
    "no flat frames": (ScanFile(replace={"/exchange/data_white": np.ones((0, 6, 64))}), errors.ShapeMismatch, "data_white"),
    "other flats": (ScanFile(replace={"/exchange/data_white": np.ones((2, 6, 32))}), errors.ShapeMismatch, "6 x 32"),
    "few angles": (ScanFile(replace={"/exchange/theta": np.arange(90.0)}), errors.WrongThetaCount, "90 angles"),
    "NaN angle": (ScanFile(replace={"/exchange/theta": np.full(91, np.nan)}), errors.NotFinite, "/exchange/theta"),
    "NaN pixel": (ScanFile(replace={"/measurement/instrument/detector/pixel_size": np.array([np.nan])}), errors.NotFinite, "pixel_size"),
    "negative pixel": (ScanFile(pixel_size_mm=-1.0), errors.NotFinite, "pixel_size"),
    "unwritten end": (ScanFile(replace={"/exchange/data": np.zeros((91, 6, 64), "u2")}), errors.TruncatedInput, "last projection"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(_BAD))
def test_a_faulty_scan_is_refused_with_the_field_in_the_sentence(tmp_path: Path, case: str) -> None:
    scan_file, kind, words = _BAD[case]
    path = scan_file.write(tmp_path / "s.h5")
    with pytest.raises(kind) as caught:
        Scan(path)
    assert type(caught.value) is kind
    assert words in caught.value.sentence
    assert str(path) in caught.value.sentence
    assert caught.value.next_step


def test_nan_in_projections_and_flats_is_found_when_read(tmp_path: Path) -> None:
    data = np.ones((91, 6, 64), np.float32)
    data[5, 2, 3] = np.nan
    flats = np.full((1, 6, 64), np.inf)
    path = ScanFile(dtype="f4", replace={"/exchange/data": data, "/exchange/data_white": flats}).write(tmp_path / "s.h5")
    with Scan(path) as scan:
        assert scan.rows(0, 2).shape == (91, 2, 64)
        with pytest.raises(errors.NotFinite, match="rows 2 to 2"):
            scan.rows(2, 3)
        with pytest.raises(errors.NotFinite, match="projections 5 to 5"):
            scan.projections(5, 6)
        with pytest.raises(errors.NotFinite, match="data_white"):
            scan.fields()


def test_files_that_are_missing_empty_foreign_or_cut_are_told_apart(tmp_path: Path, small_scan: Path) -> None:
    with pytest.raises(errors.InputUnreadable):
        Scan(tmp_path / "absent.h5")
    with pytest.raises(errors.InputUnreadable):
        Scan(tmp_path)
    (tmp_path / "empty.h5").touch()
    with pytest.raises(errors.NotHdf5):
        Scan(tmp_path / "empty.h5")
    (tmp_path / "text.h5").write_text("not a scan" * 100, encoding="ascii")
    with pytest.raises(errors.NotHdf5):
        Scan(tmp_path / "text.h5")
    content = small_scan.read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(errors.TruncatedInput):
        Scan(tmp_path / "cut.h5")


def test_a_closed_scan_lets_go_of_its_file(small_scan: Path) -> None:
    with Scan(small_scan):
        pass
    with h5py.File(small_scan, "a") as file:
        file["/exchange/theta"][0] = 1.0


@pytest.mark.parametrize("chunks", [None, (4, 2, 10)])
def test_rows_can_be_announced_whatever_the_storage(tmp_path: Path, chunks: Any) -> None:
    path = ScanFile(rows=5, width=20, angles=9, chunks=chunks).write(tmp_path / "s.h5")
    with Scan(path) as scan:
        scan.announce(1, 3)
        assert scan.rows(1, 3).shape == (9, 2, 20)


def test_measured_numbers_skip_frames_that_were_not_filled_in(tmp_path: Path) -> None:
    where = "/measurement/instrument/monochromator/energy"
    fields = {where: np.array([0.0, np.nan, 21_000.0, 22_000.0]), "/measurement/zeros": np.zeros(3)}
    with Scan(ScanFile(replace=fields).write(tmp_path / "s.h5")) as scan:
        assert scan.measured(where) == 21_000
        assert scan.measured("/measurement/zeros") is None
        assert scan.measured("/measurement/absent") is None
