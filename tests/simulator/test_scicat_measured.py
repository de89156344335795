"""Habits of SciCat that were found on real backends 4.27, 5.2.1 and later, and that a client must live with. Here: plain requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from scicat_kit import BLOCK, RAW, pid_path

from als_assets.simulator.server import Simulator

Http = Callable[..., httpx.Client]
PICTURE = {"caption": "c", "ownerGroup": "ALS-12345", "thumbnail": "data:image/jpeg;base64,AAAA"}
RELATION = {"targetId": "als/scan-1", "targetType": "dataset", "relationType": "is attached to"}


@pytest.fixture(params=["old_simulator", "simulator"])
def either(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    yield request.getfixturevalue(request.param)


def is_old(simulator: Simulator) -> bool:
    return simulator.config.scicat.personality == "4.27"


def test_a_record_with_a_null_takes_no_change_until_it_is_gone(either: Simulator, http: Http) -> None:
    client, ingestor, old = http(either, "boss", "boss"), http(either), is_old(either)
    ingestor.post("/v3/datasets", json=RAW)
    answer = client.patch(pid_path(), json={"scientificMetadata": {"a": 1, "nothing": None}})
    assert (answer.status_code, answer.json()) == (500, "Internal server error")
    assert client.get(pid_path()).json()["scientificMetadata"]["nothing"] is None, "it was stored all the same"
    assert client.patch(pid_path(below="/datasetlifecycle"), json={"archivable": False}).status_code == 500
    assert client.patch(pid_path(), json={"owner": "x"}).status_code == 500
    assert ingestor.post(pid_path(below="/origdatablocks"), json=BLOCK).status_code == (500 if old else 201)
    healed = client.patch(pid_path(), json={"scientificMetadata": {"a": 1}})
    assert healed.status_code == (200 if old else 500)
    assert client.patch(pid_path(below="/datasetlifecycle"), json={"archivable": False}).status_code == 200


def test_a_text_that_is_a_date_is_looked_for_as_one(either: Simulator, http: Http) -> None:
    client = http(either)
    for name in ("sand-3", "12345", "2026-03-02", "sand_3"):
        client.post("/v3/datasets", json={**RAW, "pid": f"als/{name}", "datasetName": name})

    def found(condition: Any) -> int:
        answer = client.get("/v3/datasets", params={"filter": json.dumps({"where": {"datasetName": condition}})})
        return len(answer.json()) if answer.status_code == 200 else -answer.status_code

    assert [found(name) for name in ("sand-3", "12345", "2026-03-02", "sand_3")] == ([0, 0, 0, 1] if is_old(either) else [1, 1, 0, 1])
    assert [found({"inq": [name]}) for name in ("sand-3", "12345", "2026-03-02")] == [1, 1, 1]
    assert found({"like": "^sand-3"}) == (-400 if is_old(either) else 1)
    assert found({"like": "(^sand-3)"}) == 1


def test_the_older_list_of_pictures_shows_the_newest_ten(either: Simulator, http: Http) -> None:
    client = http(either)
    client.post("/v3/datasets", json=RAW)
    for number in range(12):
        made = client.post(pid_path(below="/attachments"), json={**PICTURE, "caption": f"p{number}", "accessGroups": ["ingestor"]})
        assert "aid" not in made.json()
    assert [item["caption"] for item in client.get(pid_path(below="/attachments")).json()] == [f"p{n}" for n in range(11, 1, -1)]
    where = {"where": {"relationships.targetId": "als/scan-1"}, "limits": {"limit": 100}}
    assert len(client.get("/v4/attachments", params={"filter": json.dumps(where)}).json()) == 12


def test_who_may_create_records_may_not_name_pictures(either: Simulator, http: Http) -> None:
    client, boss = http(either), http(either, "boss", "boss")
    client.post("/v3/datasets", json=RAW)
    named = {**PICTURE, "aid": "p1", "isPublished": False, "relationships": [RELATION]}
    refused = client.post("/v4/attachments", json=named)
    words = "Forbidden resource" if is_old(either) else "Unauthorized to create this attachment"
    assert (refused.status_code, refused.json()["message"]) == (403, words)
    assert client.post(pid_path(below="/attachments"), json={**PICTURE, "aid": "p1"}).status_code == 400
    own = client.post("/v4/attachments", json={**named, "ownerGroup": "ingestor"})
    assert own.status_code == (403 if is_old(either) else 201)
    assert boss.post("/v4/attachments", json={**named, "aid": "p2"}).status_code == 201
    assert boss.post("/v4/attachments", json={**named, "aid": "p2"}).status_code == 500


def test_what_a_validation_shows_of_the_version(either: Simulator, http: Http) -> None:
    client, old = http(either), is_old(either)

    def valid(**changes: Any) -> Any:
        return client.post("/v3/datasets/isValid", json={**RAW, **changes}).json()

    assert valid() == {"valid": True}
    assert valid(unknown=1) == {"valid": True}, "only creating looks for unknown properties"
    assert valid(contactEmail="x")["error"].startswith("Expected an email")
    assert valid(ownerGroup="") == ({"valid": True} if old else {"valid": False, "error": "ownerGroup should not be empty"})
    assert valid(relationships=[{"pid": "a", "relationship": "b"}])["valid"] is old


def test_archive_managers_see_everything_and_change_only_the_lifecycle(either: Simulator, http: Http) -> None:
    client = http(either, "archiver", "archive")
    http(either).post("/v3/datasets", json=RAW)
    assert client.get(pid_path()).status_code == 200
    assert client.patch(pid_path(), json={"owner": "x"}).json()["message"] == "Forbidden resource"
    route = pid_path(below="/datasetlifecycle")
    assert client.patch(route, json={"isOnCentralDisk": False}).json()["isOnCentralDisk"] is False
    for body in ({}, {"archivable": "x"}, {"dateOfDiskPurging": "yesterday"}):
        assert client.patch(route, json=body).status_code == 400


def test_version_4_leaves_the_keys_of_metadata_encoded(either: Simulator, http: Http) -> None:
    client = http(either)
    metadata = {"/a/b": 1, "c.d": 2, "e f": 3, "µ": 4, "n": {"/x": 5}}
    client.post("/v3/datasets", json={**RAW, "scientificMetadata": metadata})
    assert client.get(pid_path()).json()["scientificMetadata"] == metadata
    encoded = {"%2Fa%2Fb": 1, "c%2Ed": 2, "e%20f": 3, "%C2%B5": 4, "n": {"%2Fx": 5}}
    assert client.get(pid_path(version="v4")).json()["scientificMetadata"] == encoded
