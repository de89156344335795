"""Files in the layout of 8.3.2, and how they grow. Here: what the writer leaves on the disk at each moment. Not here: samples."""

from __future__ import annotations

import threading
from pathlib import Path

import h5py
import numpy as np
import pytest

from als_assets.beamlines.bl832 import BL832, layout, writer
from als_assets.beamlines.bl832.writer import ScanHeader, write_scan
from als_assets.errors import ScanError, ScanShapeMismatch, ScanTruncated

PROJECTIONS = 12


def arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(2)
    frames = [random.integers(1, 60_000, (count, 4, 6)).astype(np.uint16) for count in (PROJECTIONS, 3, 2)]
    return frames[0], frames[1], frames[2], np.linspace(0, 180, PROJECTIONS)


def test_the_layout_is_the_one_of_the_beamline(tmp_path: Path) -> None:
    data, white, dark, theta = arrays()
    write_scan(tmp_path / "a.h5", data, white, dark, theta, ScanHeader())
    with h5py.File(tmp_path / "a.h5") as file:
        frames = file[layout.DATA]
        assert frames.dtype == np.uint16
        assert (frames.chunks, frames.compression) == (None, None)
        assert frames.id.get_offset() > 0, "contiguous frames can be read by offset"
        assert frames.attrs["axes"] == b"theta:y:x"
        np.testing.assert_array_equal(frames, data)
        np.testing.assert_array_equal(file[layout.WHITE], white)
        np.testing.assert_array_equal(file[layout.DARK], dark)
        assert file[layout.THETA].attrs["units"] == b"deg"
        np.testing.assert_array_equal(file[layout.THETA], theta)
        for path in (layout.NUM_ANGLES, layout.PIXEL_SIZE, layout.I0_CYCLE):
            assert (file[path].shape, file[path].dtype) == ((1,), np.float64)
        for path in (layout.PROPOSAL, layout.FILE_NAME, layout.INSTRUMENT_NAME):
            assert file[path].shape == ()
            assert file[path].dtype.kind == "S"
        for path in (layout.CAMERA_DISTANCE, layout.ENERGY, layout.EXPOSURE_TIME):
            assert file[path].shape == (PROJECTIONS + 3 + 2,)


def test_every_field_of_the_layout_is_written(tmp_path: Path) -> None:
    write_scan(tmp_path / "a.h5", *arrays(), ScanHeader())
    with h5py.File(tmp_path / "a.h5") as file:
        assert [f.path for f in (*layout.CATALOGUE_FIELDS, *layout.SINGLE_FIELDS, *layout.SAMPLED_FIELDS) if f.path not in file] == []


def test_header_values_come_back(tmp_path: Path) -> None:
    header = ScanHeader(
        sample_name="säule", proposal="ALS-12345", energy_ev=25_000.0, extra={layout.PI: None, layout.EMAIL: "a@b.org", "/x/y": 3}
    )
    write_scan(tmp_path / "a.h5", *arrays(), header)
    facts = BL832.inspect(tmp_path / "a.h5")
    assert (facts.sample_name, facts.proposal) == ("säule", "ALS-12345")
    assert layout.PI not in facts.metadata
    assert facts.metadata[layout.EMAIL] == "a@b.org"
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["/x/y"][0] == 3


@pytest.mark.parametrize("pieces", [2, 4, 12, 100])
def test_written_in_pieces_it_changes_until_the_end_and_is_incomplete_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    path = tmp_path / "a.h5"
    seen: list[tuple[int, int]] = []
    complaints: list[str] = []

    def look(_: float) -> None:
        status = path.stat()
        seen.append((status.st_size, status.st_mtime_ns))
        with pytest.raises(ScanTruncated) as caught:
            BL832.inspect(path)
        complaints.append(str(caught.value))

    monkeypatch.setattr(writer.time, "sleep", look)
    write_scan(path, *arrays(), ScanHeader(), pieces=pieces)
    facts = BL832.inspect(path)
    assert facts.projections == PROJECTIONS
    assert len(seen) == min(pieces, PROJECTIONS)
    assert len({*seen, (facts.size_bytes, facts.mtime_ns)}) == len(seen) + 1, "each look differs from all others"
    assert seen[0][0] < seen[1][0] < facts.size_bytes, "the file grows"
    assert f"only 0 of {PROJECTIONS} frames" in complaints[0]
    assert len(set(complaints)) == len(complaints)


def test_pieces_and_one_go_give_the_same_content(tmp_path: Path) -> None:
    for name, pieces in (("a", 1), ("b", 5)):
        write_scan(tmp_path / f"{name}.h5", *arrays(), ScanHeader(), pieces=pieces)
    with h5py.File(tmp_path / "a.h5") as first, h5py.File(tmp_path / "b.h5") as second:
        names: list[str] = []
        first.visit(names.append)
        for name in names:
            if isinstance(first[name], h5py.Dataset):
                np.testing.assert_array_equal(first[name][()], second[name][()])


def test_not_in_place_the_final_name_appears_complete(tmp_path: Path) -> None:
    """A watcher that inspects the name whenever it exists never meets an incomplete file."""
    path = tmp_path / "a.h5"
    faults: list[ScanError] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            if path.exists():
                try:
                    BL832.inspect(path)
                except ScanError as error:
                    faults.append(error)

    watcher = threading.Thread(target=watch)
    watcher.start()
    write_scan(path, *arrays(), ScanHeader(), pieces=4, pause_s=0.01, in_place=False)
    done.set()
    watcher.join()
    assert faults == []
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.h5"]


def test_an_existing_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(b"old")
    write_scan(path, *arrays(), ScanHeader())
    assert BL832.inspect(path).projections == PROJECTIONS


@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_arrays_that_do_not_fit_are_refused_before_anything_is_written(tmp_path: Path, which: int) -> None:
    parts = list(arrays())
    parts[which] = parts[which][:-1] if which in (0, 3) else parts[which][:, :-1]
    with pytest.raises(ScanShapeMismatch, match="do not fit"):
        write_scan(tmp_path / "a.h5", parts[0], parts[1], parts[2], parts[3], ScanHeader())
    assert list(tmp_path.iterdir()) == []
