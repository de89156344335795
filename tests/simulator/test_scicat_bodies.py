"""What SciCat accepts and in which words it refuses. Here: request bodies. Not here: rights, and what becomes of a record."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from scicat_kit import BLOCK, RAW, TIME, pid_path

from als_assets.simulator.server import Simulator

# --- what is accepted --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "property_"),
    [
        ({"contactEmail": "a@b.org, c@d.org"}, "contactEmail"),
        ({"contactEmail": "jane@localhost"}, "contactEmail"),
        ({"creationTime": "yesterday"}, "creationTime"),
        ({"owner": None}, "owner"),
        ({"principalInvestigator": None}, "principalInvestigator"),
        ({"colour": "red"}, "colour"),
        ({"createdBy": "me"}, "createdBy"),
        ({"keywords": "a,b"}, "keywords"),
        ({"size": "12"}, "size"),
        ({"inputDatasets": ["x"]}, "inputDatasets"),
        ({"type": "measured"}, "type"),
    ],
)
def test_v3_refuses_with_json_in_a_string(
    simulator: Simulator, http: Callable[..., httpx.Client], change: dict[str, Any], property_: str
) -> None:
    answer = http(simulator).post("/v3/datasets", json={**RAW, **change})
    assert (answer.status_code, answer.json()["status"]) == (400, 400)
    assert [problem["property"] for problem in json.loads(answer.json()["message"])] == [property_]
    assert simulator.control.records() == []


@pytest.mark.parametrize("missing", ["investigator", "inputDatasets", "usedSoftware"])
def test_derived_needs_its_origin(simulator: Simulator, http: Callable[..., httpx.Client], missing: str) -> None:
    body = {key: value for key, value in RAW.items() if key not in ("principalInvestigator", "creationLocation")}
    body |= {"type": "derived", "investigator": "Jane", "inputDatasets": [], "usedSoftware": []}
    assert http(simulator).post("/v3/datasets", json=body).status_code == 201
    del body[missing]
    assert missing in http(simulator).post("/v3/datasets", json={**body, "pid": "als/other"}).json()["message"]


def test_v4_refuses_with_a_list_of_sentences(simulator: Simulator, http: Callable[..., httpx.Client]) -> None:
    answer = http(simulator).post("/v4/datasets", json={**RAW, "proposalId": "x"})
    assert answer.status_code == 400
    assert "property proposalId should not exist" in answer.json()["message"]
    assert (answer.json()["error"], answer.json()["statusCode"]) == ("Bad Request", 400)
    body = {key: value for key, value in RAW.items() if key not in ("owner", "principalInvestigator")}
    assert http(simulator).post("/v4/datasets", json=body).status_code == 500
    valid = http(simulator).post("/v4/datasets/isValid", json={**body, "owner": "Jane"})
    assert (valid.status_code, valid.json()) == (200, {"valid": True})
    assert http(simulator).post("/v4/datasets/isValid", json={}).json()["valid"] is False


@pytest.mark.parametrize(
    "change",
    [
        {"dataFileList": []},
        {"size": None},
        {"chkAlg": 1},
        {"datasetId": "x"},
        {"ownerGroup": "x"},
        {"dataFileList": [{"path": "f", "size": 1}]},
        {"dataFileList": [{"path": "", "size": 1, "time": TIME}]},
    ],
)
def test_origdatablocks_refused(simulator: Simulator, http: Callable[..., httpx.Client], change: dict[str, Any]) -> None:
    client = http(simulator)
    client.post("/v3/datasets", json=RAW)
    answer = client.post(pid_path(below="/origdatablocks"), json={**BLOCK, **change})
    assert (answer.status_code, isinstance(answer.json()["message"], list)) == (400, True)


@pytest.mark.parametrize(
    ("unit", "si"),
    [("mm", (2.5e-3, "m")), ("degC", (275.65, "K")), ("C", (2.5, "s A")), ("furlong", (2.5, "furlong"))],
)
def test_values_with_units_gain_si(simulator: Simulator, http: Callable[..., httpx.Client], unit: str, si: tuple[float, str]) -> None:
    client, entry = http(simulator, "boss", "boss"), {"value": 2.5, "unit": unit}
    made = client.post("/v3/datasets", json={**RAW, "scientificMetadata": {"a": {"b": entry}, "plain": 1}}).json()
    assert made["scientificMetadata"]["plain"] == 1
    found = made["scientificMetadata"]["a"]["b"]
    assert (found["valueSI"], found["unitSI"]) == (pytest.approx(si[0]), si[1])
    changed = client.patch(pid_path(), json={"scientificMetadata": {"c": entry}}).json()["scientificMetadata"]
    assert (list(changed), changed["c"]["unitSI"]) == (["c"], si[1])


def test_a_body_over_16_mb_is_500(simulator: Simulator, http: Callable[..., httpx.Client]) -> None:
    body = {**RAW, "description": "x" * (16 << 20)}
    assert http(simulator).post("/v3/datasets", json=body).status_code == 500
    assert simulator.control.records() == []


def test_no_json_and_empty_name(simulator: Simulator, http: Callable[..., httpx.Client]) -> None:
    client = http(simulator)
    answer = client.post("/v3/datasets", content=b"{", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (400, "Bad Request")
    assert client.post("/v3/datasets", json={**RAW, "datasetName": ""}).status_code == 500
