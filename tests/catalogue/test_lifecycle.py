"""SciCat's record says where the data is: on disk, archived, purged, and every copy. Here: the statement, and writing it for real."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import catalogue_oracle as oracle
import pytest
from catalogue_world import World, world_in

from als_assets.catalogue.calls import DatasetCalls
from als_assets.catalogue.delivery import Delivery, Fate, outside_actor
from als_assets.catalogue.follow import follow_copies, standing_of_row
from als_assets.catalogue.lifecycle import Standing, disagreements, ensure_standing
from als_assets.errors import CatalogueConflict, CatalogueRefused
from als_assets.facility.models import Location
from als_assets.ledger import OutboxKind, ReplicaState


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("world")) as world:
        tape = Location(site="nersc", collection="d40248e6-d874-4f7b-badd-2c06c16f1a58", root="/hpss/als", **{"class": "archive"})
        world.parts.facility = world.parts.facility.model_copy(update={"locations": {**world.parts.facility.locations, "hpss": tape}})
        yield world


def written(world: World, key: str) -> str:
    """A scan with a record in SciCat; its pid."""
    world.scan(key)
    return world.parts.deliveries.deliver(world.actor, world.raw(key), OutboxKind.RAW).row.pid


def follow(world: World, since: int = 0) -> list[Delivery]:
    follow_copies(world.parts.facility, world.ledger, world.parts.gate, since)
    return world.parts.deliveries.drain(outside_actor(world.ledger, print))


def standing(world: World, key: str) -> Standing:
    (row,) = [r for r in world.ledger.outbox.written(key) if r.kind is OutboxKind.RAW]
    return standing_of_row(world.parts.facility, world.ledger, row)


def test_a_fresh_record_is_on_disk_and_not_archived(world: World) -> None:
    pid = written(world, "fresh")
    assert [d.fate for d in follow(world)] == [Fate.WRITTEN]
    found = world.stored(pid)["datasetlifecycle"]
    assert (found["archivable"], found["retrievable"], found["isOnCentralDisk"]) == (True, False, True)
    assert found["archiveStatusMessage"] == "datasetCreated"
    admitted = world.ledger.datasets.get("fresh").admitted_at
    assert found["archiveRetentionTime"].startswith(str(admitted.year + 10)), "SciCat's own default is a month that is over"
    assert found["publishable"] is False, "what we do not know stays as it was"


def test_every_copy_is_listed_with_its_state(world: World) -> None:
    pid = written(world, "copies")
    follow(world)
    world.copy("copies", "nersc832_alsdev_raw")
    follow(world)
    listed = world.stored(pid)["scientificMetadata"]["locations"]
    assert [(item["site"], item["state"]) for item in listed] == [("als", "verified"), ("nersc", "verified"), ("als", "verified")]
    assert all(item["path"].endswith("/copies.h5") and item["checked_at"].endswith("Z") for item in listed)


def test_what_happens_after_the_clock_was_set_back_is_told_too(world: World) -> None:
    pid = written(world, "clock")
    _, seen = follow_copies(world.parts.facility, world.ledger, world.parts.gate)
    follow(world)
    world.turn(hours=-5)
    world.copy("clock", "nersc832_alsdev_raw")
    world.turn(hours=5)  # what waits in the outbox does so by the clock
    follow(world, seen)
    assert ("nersc", "verified") in [(item["site"], item["state"]) for item in world.stored(pid)["scientificMetadata"]["locations"]]


def test_pruning_marks_and_never_deletes(world: World) -> None:
    pid = written(world, "pruned")
    world.copy("pruned", "hpss")
    follow(world)
    world.turn(hours=1)
    world.gone("pruned", "data832_raw")
    follow(world)
    stored = world.stored(pid)
    found = stored["datasetlifecycle"]
    assert found["isOnCentralDisk"] is False
    gone = next(r for r in world.ledger.replicas.of("pruned", location="data832_raw"))
    assert found["dateOfDiskPurging"][:16] == f"{gone.changed_at:%Y-%m-%dT%H:%M}"
    assert "deleted" in {item["state"] for item in stored["scientificMetadata"]["locations"]}
    assert {r["method"] for r in world.simulator.control.requests()} <= {"GET", "POST", "PATCH"}, "nothing is ever deleted"
    assert (stored["numberOfFiles"], stored["datasetName"]) != (0, None)


def test_an_archived_copy_becomes_a_datablock_and_is_retrievable(world: World) -> None:
    pid = written(world, "tape")
    known = world.ledger.replicas.raw_sha256("tape")
    world.copy("tape", "hpss", sha256=known)
    follow(world)
    stored = world.stored(pid)
    found = stored["datasetlifecycle"]
    assert (found["archivable"], found["retrievable"]) == (False, True)
    assert found["archiveStatusMessage"] == "datasetOnArchiveDisk"
    assert found["storageLocation"].startswith("nersc: /hpss/als/")
    (block,) = [b for b in world.simulator.control.records("datablocks") if b["datasetId"] == pid]
    assert (block["size"], block["chkAlg"], block["dataFileList"][0]["chk"]) == (stored["size"], "sha256", known)
    world.ledger.replicas.move(world.ledger.replicas.of("tape", location="data832_raw")[0].id, ReplicaState.SUSPECT, why="a test")
    follow(world)
    assert len([b for b in world.simulator.control.records("datablocks") if b["datasetId"] == pid]) == 1


def test_an_archived_copy_that_is_lost_is_said_to_be_missing(world: World) -> None:
    pid = written(world, "lost")
    copy = world.copy("lost", "hpss")
    follow(world)
    world.ledger.replicas.move(copy.id, ReplicaState.SUSPECT, why="a test")
    follow(world)
    found = world.stored(pid)["datasetlifecycle"]
    assert (found["retrievable"], found["archiveStatusMessage"]) == (False, "missingFilesError")


@pytest.mark.parametrize("status", [500, "drop"])
def test_a_datablock_whose_answer_was_lost_is_there_once(world: World, status: int | str) -> None:
    key = f"answer_{status}"
    pid = written(world, key)
    world.copy(key, "hpss")
    body = {} if status == "drop" else {"body": {}}
    world.simulator.control.add_fault(where="http", path="*/datablocks", method="POST", status=status, after=True, **body)
    assert follow(world)[-1].fate is Fate.WRITTEN
    assert len([b for b in world.simulator.control.records("datablocks") if b["datasetId"] == pid]) == 1


def test_what_did_not_change_is_not_told_again(world: World) -> None:
    pid = written(world, "quiet")
    follow(world)
    assert follow(world) == [], "the same statement was written already"
    before, asked = world.stored(pid), len(world.simulator.control.requests())
    outcome = ensure_standing(world.parts.accounts, "quiet", pid, standing(world, "quiet"))
    assert outcome["changed"] == []
    assert [r["method"] for r in world.simulator.control.requests()[asked:]] == ["GET"]
    assert world.stored(pid) == before


def test_what_people_wrote_into_the_record_stays(world: World) -> None:
    pid = written(world, "notes")
    client = world.parts.accounts.lifecycle
    assert client is not None
    calls = DatasetCalls(client, "notes", pid)
    calls.patch({"scientificMetadata": {**world.stored(pid)["scientificMetadata"], "staff says": "good"}})
    calls.patch_lifecycle({"publishable": True, "exportedTo": "elsewhere"})
    world.copy("notes", "nersc832_alsdev_raw")
    follow(world)
    stored = world.stored(pid)
    assert stored["scientificMetadata"]["staff says"] == "good"
    assert (stored["datasetlifecycle"]["publishable"], stored["datasetlifecycle"]["exportedTo"]) == (True, "elsewhere")


def test_a_change_by_somebody_else_in_between_is_not_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record changes between our look and our PATCH; SciCat says so (412), and we look again."""
    pid = written(world, "race")
    follow(world)
    world.copy("race", "nersc832_alsdev_raw")
    world.simulator.control.add_fault(
        where="http", path="/api/v3/datasets/*", method="PATCH", status=412, body={"message": "Resource has been modified on server"}
    )
    assert follow(world)[-1].fate is Fate.WRITTEN
    assert disagreements(standing(world, "race"), world.stored(pid)) == []


def test_a_scan_that_must_stay_is_not_told_about(world: World) -> None:
    pid = written(world, "stays")
    world.ledger.datasets.set_release("stays", may_leave=False, reason="export control")
    world.copy("stays", "nersc832_alsdev_raw")
    asked = len(world.simulator.control.requests())
    assert [d for d in follow(world) if d.row.dataset_key == "stays"] == []
    assert not [r for r in world.simulator.control.requests()[asked:] if pid.replace("/", "%2F") in r["path"]]


def test_a_result_has_a_lifecycle_of_its_own(world: World) -> None:
    world.scan("result")
    stack, volume = world.product("result")
    world.parts.deliveries.deliver(world.actor, world.raw("result"), OutboxKind.RAW)
    record = world.parts.record_source("bl832").derived(world.ledger.datasets.get("result"), world.raw("result"), stack, volume)
    world.parts.deliveries.deliver(world.actor, record, OutboxKind.DERIVED)
    follow(world)
    for replica in (stack, volume):
        world.ledger.replicas.move(replica.id, ReplicaState.DELETING, why="a test")
        world.ledger.replicas.move(replica.id, ReplicaState.DELETED, why="a test", evidence={})
    follow(world)
    assert world.stored(record.pid)["datasetlifecycle"]["isOnCentralDisk"] is False
    assert {item["state"] for item in world.stored(record.pid)["scientificMetadata"]["locations"]} == {"deleted"}
    assert world.stored(world.raw("result").pid)["datasetlifecycle"]["isOnCentralDisk"] is True


def test_a_record_that_somebody_deleted_is_a_conflict(world: World) -> None:
    pid = written(world, "vanished")
    statement = standing(world, "vanished")
    with pytest.raises(CatalogueConflict, match=r"no record .* any more") as caught:
        ensure_standing(world.parts.accounts, "vanished", pid + "x", statement)
    assert "reconcile --apply" in caught.value.next_step


def test_every_request_satisfies_the_published_models(world: World) -> None:
    pid = written(world, "shapes")
    world.copy("shapes", "hpss")
    world.gone("shapes", "data832_raw")
    asked = len(world.simulator.control.requests())
    follow(world)
    seen = set()
    for request in world.simulator.control.requests()[asked:]:
        name = request["path"].rsplit("/", 1)[-1]
        if request["method"] == "PATCH" and name == "datasetlifecycle":
            oracle.accept_lifecycle(request["body"])
        elif request["method"] == "POST" and name == "datablocks":
            oracle.accept_datablock(request["body"])
        elif request["method"] == "PATCH":
            oracle.accept_patch("raw", request["body"])
        seen.add((request["method"], "record" if name.endswith(pid.split("/")[1]) else name))
    assert {("PATCH", "datasetlifecycle"), ("POST", "datablocks"), ("PATCH", "record")} <= seen


def test_without_the_right_it_is_refused_in_words(tmp_path: Any) -> None:
    """The second account is in no group that may change others' records, and is no admin."""
    with world_in(tmp_path, admin=False) as world:
        pid = written(world, "alone")
        world.copy("alone", "nersc832_alsdev_raw")
        (delivery,) = follow(world)
        assert delivery.fate is Fate.REFUSED
        assert isinstance(delivery.error, CatalogueRefused)
        assert "right" in delivery.sentence
        assert world.stored(pid)["datasetlifecycle"]["archiveRetentionTime"] > f"{datetime.now(UTC).year + 9}", "the flags are allowed"
