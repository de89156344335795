"""Stores of every form, as other people's programs see them: zarr-python, tensorstore and the models of the OME-Zarr specification.

Here: versions 0.4 and 0.5, floating point and 16-bit integers. What belongs here is what a reader finds. Not here: how slices get in
(``test_multires.py``, ``test_zarrsink.py``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import ome_zarr_models.v04
import ome_zarr_models.v05
import pytest
import tensorstore
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from als_assets.recon.errors import ShapeMismatch
from als_assets.recon.pieces import spans
from als_assets.recon.volume.levels import CHUNK, Band, bands_of, halvings, level_shapes
from als_assets.recon.volume.multires import multires
from als_assets.recon.volume.quantise import Scale
from als_assets.recon.volume.stack import Stack
from als_assets.recon.volume.zarr_store import Form

SHAPE = (140, 300, 300)
FORMS = [Form("0.4", "float32"), Form("0.5", "float32"), Form("0.4", "uint16"), Form("0.5", "uint16")]
NAMES = [f"{form.version}-{form.pixels}" for form in FORMS]


@pytest.fixture(scope="module")
def volume() -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(4, 2, SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory, volume: NDArray[np.float32]) -> Path:
    folder = tmp_path_factory.mktemp("slices") / "recv"
    folder.mkdir()
    for row, plane in enumerate(volume):
        tifffile.imwrite(folder / f"v_{row:05d}.tiff", plane, photometric="minisblack")
    (folder / "parameters.json").write_text(json.dumps({"pixel_size_mm": 0.00065, "center": {"value": 149.5}}))
    return folder


@pytest.fixture(scope="module", params=FORMS, ids=NAMES)
def stored(request: pytest.FixtureRequest, slices: Path) -> tuple[Form, Path]:
    form: Form = request.param
    store = slices.parent / f"{form.version}-{form.pixels}.zarr"
    multires(slices, None, store, lambda _line: None, form)
    return form, store


def attributes(form: Form, store: Path) -> dict[str, Any]:
    """Everything at the root, the image's parts on top whatever the version."""
    found: dict[str, Any] = dict(zarr.open_group(store, mode="r", zarr_format=2 if form.version == "0.4" else 3).attrs)
    return {**found, **found.get("ome", {})}


def values(form: Form, store: Path, stored: NDArray[Any]) -> NDArray[np.float32]:
    scale = attributes(form, store)["als_assets"].get("stored_as")
    return stored.astype(np.float32) if scale is None else (scale["offset"] + scale["step"] * stored).astype(np.float32)


def half_step(form: Form, store: Path) -> float:
    """The largest error that rounding may make; none for floating point."""
    scale = attributes(form, store)["als_assets"].get("stored_as")
    return 0.0 if scale is None else scale["step"] * 0.51


def test_the_specification_s_own_models_accept_it(stored: tuple[Form, Path]) -> None:
    form, store = stored
    group = zarr.open_group(store, mode="r", zarr_format=form.zarr_format, use_consolidated=False)  # type: ignore[arg-type]
    models = ome_zarr_models.v04 if form.version == "0.4" else ome_zarr_models.v05
    image: Any = models.Image.from_zarr(group)
    parts = image.attributes if form.version == "0.4" else image.ome_attributes
    multiscale = parts.multiscales[0]
    assert [(axis.name, axis.type, axis.unit) for axis in multiscale.axes] == [(a, "space", "micrometer") for a in "zyx"]
    assert [tuple(group[dataset.path].shape) for dataset in multiscale.datasets] == level_shapes(SHAPE)
    assert multiscale.datasets[1].coordinateTransformations[0].scale == pytest.approx([1.3] * 3)
    assert multiscale.datasets[1].coordinateTransformations[1].translation == pytest.approx([0.325] * 3)


def test_zarr_python_and_tensorstore_read_the_same_values(stored: tuple[Form, Path], volume: NDArray[np.float32]) -> None:
    form, store = stored
    group = zarr.open_group(store, mode="r")
    for level in range(len(level_shapes(SHAPE))):
        by_zarr = np.asarray(group[f"scale{level}/image"][:])
        place = {"driver": "file", "path": str(store / f"scale{level}" / "image")}
        spec = {"driver": "zarr" if form.version == "0.4" else "zarr3", "kvstore": place}
        assert np.array_equal(by_zarr, tensorstore.open(spec, read=True).result().read().result())
        if level == 0:
            error = np.abs(values(form, store, by_zarr) - volume).max()
            assert error <= half_step(form, store)


def test_means_stay_means(stored: tuple[Form, Path], volume: NDArray[np.float32]) -> None:
    form, store = stored
    found = values(form, store, np.asarray(zarr.open_group(store, mode="r")["scale1/image"][:]))
    truth = volume.reshape(70, 2, 150, 2, 150, 2).mean((1, 3, 5))
    assert np.abs(found - truth).max() < 1e-5 + half_step(form, store)


def test_the_window_is_in_units_of_what_is_stored(stored: tuple[Form, Path]) -> None:
    form, store = stored
    window = attributes(form, store)["omero"]["channels"][0]["window"]
    shown = values(form, store, np.array([window["start"], window["end"]]))
    assert window["min"] <= window["start"] < window["end"] <= window["max"]
    assert 2.5 < shown[0] < 4 < shown[1] < 5.5, "the middle of the smallest level, whatever it is stored as"


def test_a_reader_of_integers_learns_what_they_mean(stored: tuple[Form, Path]) -> None:
    form, store = stored
    ours = attributes(form, store)["als_assets"]
    array = dict(zarr.open_group(store, mode="r")["scale0/image"].attrs)
    assert ours["reconstruction"]["center"] == {"value": 149.5}
    if form.pixels == "uint16":
        assert ours["stored_as"]["units"] == "1/cm"
        assert (array["scale_factor"], array["add_offset"]) == (ours["stored_as"]["step"], ours["stored_as"]["offset"])
        assert ours["voxels_outside_the_scale"] == 0
    else:
        assert "stored_as" not in ours and "scale_factor" not in array


def test_storage(stored: tuple[Form, Path]) -> None:
    form, store = stored
    described = json.loads(form.array_metadata(store, 0).read_bytes())
    if form.version == "0.4":
        assert described["chunks"] == [CHUNK] * 3
        assert (described["compressor"]["id"], described["compressor"]["cname"]) == ("blosc", "lz4")
        assert described["dtype"] == ("<f4" if form.pixels == "float32" else "<u2")
    else:
        sharding = described["codecs"][0]
        assert sharding["name"] == "sharding_indexed"
        assert sharding["configuration"]["codecs"][1]["configuration"]["cname"] == "lz4"
        assert described["dimension_names"] == ["z", "y", "x"]
        assert not list(store.rglob(".z*")), "nothing of the older generation"
    assert not list(store.rglob(".*partial")) and not list(store.rglob(".bands*"))


def test_a_large_volume_has_few_files() -> None:
    """1024^3 in shards: at most 200 files, metadata and all levels included."""
    shapes = level_shapes((1024, 1024, 1024))
    step = Form("0.5").strip
    shards = sum(len(bands_of(shapes, level)) * len(spans(s[1], step)) * len(spans(s[2], step)) for level, s in enumerate(shapes))
    assert shards + 2 * len(shapes) + 1 <= 200


@pytest.mark.parametrize(("dtype", "scale", "offset"), [("uint16", 0.001, -10.0), ("uint8", 0.5, 0.0)])
def test_slices_of_integers_become_values_again(tmp_path: Path, dtype: str, scale: float, offset: float) -> None:
    numbers = np.random.default_rng(2).integers(0, 255, (6, 40, 40)).astype(dtype)
    folder = tmp_path / "recv"
    folder.mkdir()
    for row, plane in enumerate(numbers):
        tifffile.imwrite(folder / f"v_{row:05d}.tiff", plane, photometric="minisblack")
    record = {"pixel_size_mm": 0.001, "output": {"pixels": dtype, "scale": scale, "offset": offset}}
    (folder / "parameters.json").write_text(json.dumps(record))
    multires(folder, None, None, lambda _line: None)
    found = np.asarray(zarr.open_group(tmp_path / "recv.zarr", mode="r")["scale0/image"][:])
    assert np.allclose(found, offset + scale * numbers, atol=1e-5)


def test_slices_of_another_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "recv").mkdir()
    tifffile.imwrite(tmp_path / "recv" / "v_00000.tiff", np.ones((8, 8), np.int32), photometric="minisblack")
    with pytest.raises(ShapeMismatch, match="float32, uint16, uint8"):
        Stack.open(tmp_path / "recv")


def test_values_beyond_the_scale_are_counted(tmp_path: Path) -> None:
    volume = np.zeros((4, 80, 80), np.float32)
    volume[1, 41, 3:5] = 1e6, -1e6  # on a line that the sample for the scale does not see
    folder = tmp_path / "recv"
    folder.mkdir()
    for row, plane in enumerate(volume):
        tifffile.imwrite(folder / f"v_{row:05d}.tiff", plane, photometric="minisblack")
    (folder / "parameters.json").write_text('{"pixel_size_mm": 0.001}')
    multires(folder, None, None, lambda _line: None, Form("0.4", "uint16"))
    group = zarr.open_group(tmp_path / "recv.zarr", mode="r")
    assert dict(group.attrs)["als_assets"]["voxels_outside_the_scale"] == 2
    assert list(np.asarray(group["scale0/image"][1, 41, 3:5])) == [65535, 0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=2, max_size=50))
def test_rounding_errs_by_at_most_half_a_step(numbers: list[float]) -> None:
    sample = np.array(numbers, np.float32)
    scale = Scale.fitting(sample)
    inside = sample[(sample >= scale.offset) & (sample <= scale.offset + 65535 * scale.step)]
    stored, outside = scale.stored(inside)
    assert outside == 0
    rounding_of_float32 = 4 * np.finfo(np.float32).eps * max(abs(scale.offset), 65535 * scale.step)
    assert np.abs(scale.values(stored) - inside).max(initial=0) <= scale.step / 2 + rounding_of_float32
    assert scale.offset <= -10 and scale.offset + 65535 * scale.step >= 30 - 1e-9


@given(st.tuples(*[st.integers(1, 5000)] * 3))
def test_every_band_has_a_parent_that_knows_it(shape: tuple[int, int, int]) -> None:
    shapes = level_shapes(shape)
    for level in range(1, len(shapes)):
        bands = bands_of(shapes, level)
        assert sorted(child for band in bands for child in band.children(shapes)) == bands_of(shapes, level - 1)
        assert bands[-1].rows(shapes).stop == shapes[level][0]
    assert Band(0, 0).children(shapes) == []
    assert all(count <= len(shapes) - 1 for count in halvings(shape, len(shapes) - 1))
