"""From the detector to the catalogue: three scans to their end, nothing twice, identical bytes, and what may not leave stays.

Here: the path when nothing fails. Not here: faults (``test_faults``) and crashes (``test_crashes``).
"""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path
from typing import Any

import h5py
import tifffile

from als_assets.demo.processes import DAGSTER
from als_assets.ledger import ReplicaState
from als_assets.simulator.detector import synthetic_scan
from tests.e2e.world import FOLDER, World

ASSETS = [
    "raw_on_data832",
    "raw_on_nersc",
    "scicat_record",
    "preview",
    "recon_tiff",
    "recon_zarr",
    "recon_on_data832",
    "scicat_recon_record",
]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_three_scans_come_to_their_end(world: World) -> None:
    slow = threading.Thread(target=world.drop_scan, args=("three_slow",), kwargs={"seed": 3, "pieces": 4, "pause_s": 0.7})
    slow.start()
    for seed, name in enumerate(("three_a", "three_b"), start=1):
        world.drop_scan(name, seed=seed)
    keys = [world.dataset(name).key for name in ("three_a", "three_b", "three_slow")]
    slow.join()
    for key in keys:
        run = world.wait_run(key, "SUCCESS", "FAILURE", limit_s=150)
        assert run.status.value == "SUCCESS"
        assert [name for name in ASSETS if not world.materialised_by(name, key)] == []
        _check_raw(world, key)
        _check_products(world, key)
        _check_catalogue(world, key)
    before = (len(world.control.tasks()), len(world.control.jobs()), [len(world.runs(key)) for key in keys])
    for name in DAGSTER:
        world.processes.stop(name)
    world.drop_scan("three_after", seed=4)  # it arrives while nothing watches
    world.processes.start_dagster()
    world.wait_run(world.dataset("three_after").key, "SUCCESS", limit_s=150)
    after = (len(world.control.tasks()) - 4, len(world.control.jobs()) - 2, [len(world.runs(key)) for key in keys])
    assert after == before, "a later tick and a restart of Dagster must add nothing for finished scans"


def _check_raw(world: World, key: str) -> None:
    dataset = world.ledger.datasets.get(key)
    source = world.box.watched / dataset.raw_path
    for root in (world.box.data832_raw, world.box.nersc_raw):
        assert sha256(root / dataset.raw_path) == sha256(source)
    raw = {r.location: r for r in world.ledger.replicas.of(key, product="raw")}
    assert raw["data832_raw"].sha256 == raw["nersc832_alsdev_raw"].sha256 == sha256(source)
    assert {r.state for r in raw.values()} == {ReplicaState.VERIFIED}


def _check_products(world: World, key: str) -> None:
    import ome_zarr_models  # these take seconds to import, and every worker of the suite imports this file
    import zarr

    dataset = world.ledger.datasets.get(key)
    stack = world.box.results / FOLDER / f"rec{key}"
    slices = sorted(stack.glob("*.tiff"))
    with h5py.File(world.box.watched / dataset.raw_path) as scan:
        rows, columns = scan["/exchange/data"].shape[1:]
    assert len(slices) == rows
    assert slices[0].name == f"{key}_00000.tiff"
    first = tifffile.imread(slices[0])
    assert first.shape == (columns, columns)
    assert first.dtype == "float32"
    store = world.box.results / FOLDER / f"rec{key}.zarr"
    group = ome_zarr_models.open_ome_zarr(zarr.open_group(str(store), mode="r"))
    assert [axis.unit for axis in group.attributes.multiscales[0].axes] == ["micrometer"] * 3


def _check_catalogue(world: World, key: str) -> None:
    def found() -> list[dict[str, Any]]:
        named = ("sourceFolder", "datasetName", "scientificMetadata")
        return [r for r in world.control.records() if key in "".join(str(r.get(name)) for name in named)]

    # A record that SciCat was too busy for is written a moment after the run by the sensor.
    world.wait(f"both records of {key}", lambda: len(found()) >= 2)
    mine = found()
    kinds = sorted(str(r["type"]) for r in mine)
    assert kinds == ["derived", "raw"]
    raw, derived = sorted(mine, key=lambda r: r["type"], reverse=True)
    assert derived["inputDatasets"] == [raw["pid"]]
    assert raw["size"] == world.ledger.datasets.get(key).size_bytes


def test_flagged_scan_stays_at_the_als(world: World) -> None:
    document = {"quiet_s": 2.0, "sites": {"nersc": True, "als": True}, "export_control": {"names": ["secret_*"]}}
    world.write_settings(document)
    world.drop_scan("secret_alloy", seed=5)
    key = world.dataset("secret_alloy").key
    run = world.wait_run(key, "SUCCESS", "FAILURE", limit_s=120)
    assert run.status.value == "SUCCESS"
    told = [r for r in world.control.requests() if "secret_alloy" in str(r) and not r["path"].startswith(("/v0.10", "/_sim"))]
    assert told == [], "a request about a flagged scan reached NERSC or SciCat"
    nersc = {t["document"].get("destination_endpoint") for t in world.control.tasks() if "secret_alloy" in str(t["document"])}
    assert nersc == {"75b478b2-37af-46df-bfbd-71ed692c6506"}, "the only copy goes to data832"
    assert (world.box.results / FOLDER / f"rec{key}" / "parameters.json").exists(), "it is reconstructed at the ALS"
    reasons = next(row.evidence for row in world.ledger.audit.of(key) if row.subject.startswith("dispatch"))
    assert "export control" in reasons["raw_on_nersc"]
    assert "export control" in reasons["site"]


HOSTILE = ["-rf blank ; $(touch hacked) | a,b 'quote\" dots..inside `touch hacked` übung-δοκιμή", "x" * 240]


def test_hostile_names_travel_unharmed(world: World) -> None:
    world.set_steps(preview=False, raw_on_nersc=True, scicat_record=True, reconstruction=False)
    paths = {name: world.drop_scan(name, seed=6) for name in HOSTILE}
    keys = {name: world.dataset(name).key for name in HOSTILE}
    for name, key in keys.items():
        run = world.wait_run(key, "SUCCESS", "FAILURE", limit_s=120)
        assert run.status.value == "SUCCESS", (name, world.reason("raw_on_data832", key))
        assert sha256(world.box.nersc_raw / FOLDER / paths[name].name) == sha256(paths[name])
        assert re.fullmatch(r"[A-Za-z0-9_.-]{1,200}", key)
    world.set_steps(preview=True, raw_on_nersc=True, scicat_record=True, reconstruction=True)
    worst = keys[HOSTILE[0]]
    run = world.materialise(worst, ["preview", "recon_tiff", "recon_zarr", "recon_on_data832"])
    assert world.wait_run(worst, "SUCCESS", "FAILURE", count=2, limit_s=120).run_id == run
    assert world.runs(worst)[0].status.value == "SUCCESS"
    assert not list(world.processes.state_dir.rglob("hacked")), "a file name was executed"


def test_bad_files_are_named_and_stop_nothing(world: World, tmp_path: Path) -> None:
    world.set_steps(preview=False, raw_on_nersc=False, scicat_record=False, reconstruction=False, bring_back=False)
    folder = world.box.watched / FOLDER
    (folder / "bad_empty.h5").touch()
    (folder / "bad_text.h5").write_text("no HDF5")
    whole = tmp_path / "whole.h5"
    synthetic_scan(whole, rows=8, columns=96, angles=61, seed=7)
    (folder / "bad_truncated.h5").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    world.drop_scan("good_after_bad", seed=8)
    world.wait_run(world.dataset("good_after_bad").key, "SUCCESS")

    def refused() -> dict[str, str] | None:
        found = {Path(row.path).name: row.problem for row in world.ledger.sightings.list() if row.problem}
        return found if len(found) >= 3 else None

    problems = world.wait("three refusals", refused)
    assert set(problems) == {"bad_empty.h5", "bad_text.h5", "bad_truncated.h5"}
    for name in problems:
        (folder / name).unlink()
