"""What is wrong with a scan file, and what a good one says. Here: real HDF5 files with one fault each. Not here: growth."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from als_assets.beamlines.bl832 import BL832, layout
from als_assets.beamlines.bl832.writer import ScanHeader, write_scan
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

Edit = Callable[[Callable[[h5py.File], object]], Path]


def replace(path: str, value: object) -> Callable[[h5py.File], None]:
    def action(file: h5py.File) -> None:
        if path in file:
            del file[path]
        file[path] = value

    return action


def remove(path: str) -> Callable[[h5py.File], None]:
    def action(file: h5py.File) -> None:
        del file[path]

    return action


def test_a_complete_scan(scan: Path) -> None:
    facts = BL832.inspect(scan)
    assert (facts.projections, facts.rows, facts.columns, facts.flats, facts.darks) == (12, 4, 6, 3, 2)
    assert facts.size_bytes == scan.stat().st_size
    assert facts.mtime_ns == scan.stat().st_mtime_ns
    assert facts.angle_range_deg == 180
    assert facts.pixel_size_mm == 0.00325
    assert facts.proposal == "ALS-00847"
    assert facts.sample_name == "20240101_120000_sand"
    assert facts.acquired_at == ScanHeader().acquired_at
    assert facts.warnings == ()


def test_metadata_is_plain_python_with_units(scan: Path) -> None:
    facts = BL832.inspect(scan)
    assert facts.metadata[layout.NUM_ANGLES] == 12
    assert type(facts.metadata[layout.NUM_ANGLES]) is int
    assert facts.metadata[layout.EMAIL] == "jdoe@example.org"
    energies = facts.metadata[layout.ENERGY]
    assert isinstance(energies, list)
    assert 10 <= len(energies) <= 19
    assert set(energies) == {20_000.0}
    assert facts.units[layout.PIXEL_SIZE] == "mm"
    assert facts.units[layout.ENERGY] == "eV"
    assert layout.EMAIL not in facts.units


def test_a_unit_in_the_file_wins(edit: Edit) -> None:
    path = edit(lambda file: file[layout.ENERGY].attrs.__setitem__("units", b"keV"))
    assert BL832.inspect(path).units[layout.ENERGY] == "keV"


@pytest.mark.parametrize(
    ("field", "error"),
    [
        (layout.DATA, ScanFieldMissing),
        (layout.WHITE, ScanFieldMissing),
        (layout.DARK, ScanFieldMissing),
        (layout.THETA, ScanFieldMissing),
        (layout.NUM_ANGLES, ScanFieldMissing),
        (layout.PIXEL_SIZE, ScanFieldMissing),
    ],
)
def test_a_missing_field_is_named(edit: Edit, field: str, error: type[ScanError]) -> None:
    with pytest.raises(error, match=field):
        BL832.inspect(edit(remove(field)))


ZEROS = np.zeros((3, 4, 6), np.uint16)


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        (layout.NUM_ANGLES, [13.0], ScanTruncated),
        (layout.NUM_ANGLES, [11.0], ScanShapeMismatch),
        (layout.NUM_ANGLES, [np.nan], ScanNotFinite),
        (layout.NUM_ANGLES, [1.0, 2.0], ScanShapeMismatch),
        (layout.NUM_ANGLES, b"many", ScanShapeMismatch),
        (layout.THETA, np.zeros(11), ScanShapeMismatch),
        (layout.THETA, np.zeros((12, 1)), ScanShapeMismatch),
        (layout.THETA, np.array([b"a"] * 12), ScanShapeMismatch),
        (layout.THETA, np.array([0.0] * 11 + [np.nan]), ScanNotFinite),
        (layout.THETA, np.array([0.0] * 11 + [np.inf]), ScanNotFinite),
        (layout.PIXEL_SIZE, [np.nan], ScanNotFinite),
        (layout.PIXEL_SIZE, [0.0], ScanNotFinite),
        (layout.PIXEL_SIZE, [-0.001], ScanNotFinite),
        (layout.DIMENSION_X, [7.0], ScanShapeMismatch),
        (layout.DIMENSION_Y, [3.0], ScanShapeMismatch),
        (layout.WHITE, np.ones((3, 4, 5), np.uint16), ScanShapeMismatch),
        (layout.WHITE, np.ones((3, 4), np.uint16), ScanShapeMismatch),
        (layout.WHITE, np.zeros((0, 4, 6), np.uint16), ScanFieldMissing),
        (layout.WHITE, ZEROS, ScanTruncated),
        (layout.DARK, np.ones((2, 5, 6), np.uint16), ScanShapeMismatch),
        (layout.DARK, np.zeros((0, 4, 6), np.uint16), ScanFieldMissing),
        (layout.DATA, np.array([b"text"]), ScanShapeMismatch),
    ],
)
def test_a_wrong_field_is_named(edit: Edit, field: str, value: object, error: type[ScanError]) -> None:
    with pytest.raises(error, match=field) as caught:
        BL832.inspect(edit(replace(field, value)))
    assert "20240101_120000_sand.h5" in caught.value.sentence
    assert caught.value.next_step


@pytest.mark.parametrize("written", [0, 1, 5, 11])
def test_projections_that_were_never_written_are_counted(edit: Edit, written: int) -> None:
    path = edit(lambda file: file[layout.DATA].__setitem__(slice(written, None), 0))
    with pytest.raises(ScanTruncated, match=f"only {written} of 12 frames written in {layout.DATA}"):
        BL832.inspect(path)


def test_dark_fields_may_be_black(edit: Edit) -> None:
    path = edit(replace(layout.DARK, np.zeros((2, 4, 6), np.uint16)))
    assert BL832.inspect(path).darks == 2


def test_a_number_stored_as_text_is_read(edit: Edit) -> None:
    assert BL832.inspect(edit(replace(layout.PIXEL_SIZE, b"0.0065"))).pixel_size_mm == 0.0065


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.touch()
    with pytest.raises(ScanEmpty, match=r"a\.h5 has no bytes"):
        BL832.inspect(path)


@pytest.mark.parametrize("content", [b"II*\0 a TIFF", b"\0" * 4096, b"x" * 3000], ids=["tiff", "zeros", "text"])
def test_not_hdf5(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    with pytest.raises(ScanNotHdf5):
        BL832.inspect(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.3, 0.9, 0.9999])
def test_truncated_at_any_place(scan: Path, share: float) -> None:
    content = scan.read_bytes()
    scan.write_bytes(content[: max(3, int(len(content) * share))])
    with pytest.raises(ScanTruncated, match="ends before its data"):
        BL832.inspect(scan)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ScanUnreadable, match=r"gone\.h5"):
        BL832.inspect(tmp_path / "gone.h5")
    with pytest.raises(ScanUnreadable, match="not a regular file"):
        BL832.inspect(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_file(scan: Path) -> None:
    scan.chmod(0)
    with pytest.raises(ScanUnreadable, match="Permission denied"):
        BL832.inspect(scan)


@pytest.mark.parametrize("structure", [b"SNOD", b"HEAP", b"TREE"])
def test_damaged_structures_are_named_not_crashed_on(scan: Path, structure: bytes) -> None:
    """The tables of names are overwritten: the file opens, its fields cannot be found any more."""
    scan.write_bytes(scan.read_bytes().replace(structure, b"XXXX"))
    with pytest.raises(ScanError, match=r"20240101_120000_sand\.h5"):
        BL832.inspect(scan)


def test_frames_that_cannot_be_read_are_damage(edit: Edit) -> None:
    """Compressed frames whose bytes were overwritten on the disk."""
    data = np.ones((12, 4, 6), np.uint16)
    path = edit(remove(layout.DATA))
    with h5py.File(path, "r+") as file:
        dataset = file.create_dataset(layout.DATA, data=data, chunks=(12, 4, 6), compression="gzip")
        place = dataset.id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[place.byte_offset : place.byte_offset + place.size] = b"\xff" * place.size
    path.write_bytes(content)
    with pytest.raises(ScanTruncated, match="damaged inside"):
        BL832.inspect(path)


WRITER = """
import sys, h5py
file = h5py.File(sys.argv[1], "w", libver="latest")
file["a"] = 1
file.flush()
print("open", flush=True)
sys.stdin.read()
"""


def test_a_file_that_its_writer_holds_open(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        with pytest.raises(ScanStillWriting, match="open in the program"):
            BL832.inspect(path)
        writer.communicate("")


def test_only_small_parts_of_a_large_file_are_read(tmp_path: Path) -> None:
    """A sparse scan of 4 GB: reading the frames would fill the memory limit of the child process."""
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset(layout.DATA, (1000, 1000, 2000), np.uint16)
        data[-1] = np.ones((1000, 2000), np.uint16)
        file[layout.WHITE] = np.ones((1, 1000, 2000), np.uint16)
        file[layout.DARK] = np.ones((1, 1000, 2000), np.uint16)
        file[layout.THETA] = np.linspace(0, 180, 1000)
        file[layout.NUM_ANGLES] = [1000.0]
        file[layout.PIXEL_SIZE] = [0.001]
    program = (
        "import resource, sys, pathlib; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30));"
        "from als_assets.beamlines.bl832 import BL832; print(BL832.inspect(pathlib.Path(sys.argv[1])).projections)"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, env=environment)
    assert done.stdout == "1000\n", done.stderr


def test_names_do_not_import_h5py() -> None:
    """The code location of Dagster only needs names; h5py would cost every run its import."""
    program = "import sys, als_assets.beamlines.bl832, als_assets.beamlines.stability; print('h5py' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_range_is_computed_where_it_is_missing(edit: Edit) -> None:
    facts = BL832.inspect(edit(remove(layout.ANGLE_RANGE)))
    assert facts.angle_range_deg == pytest.approx(180 + 180 / 11)
    assert any(layout.ANGLE_RANGE in warning for warning in facts.warnings)


def test_missing_dimensions_are_a_warning(edit: Edit) -> None:
    facts = BL832.inspect(edit(remove(layout.DIMENSION_X)))
    assert facts.columns == 6
    assert any(layout.DIMENSION_X in warning for warning in facts.warnings)


def test_large_scan_written_by_another_program_in_chunks(tmp_path: Path) -> None:
    """Chunked and compressed frames, which no 8.3.2 file has today, are read all the same."""
    path = tmp_path / "a.h5"
    data = np.ones((5, 4, 6), np.uint16)
    write_scan(path, data, data, data, np.arange(5.0), ScanHeader())
    with h5py.File(path, "r+") as file:
        del file[layout.DATA]
        file.create_dataset(layout.DATA, data=data, chunks=(1, 4, 6), compression="gzip")
    assert BL832.inspect(path).projections == 5
