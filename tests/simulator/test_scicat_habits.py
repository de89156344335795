"""The known habits of backends 4.27 and 5.x, rights by group, and the faults that can be asked for. Here: plain requests."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from scicat_kit import BLOCK, RAW, pid_path

from als_assets.simulator.server import Simulator

# --- sizes, duplicates, habits -----------------------------------------------------------------------------------------


def test_a_size_that_was_sent_is_doubled(simulator: Simulator, http: Callable[..., httpx.Client]) -> None:
    client = http(simulator)
    client.post("/v3/datasets", json={**RAW, "size": 12, "numberOfFiles": 1})
    block = client.post(pid_path(below="/origdatablocks"), json=BLOCK).json()
    assert client.get(pid_path()).json()["size"] == 24
    assert block["ownerGroup"] == "ALS-12345"


def test_duplicates(simulator: Simulator, http: Callable[..., httpx.Client]) -> None:
    client = http(simulator)
    assert client.post("/v3/datasets", json=RAW).status_code == 201
    again = client.post("/v3/datasets", json=RAW)
    assert (again.status_code, again.json()["message"]) == (409, "A dataset with pid als/scan-1 already exists!")
    for expected in (201, 201):  # blocks may be posted twice
        assert client.post(pid_path(below="/origdatablocks"), json=BLOCK).status_code == expected
    archive = {**BLOCK, "archiveId": "tape-1", "packedSize": 10, "version": "1"}
    assert client.post(pid_path(below="/datablocks"), json=archive).status_code == 201
    assert client.post(pid_path(below="/datablocks"), json=archive).json() == "Internal server error"
    assert client.get(pid_path()).json()["packedSize"] == 10


def test_null_in_metadata_is_stored_then_500(simulator: Simulator, http: Callable[..., httpx.Client]) -> None:
    client = http(simulator)
    answer = client.post("/v3/datasets", json={**RAW, "scientificMetadata": {"energy": None}})
    assert (answer.status_code, answer.json()) == (500, {})
    assert client.get(pid_path()).status_code == 200
    assert client.patch(pid_path(), json={"scientificMetadata": {"energy": None}}).status_code == 403
    nested = client.post("/v3/datasets", json={**RAW, "pid": "als/2", "scientificMetadata": {"energy": {"value": None}}})
    assert nested.status_code == 201


def test_null_in_metadata_kills_4_27(old_simulator: Simulator, http: Callable[..., httpx.Client]) -> None:
    client = http(old_simulator)
    assert client.post("/v3/datasets", json={**RAW, "scientificMetadata": {"energy": None}}).status_code == 201
    with pytest.raises(httpx.TransportError):
        client.get("/v3/health")
    old_simulator.control.clear_faults()
    assert client.get("/v3/health").status_code == 200


def test_expired_tokens_by_version(
    simulator: Simulator, old_simulator_url: Callable[[], Simulator], http: Callable[..., httpx.Client]
) -> None:
    client = http(simulator)
    client.post("/v3/datasets", json=RAW)
    simulator.control.expire_tokens("scicat")
    answer = client.get("/v3/datasets")
    assert (answer.status_code, answer.json()["message"]) == (401, "SESSION_EXPIRED")
    assert client.post("/v3/datasets", json=RAW).status_code == 401
    client.headers["Authorization"] = "Bearer never.issued.token"
    assert client.get("/v3/datasets").json() == []
    assert client.get("/v3/users/my/self").status_code == 401
    assert client.post("/v3/datasets", json=RAW).status_code == 403

    simulator.stop()
    old = old_simulator_url()
    client = http(old)
    assert len(client.get("/v3/datasets").json()) == 1  # the state stayed
    old.control.expire_tokens("scicat")
    assert (client.get("/v3/datasets").status_code, client.get("/v3/datasets").json()) == (200, [])
    assert client.get("/v3/datasets/count").json() == {"count": 0}
    assert client.post("/v3/datasets", json=RAW).status_code == 403
    assert client.get("/v3/users/my/self").status_code == 401


def test_samples_and_instruments_differ_by_version(old_simulator: Simulator, http: Callable[..., httpx.Client]) -> None:
    client = http(old_simulator)
    sample = {"sampleId": "S1", "ownerGroup": "ingestor"}
    assert client.post("/v3/samples", json={**sample, "sampleName": "x"}).status_code == 400
    assert client.post("/v3/Samples", json=sample).status_code == 201
    assert client.post("/v3/samples", json=sample).json() == "Internal server error"
    assert client.post("/v3/instruments", json={"uniqueName": "i", "pid": "i"}).status_code == 400
    assert client.patch("/v3/samples/S1", json={"description": "d"}).json()["description"] == "d"
    assert client.get("/v3/samples", params={"filter": '{"where":{"sampleId":"S1"}}'}).json()[0]["description"] == "d"
    assert client.get("/v3/samples/none").content == b""


# --- rights ------------------------------------------------------------------------------------------------------------


def test_rights_by_group(simulator: Simulator, http: Callable[..., httpx.Client]) -> None:
    ingestor, archiver = http(simulator), http(simulator, "archiver", "archive")
    user, boss = http(simulator, "user1", "user1"), http(simulator, "boss", "boss")
    assert user.post("/v3/datasets", json=RAW).status_code == 403
    assert ingestor.post("/v3/datasets", json={**RAW, "accessGroups": []}).status_code == 201
    # A creator may add to what it cannot read; it may change only what it owns.
    assert ingestor.get(pid_path()).json()["message"] == "Unauthorized access"
    assert ingestor.get("/v3/datasets").json() == []
    assert ingestor.post(pid_path(below="/origdatablocks"), json=BLOCK).status_code == 201
    assert ingestor.patch(pid_path(), json={"comment": "x"}).json()["message"] == "Unauthorized to update this dataset"
    assert user.patch(pid_path(), json={"comment": "mine"}).json()["comment"] == "mine"
    assert archiver.patch(pid_path(below="/datasetlifecycle"), json={"archivable": False}).json()["archivable"] is False
    assert ingestor.patch(pid_path(below="/datasetlifecycle"), json={"archivable": True}).status_code == 403
    assert boss.delete(pid_path()).status_code == 403
    assert archiver.delete(pid_path()).status_code == 200
    assert boss.get(pid_path()).json()["message"] == "dataset: als/scan-1 not found"
    assert len(simulator.control.records("origdatablocks")) == 1  # orphans stay


def test_guests_see_published_records_only(simulator: Simulator, http: Callable[..., httpx.Client]) -> None:
    http(simulator).post("/v3/datasets", json=RAW)
    http(simulator).post("/v3/datasets", json={**RAW, "pid": "als/public", "isPublished": True})
    found = httpx.get(f"{simulator.url}/api/v3/datasets").json()
    assert [dataset["pid"] for dataset in found] == ["als/public"]


# --- faults ------------------------------------------------------------------------------------------------------------


def test_stored_then_500(simulator: Simulator, http: Callable[..., httpx.Client]) -> None:
    simulator.control.add_fault(where="scicat", action="stored_then_500")
    answer = http(simulator).post("/v3/Datasets", json=RAW)
    assert (answer.status_code, answer.json()) == (500, {})
    assert [record["pid"] for record in simulator.control.records()] == ["als/scan-1"]


def test_stored_then_drop(simulator: Simulator, http: Callable[..., httpx.Client]) -> None:
    simulator.control.add_fault(where="scicat", action="stored_then_drop")
    with pytest.raises(httpx.TransportError):
        http(simulator).post("/v3/datasets", json=RAW)
    assert len(simulator.control.records()) == 1


def test_hang_login(simulator: Simulator) -> None:
    simulator.control.add_fault(where="scicat", action="hang_login")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{simulator.url}/api/v3/auth/login", json={"username": "ingestor", "password": "ingest"}, timeout=0.3)


@pytest.mark.parametrize(("action", "status"), [("expired", 401), ("bad_gateway", 502)])
def test_refusing_faults(simulator: Simulator, http: Callable[..., httpx.Client], action: str, status: int) -> None:
    client = http(simulator)
    simulator.control.add_fault(where="scicat", action=action)
    answer = client.post("/v3/datasets", json=RAW)
    assert answer.status_code == status
    assert (answer.headers["content-type"] == "text/html") is (action == "bad_gateway")
    assert client.post("/v3/datasets", json=RAW).status_code == 201


def test_passwords_and_tokens_are_nowhere_in_the_state(simulator: Simulator, site: Any, http: Callable[..., httpx.Client]) -> None:
    client = http(simulator)
    token = client.headers["Authorization"].removeprefix("Bearer ")
    client.get("/v3/datasets", params={"access_token": token})
    with sqlite3.connect(site.config.state_dir / "simulator.sqlite") as database:
        text = "\n".join(database.iterdump())
    database.close()
    assert token not in text
    assert '"ingest"' not in text


def test_validation_needs_the_right_to_create_and_stores_nothing(simulator: Simulator, http: Callable[..., httpx.Client]) -> None:
    assert http(simulator).post("/v3/datasets/isValid", json=RAW).json() == {"valid": True}
    assert http(simulator, "user1", "user1").post("/v3/datasets/isValid", json=RAW).status_code == 403
    assert simulator.control.records() == []


def test_groups_are_told_by_the_identity(simulator: Simulator, http: Callable[..., httpx.Client]) -> None:
    assert http(simulator, "boss", "boss").get("/v3/users/my/identity").json()["profile"]["accessGroups"] == ["admin"]
    assert httpx.get(f"{simulator.url}/api/v3/users/my/identity").status_code == 401
