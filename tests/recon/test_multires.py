"""OME-Zarr stores: valid by an independent model, read by an independent reader, in the right units.

Here: promises of multires.py. What belongs here is the store on disk. Not here: reconstruction.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st
from ome_zarr_models.v04 import Image
from recon_phantoms import ScanFile

from als_assets.recon.cli import main
from als_assets.recon.volume.levels import level_shapes
from als_assets.recon.volume.pyramid import Pyramid


def write_stack(folder: Path, volume: Any) -> None:
    folder.mkdir(parents=True)
    for row, plane in enumerate(volume):
        tifffile.imwrite(folder / f"v_{row:05d}.tiff", plane, photometric="minisblack")


def raw(path: Path, rows: int, width: int, pixel_size_mm: float = 0.00065) -> Path:
    return ScanFile(rows=rows, width=width, angles=5, pixel_size_mm=pixel_size_mm).write(path)


@pytest.mark.parametrize(("rows", "width"), [(4, 64), (1, 130), (9, 300), (130, 40), (257, 131)])
def test_a_store_is_valid_and_holds_the_slices_and_their_means(tmp_path: Path, rows: int, width: int) -> None:
    volume = np.random.default_rng(0).normal(size=(rows, width, width)).astype(np.float32)
    write_stack(tmp_path / "recv", volume)
    assert main(["multires", str(tmp_path / "recv"), "--raw", str(raw(tmp_path / "s.h5", rows, width))]) == 0
    store = tmp_path / "recv.zarr"
    group = zarr.open_group(store, mode="r", zarr_format=2, use_consolidated=False)
    image = Image.from_zarr(group)
    datasets = image.attributes.multiscales[0].datasets
    assert [axis.name for axis in image.attributes.multiscales[0].axes] == ["z", "y", "x"]
    assert {axis.unit for axis in image.attributes.multiscales[0].axes} == {"micrometer"}
    levels = [group[dataset.path][:] for dataset in datasets]
    assert [level.shape for level in levels] == level_shapes((rows, width, width))
    assert np.array_equal(levels[0], volume)
    for finer, coarser in pairwise(levels):
        step = 2 if finer.shape[0] > 1 else 1
        for place in np.ndindex(min(coarser.shape[0], 2), 2, 2):
            z, y, x = place[0] * step, place[1] * 2, place[2] * 2
            assert coarser[place] == pytest.approx(finer[z : z + step, y : y + 2, x : x + 2].mean(), abs=1e-6)
        assert coarser[-1, -1, -1] == pytest.approx(
            finer[(coarser.shape[0] - 1) * step :, (coarser.shape[1] - 1) * 2 :, (coarser.shape[2] - 1) * 2 :].mean(), abs=1e-6
        )


def test_sizes_are_micrometres_and_voxel_centres_stay_in_place(tmp_path: Path) -> None:
    write_stack(tmp_path / "recv", np.zeros((3, 300, 300), np.float32))
    assert main(["multires", str(tmp_path / "recv"), "--raw", str(raw(tmp_path / "s.h5", 3, 300))]) == 0
    attributes = json.loads((tmp_path / "recv.zarr" / ".zattrs").read_bytes())
    datasets = attributes["multiscales"][0]["datasets"]
    assert [dataset["path"] for dataset in datasets] == ["scale0/image", "scale1/image", "scale2/image"]
    scales = [dataset["coordinateTransformations"][0]["scale"] for dataset in datasets]
    shifts = [dataset["coordinateTransformations"][1]["translation"] for dataset in datasets]
    assert scales == [pytest.approx([0.65] * 3), pytest.approx([1.3] * 3), pytest.approx([2.6] * 3)]
    assert shifts == [[0, 0, 0], pytest.approx([0.325] * 3), pytest.approx([0.975] * 3)]


def test_storage_is_what_the_viewers_read(tmp_path: Path) -> None:
    write_stack(tmp_path / "recv", np.ones((4, 300, 300), np.float32))
    assert main(["multires", str(tmp_path / "recv"), "--raw", str(raw(tmp_path / "s.h5", 4, 300))]) == 0
    store = tmp_path / "recv.zarr"
    for level in range(3):
        array = json.loads((store / f"scale{level}" / "image" / ".zarray").read_bytes())
        assert array["zarr_format"] == 2
        assert array["chunks"] == [128, 128, 128]
        assert array["dtype"] == "<f4"
        assert array["dimension_separator"] == "/"
        assert (array["compressor"]["id"], array["compressor"]["cname"]) == ("blosc", "lz4")
    assert zarr.open_consolidated(store, zarr_format=2)["scale2/image"].shape == (1, 75, 75)


def test_window_provenance_and_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan = ScanFile(rows=4, width=64, wishes={"beta": "1"}).write(tmp_path / "s.h5")
    assert main(["reconstruct", str(scan), "--output", str(tmp_path), "--center", "31.5"]) == 0
    assert main(["multires", str(tmp_path / "recs"), "--raw", str(scan), "--output", str(tmp_path / "other.zarr")]) == 0
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert facts["output"] == str(tmp_path / "other.zarr")
    found = [file for file in (tmp_path / "other.zarr").rglob("*") if file.is_file()]
    assert (facts["files"], facts["bytes"]) == (len(found), sum(file.stat().st_size for file in found))
    attributes = json.loads((tmp_path / "other.zarr" / ".zattrs").read_bytes())
    window = attributes["omero"]["channels"][0]["window"]
    assert window["min"] <= window["start"] < window["end"] <= window["max"]
    assert attributes["als_assets"]["source"] == "recs"
    assert attributes["als_assets"]["reconstruction"]["center"]["value"] == 31.5
    assert attributes["multiscales"][0]["name"] == "other"
    assert attributes["multiscales"][0]["type"] == "mean"


def test_a_constant_volume_still_has_a_window(tmp_path: Path) -> None:
    write_stack(tmp_path / "recv", np.full((2, 8, 8), 3, np.float32))
    assert main(["multires", str(tmp_path / "recv"), "--raw", str(raw(tmp_path / "s.h5", 2, 8))]) == 0
    window = json.loads((tmp_path / "recv.zarr" / ".zattrs").read_bytes())["omero"]["channels"][0]["window"]
    assert (window["start"], window["end"]) == (3, 4)


def test_the_reconstruction_s_pixel_size_goes_before_the_scan_s(tmp_path: Path) -> None:
    write_stack(tmp_path / "recv", np.ones((2, 8, 8), np.float32))
    (tmp_path / "recv" / "parameters.json").write_text(json.dumps({"pixel_size_mm": 0.002}), encoding="ascii")
    assert main(["multires", str(tmp_path / "recv"), "--raw", str(raw(tmp_path / "s.h5", 2, 8))]) == 0
    datasets = json.loads((tmp_path / "recv.zarr" / ".zattrs").read_bytes())["multiscales"][0]["datasets"]
    assert datasets[0]["coordinateTransformations"][0]["scale"] == [2.0, 2.0, 2.0]


def test_wrong_inputs_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_stack(tmp_path / "recv", np.ones((3, 8, 8), np.float32))
    scan = raw(tmp_path / "s.h5", 3, 8)

    def code(folder: Path, source: Path = scan) -> int:
        return main(["multires", str(folder), "--raw", str(source)])

    assert code(tmp_path / "absent") == 10
    assert code(tmp_path / "recv", raw(tmp_path / "t.h5", 4, 8)) == 14
    bare = ScanFile(rows=3, width=8, drop=["/measurement/instrument/detector/pixel_size"]).write(tmp_path / "b.h5")
    assert code(tmp_path / "recv", bare) == 13
    (tmp_path / "recv" / "parameters.json").write_text("{", encoding="ascii")
    assert code(tmp_path / "recv") == 10
    (tmp_path / "recv" / "parameters.json").unlink()
    tifffile.imwrite(tmp_path / "recv" / "v_00001.tiff", np.ones((8, 9), np.float32))
    assert code(tmp_path / "recv") == 14
    (tmp_path / "recv" / "v_00001.tiff").write_bytes(b"no")
    assert code(tmp_path / "recv") == 10
    (tmp_path / "recv" / "v_00001.tiff").unlink()
    assert code(tmp_path / "recv") == 10
    assert all(line.count(". ") >= 1 for line in capsys.readouterr().err.splitlines())
    assert not (tmp_path / "recv.zarr").exists()


def test_a_store_that_differs_from_its_slices_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_stack(tmp_path / "recv", np.ones((3, 8, 8), np.float32))
    honest = Pyramid.finish

    def damage(pyramid: Pyramid) -> None:
        honest(pyramid)
        next(tmp_path.glob(".recv.zarr.partial/scale0/image/0/0/0")).unlink()

    monkeypatch.setattr(Pyramid, "finish", damage)
    assert main(["multires", str(tmp_path / "recv"), "--raw", str(raw(tmp_path / "s.h5", 3, 8))]) == 33
    assert not (tmp_path / "recv.zarr").exists()


@given(st.tuples(*[st.integers(1, 5000)] * 3))
def test_levels_shrink_until_they_fit_one_chunk(shape: tuple[int, int, int]) -> None:
    shapes = level_shapes(shape)
    assert shapes[0] == shape
    assert max(shapes[-1]) <= 128
    assert all(max(level) > 128 for level in shapes[:-1])
    for finer, coarser in pairwise(shapes):
        assert all(small == (large + 1) // 2 for small, large in zip(coarser, finer, strict=True))
