"""The record of scans and SciCat compared both ways, and repaired. Here: every kind of difference, for real. Not here: the command."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from catalogue_world import World, world_in

from als_assets.catalogue import reconcile
from als_assets.catalogue.calls import DatasetCalls
from als_assets.catalogue.delivery import outside_actor
from als_assets.catalogue.follow import follow_copies
from als_assets.catalogue.reconcile import Difference, Finding
from als_assets.ledger import OutboxKind


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("world")) as world:
        yield world


def written(world: World, *keys: str) -> None:
    for key in keys:
        world.scan(key)
        world.parts.deliveries.deliver(world.actor, world.raw(key), OutboxKind.RAW)
    settle(world)


def settle(world: World) -> None:
    follow_copies(world.parts.facility, world.ledger, world.parts.gate)
    world.parts.deliveries.drain(outside_actor(world.ledger, print))


def findings(world: World) -> list[tuple[str, str | None]]:
    return [(str(f.kind), f.dataset_key) for f in world.parts.reconciler().findings()]


def repaired(world: World) -> list[Finding]:
    reconciler = world.parts.reconciler()
    list(reconciler.repair(reconciler.findings(), outside_actor(world.ledger, print)))
    return reconciler.findings()


def test_what_agrees_is_no_finding(world: World) -> None:
    written(world, "one", "two")
    assert findings(world) == []


def test_missing_records_are_written_from_the_file(world: World) -> None:
    world.scan("never_recorded")
    assert findings(world) == [(Difference.NO_RECORD, "never_recorded")]
    assert repaired(world) == []
    assert world.stored(world.raw("never_recorded").pid)["numberOfFiles"] == 1


def test_a_record_that_somebody_deleted_is_written_again(world: World) -> None:
    written(world, "deleted", "other")
    pid = world.raw("deleted").pid
    drop(world, pid)
    assert findings(world) == [(Difference.NO_RECORD, "deleted")]
    assert repaired(world) == []
    assert world.has(pid)


def drop(world: World, pid: str) -> None:
    """An administrator deletes a record; its files and pictures stay behind, as in the real SciCat."""
    with sqlite3.connect(world.box.root / "simulator" / "simulator.sqlite", timeout=30) as database:
        database.execute("DELETE FROM doc WHERE kind = 'scicat_dataset' AND key = ?", (pid,))
    database.close()


def test_a_record_without_files_is_completed(world: World) -> None:
    world.scan("no_files")
    record = world.raw("no_files")
    DatasetCalls(world.parts.accounts.ingest, "no_files", record.pid).create(record.body())
    assert (Difference.NO_FILES, "no_files") in findings(world)
    world.parts.accounts.ingest.settings.__dict__["patience_s"] = 0.2
    assert repaired(world) == []
    assert world.stored(record.pid)["numberOfFiles"] == 1


def test_a_lifecycle_that_somebody_changed_is_set_right(world: World) -> None:
    written(world, "wrong")
    pid = world.raw("wrong").pid
    boss = world.parts.accounts.lifecycle
    assert boss is not None
    DatasetCalls(boss, "wrong", pid).patch_lifecycle({"isOnCentralDisk": False})
    DatasetCalls(boss, "wrong", pid).patch({"scientificMetadata": {"locations": []}})
    (finding,) = world.parts.reconciler().findings()
    assert finding.kind is Difference.LIFECYCLE
    assert "isOnCentralDisk, locations" in finding.sentence
    assert repaired(world) == []
    assert world.stored(pid)["datasetlifecycle"]["isOnCentralDisk"] is True


def test_results_without_a_record_are_found_and_written(world: World) -> None:
    written(world, "result")
    world.product("result")
    world.product("result", "abcd1234")
    assert findings(world) == [(Difference.NO_RECORD, "result")] * 2
    assert repaired(world) == []
    assert sorted(item["datasetName"] for item in world.simulator.control.records() if item["type"] == "derived") == [
        "recresult",
        "recresult-abcd1234",
    ]


def test_what_was_refused_is_tried_again(world: World) -> None:
    written(world, "again")
    world.copy("again", "nersc832_alsdev_raw")
    world.simulator.control.add_fault(where="http", path="*/datasetlifecycle", status=400, body={"message": ["no"]})
    world.simulator.control.add_fault(where="http", path="/api/v3/datasets/*", method="PATCH", status=400, body={"message": ["no"]})
    settle(world)
    assert findings(world) == [(Difference.REFUSED, "again")]
    world.up()
    assert repaired(world) == []


def test_records_of_no_scan_are_told_and_left_alone(world: World) -> None:
    written(world, "mine")
    stranger = {**world.raw("mine").body(), "pid": "als/somebody-elses"}
    DatasetCalls(world.parts.accounts.ingest, "mine", "als/somebody-elses").create(stranger)
    elsewhere = {**stranger, "pid": "other/not-our-prefix"}
    DatasetCalls(world.parts.accounts.ingest, "mine", "other/not-our-prefix").create(elsewhere)
    (finding,) = world.parts.reconciler().findings()
    assert (finding.kind, finding.pid, finding.repair) == (Difference.NO_SCAN, "als/somebody-elses", None)
    assert repaired(world) == [finding]
    assert world.has("als/somebody-elses")


def test_what_cannot_be_made_again_is_told(world: World) -> None:
    written(world, "gone")
    world.copy("gone", "nersc832_alsdev_raw")
    pid = world.raw("gone").pid
    for location in ("data832_raw", "spot832"):
        world.gone("gone", location)
    (world.box.data832_raw / "dabramov-00847_dabramov" / "gone.h5").unlink()
    drop(world, pid)
    (finding,) = world.parts.reconciler().findings()
    assert (finding.kind, finding.repair) == (Difference.NO_RECORD, None)


def test_scans_that_must_stay_are_not_asked_about(world: World) -> None:
    world.scan("stays", may_leave=False)
    asked = len(world.simulator.control.requests())
    assert findings(world) == []
    pid = world.raw("stays").pid.split("/")[1]
    assert not [r for r in world.simulator.control.requests()[asked:] if pid in str(r)]


def test_more_scans_and_records_than_fit_into_one_question(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "_BATCH", 2)
    monkeypatch.setattr(reconcile, "_PAGE", 2)
    keys = [f"many_{number}" for number in range(5)]
    for key in keys:
        world.scan(key)
        record = world.raw(key)
        DatasetCalls(world.parts.accounts.ingest, key, record.pid).create(record.body())
    foreign = {**record.body(), "pid": "als/zzz"}
    DatasetCalls(world.parts.accounts.ingest, key, "als/zzz").create(foreign)
    assert findings(world) == [*((Difference.NO_FILES, key) for key in keys), (Difference.NO_SCAN, None)]
