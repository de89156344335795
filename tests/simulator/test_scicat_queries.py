"""Changing and finding records in SciCat. Here: PATCH, queries and attachments. Not here: creation."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from scicat_kit import BLOCK, RAW, pid_path

from als_assets.simulator.server import Simulator

# --- change and find ---------------------------------------------------------------------------------------------------


def test_patches(simulator: Simulator, http: Callable[..., httpx.Client]) -> None:
    boss = http(simulator, "boss", "boss")
    boss.post("/v3/datasets", json=RAW)
    boss.post(pid_path(below="/origdatablocks"), json=BLOCK)
    boss.patch(pid_path(below="/datasetlifecycle"), json={"archivable": False, "retrievable": True})
    changed = boss.patch(pid_path(), json={"proposalId": "ALS-1", "datasetlifecycle": {"retrievable": True}}).json()
    assert (changed["proposalIds"], changed["size"]) == (["ALS-1"], 12)
    assert changed["datasetlifecycle"]["archivable"] is True  # reset, as in the real backend
    assert boss.patch(pid_path(version="v4"), json={"comment": "x"}).json()["size"] == 0
    assert boss.patch(pid_path(), json={"pid": "als/new"}).status_code == 400
    assert boss.patch(pid_path(below="/datasetlifecycle"), json={"colour": 1}).status_code == 400
    stale = (datetime.now(UTC) - timedelta(days=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert boss.patch(pid_path(), json={"comment": "y"}, headers={"If-Unmodified-Since": stale}).status_code == 412


def test_queries(simulator: Simulator, http: Callable[..., httpx.Client]) -> None:
    client = http(simulator)
    for number in range(12):
        body = {**RAW, "pid": f"als/{number:02}", "datasetName": f"scan&{number}", "scientificMetadata": {"n": number}}
        client.post("/v3/datasets", json=body)

    def pids(where: Any, **limits: Any) -> list[str]:
        answer = client.get("/v3/datasets", params={"filter": json.dumps({"where": where, "limits": limits})})
        return [dataset["pid"] for dataset in answer.json()]

    assert pids({"datasetName": "scan&3"}) == ["als/03"]
    assert pids({"pid": {"inq": ["als/01", "als/02"]}}) == ["als/01", "als/02"]
    assert pids({"scientificMetadata.n": {"gte": 10}}) == ["als/10", "als/11"]
    assert pids({"datasetName": {"like": "&1$"}}) == ["als/01"]
    assert pids({"accessGroups": "ingestor"}, limit=2, skip=1, order="pid:desc") == ["als/10", "als/09"]
    assert pids({"$or": [{"pid": "als/01"}, {"pid": "als/05"}]}) == ["als/01", "als/05"]
    assert pids({"text": "SCAN&11"}) == ["als/11"]
    assert client.get("/v3/datasets/count", params={"filter": '{"where":{"pid":"als/01"}}'}).json() == {"count": 1}
    assert len(client.get("/v4/datasets").json()) == 10
    assert client.get("/v3/datasets/findOne", params={"filter": '{"where":{"pid":"none"}}'}).content == b""
    assert client.get("/v3/datasets", params={"filter": "{"}).status_code == 400
    assert client.get("/v3/datasets", params={"filter": '{"where":{"pid":{"near":1}}}'}).json() == []


def test_attachments(simulator: Simulator, http: Callable[..., httpx.Client]) -> None:
    client = http(simulator)
    client.post("/v3/datasets", json=RAW)
    attachment = {"aid": "a/1", "caption": "c", "ownerGroup": "ingestor", "isPublished": False, "thumbnail": "data:x"}
    relation = {"relationships": [{"targetId": "als/scan-1", "targetType": "dataset"}]}
    assert client.post("/v4/attachments", json={**attachment, **relation}).status_code == 201
    assert client.post("/v4/attachments", json={**attachment, **relation}).status_code == 500
    assert client.patch("/v4/attachments/a%2F1", json={"caption": "new"}).json()["caption"] == "new"
    assert client.patch("/v4/attachments/a%2F1", json={"colour": "new"}).status_code == 400
    assert [found["caption"] for found in client.get(pid_path(below="/attachments")).json()] == ["new"]
    assert client.get(pid_path(below="/thumbnail")).json() == {"thumbnail": "data:x"}
    assert client.delete(pid_path(below="/attachments/a%2F1")).status_code == 200
    assert client.get(pid_path(below="/thumbnail")).json() == {}
    gone = client.post("/v3/DerivedDatasets/als%2Fscan-1/attachments", json=attachment)
    assert (gone.status_code, gone.json()["message"][:11]) == (404, "Cannot POST")
