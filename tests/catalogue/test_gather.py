"""What a record is gathered from: the scan, the copies, the job and the product itself. Here: a real volume on disk. Not here: fields."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorstore
from catalogue_world import FOLDER, World, world_in

from als_assets.catalogue import gather
from als_assets.catalogue.slices import orthogonal_slices
from als_assets.ledger import OperationKind, OperationState


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("world")) as world:
        yield world


def store(path: Path, *, version: str, sides: tuple[int, ...] = (40, 20)) -> None:
    """An OME-Zarr with as many levels as ``sides``: a ramp along each axis."""
    datasets = []
    for number, side in enumerate(sides):
        shape = (side, side // 2, side * 2)
        values = np.add.outer(np.add.outer(np.arange(shape[0]) * 1000, np.arange(shape[1]) * 100), np.arange(shape[2])).astype(np.float32)
        spec = {"driver": "zarr" if version == "0.4" else "zarr3", "kvstore": {"driver": "file", "path": str(path / str(number))}}
        tensorstore.open(spec, create=True, dtype=tensorstore.float32, shape=shape).result().write(values).result()
        datasets.append({"path": str(number)})
    multiscales = [{"datasets": datasets}]
    if version == "0.4":
        (path / ".zattrs").write_text(json.dumps({"multiscales": multiscales}))
    else:
        (path / "zarr.json").write_text(json.dumps({"attributes": {"ome": {"multiscales": multiscales}}}))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_slices_go_through_the_middle_of_a_coarse_level(tmp_path: Path, version: str) -> None:
    store(tmp_path / "v.zarr", version=version, sides=(300, 160, 20))
    planes = orthogonal_slices(tmp_path / "v.zarr")
    assert {name: plane.shape for name, plane in planes.items()} == {
        "slice xy": (80, 320),
        "slice xz": (160, 320),
        "slice yz": (160, 80),
    }
    assert planes["slice xy"][0, 0] == 80_000, "the middle along z"


@pytest.mark.parametrize("content", [None, "{}", "no json", json.dumps({"multiscales": []})])
def test_what_is_no_volume_is_an_error_with_a_name(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / ".zattrs").write_text(content)
    with pytest.raises((OSError, LookupError, ValueError, TypeError)):
        orthogonal_slices(tmp_path)


def test_a_result_says_everything(world: World) -> None:
    world.scan("whole")
    stack, volume = world.product("whole")
    job = world.ledger.operations.begin("job:whole", OperationKind.JOB, "whole", {}, stack.id)
    job = world.ledger.operations.submitted(world.ledger.operations.take(job.id, "run-7", lambda other: True))
    report = {"site": "nersc", "job_id": "4711", "stdout_tail": "slab 1 of 3\nall is well", "sentence": "The job succeeded."}
    world.ledger.operations.finish(job, OperationState.SUCCEEDED, why="a test", outcome={"report": report})
    folder = world.box.results / FOLDER
    (folder / "recwhole").mkdir(parents=True)
    made = {"parameters": {"center": "auto", "ring": 3}, "center": {"pixels": 64.5}, "versions": {"als-assets": "9.9", "numpy": "2.1"}}
    (folder / "recwhole" / "parameters.json").write_text(json.dumps(made))
    store(folder / "recwhole.zarr", version="0.4")
    record = world.parts.record_source("bl832").derived(world.ledger.datasets.get("whole"), world.raw("whole"), stack, volume)
    body = record.body()
    assert record.issues == ()
    assert body["usedSoftware"][:2] == ["als-assets 9.9", "numpy 2.1"]
    assert any("@sha256:" in software for software in body["usedSoftware"]), "the image by its digest"
    assert body["jobParameters"] == {"center": "auto", "ring": 3, "used_center": {"pixels": 64.5}}
    assert body["jobLogData"].splitlines()[:3] == ["site: nersc", "job: 4711", "run: run-7"]
    assert body["jobLogData"].endswith("all is well")
    assert [thumbnail.caption for thumbnail in record.thumbnails] == ["slice xy", "slice xz", "slice yz"]
    assert all(len(thumbnail.uri) <= 60_000 for thumbnail in record.thumbnails)
    assert [[entry.path for entry in block] for block in record.file_blocks] == [
        [f"recwhole/whole_{i:05d}.tiff" for i in range(3)],
        ["recwhole.zarr/.zattrs", "recwhole.zarr/0/0"],
    ]
    assert body["scientificMetadata"]["viewer"].endswith("/view/whole")
    assert body["ownerGroup"] == world.raw("whole").body()["ownerGroup"]
    assert body["sourceFolder"] == str(folder)


def test_a_result_that_this_machine_does_not_see_has_a_record_too(world: World) -> None:
    world.scan("far")
    stack, volume = world.product("far")
    record = world.parts.record_source("bl832").derived(world.ledger.datasets.get("far"), world.raw("far"), stack, volume)
    assert record.errors == ()
    assert record.thumbnails == ()
    assert [issue.field for issue in record.warnings] == ["jobParameters"]
    assert record.body()["jobParameters"] == {"center": "auto", "variant": ""}


def test_a_huge_store_is_listed_by_its_root(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.scan("huge")
    stack, volume = world.product("huge")
    monkeypatch.setattr(gather, "LISTED_FILES", 2)
    record = world.parts.record_source("bl832").derived(world.ledger.datasets.get("huge"), world.raw("huge"), stack, volume)
    listed = [[(entry.path, entry.size_bytes) for entry in block] for block in record.file_blocks]
    assert listed[0] == [("rechuge", 300)], "three files are too many here"
    assert listed[1] == [("rechuge.zarr/.zattrs", 10), ("rechuge.zarr/0/0", 50)]


def test_results_of_other_parameters_are_other_records(world: World) -> None:
    world.scan("twice")
    source, dataset = world.parts.record_source("bl832"), world.ledger.datasets.get("twice")
    first, second = (source.derived(dataset, world.raw("twice"), world.product("twice", v)[0], None) for v in ("", "abcd1234"))
    assert first.pid != second.pid
    assert len(second.file_blocks) == 1


def test_previews_are_made_small_enough(world: World) -> None:
    from PIL import Image

    world.scan("pictures")
    media = world.parts.facility.state_dir / "media" / "pictures"
    media.mkdir(parents=True)
    noise = np.random.default_rng(1).integers(0, 255, (2000, 2000), dtype=np.uint8)
    Image.fromarray(noise).save(media / "projection.jpg", quality=95)
    (thumbnail,) = world.raw("pictures").thumbnails
    assert (media / "projection.jpg").stat().st_size > 1_000_000
    assert len(thumbnail.uri) <= 60_000


def test_the_record_names_the_folder_and_the_scan_that_users_know(world: World) -> None:
    world.scan("known")
    record = world.raw("known")
    assert record.dataset.sourceFolder.endswith(f"/global/cfs/cdirs/als/data_mover/8.3.2/raw/{FOLDER}")
    assert record.body()["scientificMetadata"]["scan_page"].endswith("/scan/known")
    assert record.file_blocks[0][0].sha256 is not None
    assert {row["site"] for row in record.body()["scientificMetadata"]["locations"]} == {"als"}
