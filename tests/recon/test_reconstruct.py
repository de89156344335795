"""Whole reconstructions through the command line, as real processes where that matters.

Here: the contract of ``python -m als_assets.recon reconstruct``. What belongs here is files, codes and words. Not here: the
quality of slices, see test_gridding.py.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from recon_phantoms import Ellipse, ScanFile, disc, distance

from als_assets.recon import chain, sinks, tiff
from als_assets.recon import reconstruct as module
from als_assets.recon.cli import main
from als_assets.recon.engines import lanes
from als_assets.recon.errors import OutputIncomplete
from als_assets.recon.volume import zarrsink

COMMAND = [sys.executable, "-m", "als_assets.recon", "reconstruct"]


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=100, check=False, **options)


def summary(text: str) -> dict[str, Any]:
    found = json.loads(text.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def test_a_scan_becomes_one_tiff_a_row_in_one_over_centimetre(tmp_path: Path) -> None:
    sample = (*disc(0.6, 0.1, 0.05), Ellipse(1.0, 0.1, 0.1, -0.2, 0.2))
    scan_file = ScanFile(rows=11, width=96, angles=181, center=50.8, sample=sample, attenuation_per_cm=4, wishes={"beta": "3"})
    path = scan_file.write(tmp_path / "20240101_120000_my scan.h5")
    done = run(path, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    folder = tmp_path / "out" / "rec20240101_120000_my scan"
    files = sorted(folder.glob("*.tiff"))
    assert [file.name for file in files] == [f"20240101_120000_my scan_{row:05d}.tiff" for row in range(11)]
    last = tifffile.imread(files[-1])
    assert (last.shape, last.dtype) == ((96, 96), np.float32)
    assert last[40:60, 50:60].mean() == pytest.approx(4, rel=0.02)
    assert last[(distance(96) > 0.85) & (distance(96) < 0.95)].mean() == pytest.approx(0, abs=0.04)
    facts = summary(done.stdout)
    assert facts["output"] == str(folder)
    assert facts["files"] == 12
    assert facts["bytes"] == sum(file.stat().st_size for file in folder.iterdir())
    assert facts["center"] == pytest.approx(50.8, abs=0.25)
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == [folder.name]


def test_the_record_says_what_was_done_and_what_was_ignored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan_file = ScanFile(rows=2, wishes={"filter": "hann", "phase_filter": "born"})
    path = scan_file.write(tmp_path / "s.h5")
    (tmp_path / "p.yaml").write_text("mask_ratio: 0.9\ncenter: vo\n", encoding="utf-8")
    code = main(["reconstruct", str(path), "--output", str(tmp_path), "--params", str(tmp_path / "p.yaml"), "--center", "31.25"])
    assert code == 0
    record = json.loads((tmp_path / "recs" / "parameters.json").read_bytes())
    assert record["input"] == {
        "file": "s.h5", "bytes": path.stat().st_size, "angles": 91, "rows": 2, "columns": 64, "pixels": "uint16",
        "first_angle_deg": 0.0, "last_angle_deg": 180.0,
    }  # fmt: skip
    assert record["output"] == {"units": "1/cm", "pixels": "float32", "shape": [2, 64, 64]}
    assert record["center"] == {"value": 31.25, "method": "given", "estimates": {}, "confidence": "given"}
    assert record["parameters"]["filter"] == "hann"
    assert record["sources"]["filter"] == "scan file"
    assert record["sources"]["mask_ratio"] == "parameters file"
    assert record["ignored"] == {"phase_filter": "born"}
    assert record["pixel_size_mm"] == 0.05
    assert record["versions"]["numpy"] == np.__version__
    assert summary(capsys.readouterr().out)["center"] == 31.25


def test_name_and_rerun_replace_the_old_result(tmp_path: Path, small_scan: Path) -> None:
    for center in ("30", "31"):
        assert main(["reconstruct", str(small_scan), "--output", str(tmp_path / "o"), "--name", "my", "--center", center]) == 0
    record = json.loads((tmp_path / "o" / "recmy" / "parameters.json").read_bytes())
    assert record["center"]["value"] == 31
    assert len(list((tmp_path / "o" / "recmy").iterdir())) == 7
    assert [entry.name for entry in (tmp_path / "o").iterdir()] == ["recmy"]


def test_settings_of_the_facility_come_before_parameters_of_the_run(tmp_path: Path, small_scan: Path) -> None:
    (tmp_path / "s.yaml").write_text("ring_size: 9\nfilter: hann\n", encoding="utf-8")
    (tmp_path / "r.yaml").write_text("filter: parzen\n", encoding="utf-8")
    files = ["--settings", str(tmp_path / "s.yaml"), "--params", str(tmp_path / "r.yaml")]
    assert main(["reconstruct", str(small_scan), "--output", str(tmp_path), "--center", "31.5", *files]) == 0
    record = json.loads((tmp_path / "recsmall" / "parameters.json").read_bytes())
    assert (record["parameters"]["ring_size"], record["sources"]["ring_size"]) == (9, "settings")
    assert (record["parameters"]["filter"], record["sources"]["filter"]) == ("parzen", "parameters file")


def test_rows_without_light_are_told_in_words_and_in_the_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flats = np.full((2, 6, 64), 40_000, np.uint16)
    flats[:, [2, 3]] = 100
    path = ScanFile(replace={"/exchange/data_white": flats}).write(tmp_path / "s.h5")
    assert main(["reconstruct", str(path), "--output", str(tmp_path), "--center", "31.5"]) == 0
    sentence = "2 detector rows see no light in the flat fields (2, 3): their slices are zero"
    assert f"warning: {sentence}" in capsys.readouterr().out
    assert json.loads((tmp_path / "recs" / "parameters.json").read_bytes())["warnings"] == [sentence]
    assert not tifffile.imread(tmp_path / "recs" / "s_00002.tiff").any()


def test_running_out_of_memory_is_one_sentence(
    tmp_path: Path, small_scan: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(chain: object) -> None:
        raise MemoryError

    monkeypatch.setattr(chain.Chain, "worker", full)
    assert main(["reconstruct", str(small_scan), "--output", str(tmp_path / "o"), "--center", "31.5"]) == 40
    assert capsys.readouterr().err.startswith("The machine has not enough free memory")
    assert not (tmp_path / "o" / "recsmall").exists()


@pytest.mark.parametrize(("bits", "kind"), [(8, np.uint8), (16, np.uint16)])
def test_fewer_bits_hold_the_range_that_was_asked_for(tmp_path: Path, bits: int, kind: type) -> None:
    path = ScanFile(rows=2, sample=disc(0.5), attenuation_per_cm=8).write(tmp_path / "s.h5")
    (tmp_path / "p.yaml").write_text(f"output_bits: {bits}\noutput_min: -1\noutput_max: 7\n", encoding="utf-8")
    for name, extra in (("few", ["--params", str(tmp_path / "p.yaml")]), ("all", [])):
        assert main(["reconstruct", str(path), "--output", str(tmp_path), "--name", name, "--center", "31.5", *extra]) == 0
    stored = tifffile.imread(tmp_path / "recfew" / "few_00001.tiff")
    assert stored.dtype == kind
    told = json.loads((tmp_path / "recfew" / "parameters.json").read_bytes())["output"]
    values = told["offset"] + told["scale"] * stored.astype(np.float64)
    truth = tifffile.imread(tmp_path / "recall" / "all_00001.tiff")
    assert np.abs(values - np.clip(truth, -1, 7)).max() <= 0.51 * told["scale"]
    assert (stored == 2**bits - 1).any()  # the disc is denser than the range


def test_the_plain_engine_gives_the_same_slices(tmp_path: Path, small_scan: Path) -> None:
    for engine in ("plain", "vector"):
        assert main(["reconstruct", str(small_scan), "--output", str(tmp_path / engine), "--center", "31.5", "--engine", engine]) == 0
    record = json.loads((tmp_path / "plain" / "recsmall" / "parameters.json").read_bytes())
    assert record["engine"].startswith("gridding-plain")
    for row in range(6):
        plain, vector = (tifffile.imread(tmp_path / engine / "recsmall" / f"small_{row:05d}.tiff") for engine in ("plain", "vector"))
        assert np.allclose(plain, vector, atol=1e-4)


def test_a_whole_chain_of_corrections_runs_from_a_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    theta = np.linspace(0, 360, 181)
    path = ScanFile(rows=9, width=96, angles=181, theta_deg=theta, center=80.0, attenuation_per_cm=2).write(tmp_path / "s.h5")
    (tmp_path / "p.yaml").write_text(
        "outlier_2d: 900\noutlier_1d: 0.2\ntilt_deg: 0.5\nphase_retrieval: paganin\nphase_delta_beta: 50\nenergy_kev: 25\n"
        "phase_distance_mm: 20\nbeam_hardening: [1.0, 0.05]\nring_removal: all-stripes\nfilter: hann\nstitch_360: true\noutput_bits: 16\n",
        encoding="utf-8",
    )
    assert main(["reconstruct", str(path), "--output", str(tmp_path / "o"), "--params", str(tmp_path / "p.yaml"), "--center", "80"]) == 0
    assert [entry.name for entry in (tmp_path / "o").iterdir()] == ["recs"]
    record = json.loads((tmp_path / "o" / "recs" / "parameters.json").read_bytes())
    rows, height, width = record["output"]["shape"]
    assert (rows, height) == (9, width)
    assert width > 96 + 50
    assert tifffile.imread(tmp_path / "o" / "recs" / "s_00008.tiff").shape == (height, width)


class _Kept:
    """A kind of result that keeps slabs in memory."""

    memory_bytes = 1000

    def __init__(self, had: range = range(0)) -> None:
        self.rows: dict[int, Any] = {}
        self.record: dict[str, Any] = {}
        self._had = had

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def has(self, first_row: int, stop_row: int) -> bool:
        return first_row in self._had and stop_row - 1 in self._had

    def write(self, first_row: int, slab: Any) -> None:
        self.rows.update({row: image.copy() for row, image in enumerate(slab, first_row)})

    def finish(self, record: dict[str, Any]) -> sinks.Product:
        self.record = record
        return sinks.Product(Path("kept"), 1, 2)


@pytest.mark.parametrize("result", ["--zarr", "--both"])
def test_slabs_go_to_every_kind_of_result_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], result: str
) -> None:
    path = ScanFile(rows=20).write(tmp_path / "s.h5")
    kept = _Kept(had=range(8))
    asked = []
    monkeypatch.setattr(zarrsink, "zarr_sink", lambda *how: asked.append(how) or kept)
    arguments = ["reconstruct", str(path), "--output", str(tmp_path), "--center", "31.5", result, "--zarr-format", "0.5"]
    assert main(arguments) == 0
    volume, version, pixels = asked[0]
    assert (volume.shape, volume.pixel_size_mm, version, pixels) == ((20, 64, 64), 0.05, "0.5", "float32")
    assert sorted(kept.rows) == list(range(8 if lanes() == 8 else 0, 20))
    assert kept.record["center"]["value"] == 31.5
    told = summary(capsys.readouterr().out)
    if result == "--zarr":
        assert told["output"] == "kept"
        assert not (tmp_path / "recs").exists()
    else:
        assert told["also"] == [{"output": "kept", "files": 1, "bytes": 2}]
        assert np.array_equal(tifffile.imread(tmp_path / "recs" / "s_00017.tiff"), kept.rows[17])


_PEAK = """
import sys
from als_assets.recon import sinks
from als_assets.recon.cli import main
sinks.sync = str  # 2000 small files: waiting for the disk is not what is measured
code = main(sys.argv[1:])
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(status["VmHWM"].split()[0], code)
"""


def test_memory_does_not_grow_with_the_number_of_rows(tmp_path: Path) -> None:
    peaks = []
    for rows in (256, 2000):
        path = ScanFile(rows=rows, width=96, angles=61).write(tmp_path / f"{rows}.h5")
        arguments = ["reconstruct", str(path), "--output", str(tmp_path), "--center", "47.5"]
        done = subprocess.run([sys.executable, "-c", _PEAK, *arguments], capture_output=True, text=True, timeout=100, check=True)
        peak, code = done.stdout.splitlines()[-1].split()
        assert code == "0"
        peaks.append(int(peak))
    assert peaks[1] < 1.15 * peaks[0]


def test_the_same_work_gives_the_same_bytes_with_any_number_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ScanFile(rows=20, width=48, angles=61).write(tmp_path / "s.h5")
    contents = []
    for count in (1, 3):
        monkeypatch.setattr(module, "cores", lambda count=count: count)
        assert main(["reconstruct", str(path), "--output", str(tmp_path / str(count)), "--center", "23.5"]) == 0
        contents.append([tifffile.imread(file) for file in sorted((tmp_path / str(count) / "recs").glob("*.tiff"))])
    assert len(contents[0]) == 20
    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(*contents, strict=True))


def test_a_killed_run_leaves_nothing_that_looks_complete_and_is_resumed(tmp_path: Path) -> None:
    path = ScanFile(rows=400, width=64, angles=61, center=31.5).write(tmp_path / "s.h5")
    process = subprocess.Popen(
        [*COMMAND, str(path), "--output", str(tmp_path / "o"), "--center", "31.5"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("slices"):
            break
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    process.stdout.close()
    partial = tmp_path / "o" / ".recs.partial"
    kept = {file.name: file.stat().st_ino for file in partial.glob("s_*.tiff")}
    assert not (tmp_path / "o" / "recs").exists()
    assert 0 < len(kept) < 400
    done = run(path, "--output", tmp_path / "o", "--center", "31.5")
    assert done.returncode == 0, done.stderr
    now = {file.name: file.stat().st_ino for file in (tmp_path / "o" / "recs").glob("*.tiff")}
    assert len(now) == 400
    untouched = sum(now[name] == inode for name, inode in kept.items())
    assert untouched >= len(kept) - 16
    assert [entry.name for entry in (tmp_path / "o").iterdir()] == ["recs"]
    assert main(["reconstruct", str(path), "--output", str(tmp_path / "f"), "--center", "31.5"]) == 0
    for name in now:
        assert np.allclose(tifffile.imread(tmp_path / "o" / "recs" / name), tifffile.imread(tmp_path / "f" / "recs" / name), atol=1e-5)


def test_a_disk_that_fills_up_is_named_and_the_run_can_go_on(tmp_path: Path) -> None:
    path = ScanFile(rows=3, width=200, angles=31, center=99.5).write(tmp_path / "s.h5")
    limit = (100_000, 100_000)
    done = run(
        path, "--output", tmp_path / "o", "--center", "99.5",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )  # fmt: skip
    assert done.returncode == 31, done.stderr
    assert "full" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "o" / "recs").exists()
    assert run(path, "--output", tmp_path / "o", "--center", "99.5").returncode == 0


@pytest.mark.parametrize(
    ("scan_file", "code"),
    [
        (ScanFile(drop=["/exchange/data_white"]), 13),
        (ScanFile(replace={"/exchange/data_white": np.ones((2, 3, 4))}), 14),
        (ScanFile(replace={"/exchange/theta": np.arange(90.0)}), 15),
        (ScanFile(replace={"/exchange/data_white": np.zeros((2, 6, 64))}), 16),
        (ScanFile(drop=["/measurement/instrument/detector/pixel_size"]), 13),
        (ScanFile(theta_deg=np.linspace(0, 90, 91)), 21),
    ],
)
def test_faulty_scans_end_with_one_line_their_code_and_no_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], scan_file: ScanFile, code: int
) -> None:
    path = scan_file.write(tmp_path / "s.h5")
    assert main(["reconstruct", str(path), "--output", str(tmp_path / "o")]) == code
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert len(printed.err) > 40
    assert not (tmp_path / "o" / "recs").exists()


def test_nan_in_the_middle_of_the_data_stops_the_run(tmp_path: Path) -> None:
    path = ScanFile(rows=30, dtype="f4", center=31.5).write(tmp_path / "s.h5")
    with h5py.File(path, "a") as file:
        file["/exchange/data"][3, 20, 5] = np.nan
    assert main(["reconstruct", str(path), "--output", str(tmp_path / "o"), "--center", "31.5"]) == 17
    assert not (tmp_path / "o" / "recs").exists()


def test_too_little_memory_is_told(tmp_path: Path, small_scan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reconstruct", str(small_scan), "--output", str(tmp_path), "--memory", "0.0001"]) == 40
    assert "GB" in capsys.readouterr().err


def test_a_slice_that_does_not_read_back_is_not_success(tmp_path: Path, small_scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = tiff.write

    def damage(path: Path, image: Any, pixel_size_mm: float) -> None:
        honest(path, image, pixel_size_mm)
        if "_00003" in path.name:
            os.truncate(path, path.stat().st_size - 100)

    monkeypatch.setattr(tiff, "write", damage)
    assert main(["reconstruct", str(small_scan), "--output", str(tmp_path / "o")]) == OutputIncomplete.exit_code
    assert not (tmp_path / "o" / "recsmall").exists()


def test_the_tooth(tmp_path: Path, tooth: Path) -> None:
    (tmp_path / "p.yaml").write_text("pixel_size_mm: 0.01\n", encoding="utf-8")
    done = run(tooth, "--output", tmp_path, "--params", tmp_path / "p.yaml")
    assert done.returncode == 0, done.stderr
    first = tifffile.imread(tmp_path / "rectooth" / "tooth_00000.tiff")
    assert first.shape == (640, 640)
    assert first.max() > 10 * abs(np.median(first))
