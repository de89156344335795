"""SciCat, driven by unmodified pyscicat and scitacean, and by plain requests where neither has a call."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from pyscicat.client import ScicatClient, ScicatCommError
from pyscicat.model import (
    Attachment,
    CreateDatasetOrigDatablockDto,
    DataFile,
    DerivedDataset,
    Instrument,
    Ownable,
    Proposal,
    RawDataset,
    Sample,
)

from als_assets.simulator.config import SimulatorConfig
from als_assets.simulator.server import Simulator

TIME = "2026-11-22T10:00:00.000Z"
RAW: dict[str, Any] = {
    "pid": "als/scan-1",
    "type": "raw",
    "owner": "Jane",
    "ownerGroup": "ALS-12345",
    "accessGroups": ["ingestor"],
    "contactEmail": "jane@lbl.gov",
    "sourceFolder": "/data/raw",
    "creationTime": TIME,
    "principalInvestigator": "Jane",
    "creationLocation": "8.3.2",
    "datasetName": "scan-1",
}
BLOCK = {"size": 12, "dataFileList": [{"path": "f.h5", "size": 12, "time": TIME}]}


@pytest.fixture
def old_simulator(site: Any) -> Iterator[Simulator]:
    """Backend 4.27."""
    settings = site.config.model_dump()
    settings["scicat"]["personality"] = "4.27"
    with Simulator(SimulatorConfig.model_validate(settings)) as running:
        yield running


@pytest.fixture
def http() -> Iterator[Callable[..., httpx.Client]]:
    """Makes logged-in plain clients for /api: ``http(simulator, "ingestor", "ingest")``."""
    opened: list[httpx.Client] = []

    def make(simulator: Simulator, user: str = "ingestor", password: str = "ingest") -> httpx.Client:
        client = httpx.Client(base_url=f"{simulator.url}/api", timeout=30)
        opened.append(client)
        answer = client.post("/v3/auth/login", json={"username": user, "password": password})
        assert answer.status_code == 201
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return client

    yield make
    for client in opened:
        client.close()


def pid_path(pid: str = "als/scan-1", below: str = "", version: str = "v3") -> str:
    return f"/{version}/datasets/{quote(pid, safe='')}{below}"


# --- pyscicat ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pyscicat(simulator: Simulator) -> ScicatClient:
    return ScicatClient(base_url=f"{simulator.url}/api/v3", username="ingestor", password="ingest", timeout_seconds=10)


def test_pyscicat_ingests_raw_and_derived(simulator: Simulator, pyscicat: ScicatClient) -> None:
    pid = pyscicat.datasets_create(RawDataset(**{key: value for key, value in RAW.items() if key != "type"}))
    assert pid == "als/scan-1"
    file = DataFile(path="f.h5", size=12, time=TIME)
    pyscicat.datasets_origdatablock_create(pid, CreateDatasetOrigDatablockDto(size=12, dataFileList=[file]))
    thumbnail = Attachment(datasetId=pid, thumbnail="data:image/png;base64,AAAA", caption="raw", ownerGroup="ALS-12345")
    pyscicat.datasets_attachment_create(thumbnail)
    record = pyscicat.datasets_get_one(pid)
    assert record is not None
    assert (record["size"], record["numberOfFiles"], record["createdBy"]) == (12, 1, "ingestor")
    derived = DerivedDataset(
        owner="Jane",
        ownerGroup="ALS-12345",
        accessGroups=["ingestor"],
        contactEmail="jane@lbl.gov;joe@als.lbl.gov",
        sourceFolder="/data/rec",
        creationTime=TIME,
        investigator="Jane",
        inputDatasets=[pid],
        usedSoftware=["recon 1.0"],
    )
    other = pyscicat.datasets_create(derived)
    found = pyscicat.datasets_get_many({"inputDatasets": pid})
    assert [dataset["pid"] for dataset in found] == [other]
    assert len(pyscicat.datasets_origdatablocks_get_one(pid)) == 1
    assert pyscicat.datasets_find(query_fields={"ownerGroup": "ALS-12345"})[0]["pid"] == pid


def test_pyscicat_records_beside_datasets(pyscicat: ScicatClient) -> None:
    owned = Ownable(ownerGroup="ingestor", accessGroups=[])
    proposal = Proposal(proposalId="ALS-1", email="pi@lbl.gov", **owned.model_dump(exclude_none=True))
    assert pyscicat.proposals_create(proposal) == "ALS-1"
    assert pyscicat.proposals_get_one("ALS-1")["email"] == "pi@lbl.gov"
    with pytest.raises(ScicatCommError, match="already exists"):
        pyscicat.proposals_create(proposal)
    with pytest.raises(ScicatCommError, match="uniqueName"):
        pyscicat.instruments_create(Instrument(name="8.3.2"))
    with pytest.raises(ScicatCommError):  # sampleName, which 5.x wants, is not in pyscicat's model
        pyscicat.samples_create(Sample(sampleId="S1", **owned.model_dump(exclude_none=True)))
    assert pyscicat.published_data_get_many() == []


def test_pyscicat_full_model_cannot_be_patched(pyscicat: ScicatClient) -> None:
    model = RawDataset(**{key: value for key, value in RAW.items() if key != "type"})
    pyscicat.datasets_create(model)
    with pytest.raises(ScicatCommError, match="should not exist"):
        pyscicat.datasets_update(model, "als/scan-1")


def test_login_answers_the_same_token_twice_or_401(simulator: Simulator) -> None:
    url = f"{simulator.url}/api/v3/auth/login"
    answer = httpx.post(url, json={"username": "ingestor", "password": "ingest"})
    assert (answer.status_code, answer.json()["id"]) == (201, answer.json()["access_token"])
    assert answer.json()["access_token"].count(".") == 2
    refused = httpx.post(url, json={"username": "ingestor", "password": "no"})
    assert (refused.status_code, refused.json()) == (401, {"message": "Unauthorized", "statusCode": 401})
    old = httpx.post(f"{simulator.url}/api/v3/Users/login", json={})
    assert (old.status_code, old.content) == (201, b"")


# --- scitacean ---------------------------------------------------------------------------------------------------------


def test_scitacean_uploads_and_reads_back(simulator: Simulator, tmp_path: Any) -> None:
    from scitacean import Client, Dataset
    from scitacean import model as scitacean_model

    client = Client.from_credentials(url=f"{simulator.url}/api/v3", username="ingestor", password="ingest", allow_http=True)
    dataset = Dataset(
        type="raw",
        name="scan-2",
        owner="Jane",
        owner_group="ALS-12345",
        access_groups=["ingestor"],
        contact_email="jane@lbl.gov",
        principal_investigators=["Jane"],
        creation_location="8.3.2",
        source_folder="/data/raw",
        creation_time=datetime(2026, 11, 22, tzinfo=UTC),
        meta={"energy": {"value": 25000, "unit": "eV"}},
    )
    uploaded = client.upload_new_dataset_now(dataset)
    assert uploaded.pid is not None
    block = scitacean_model.UploadOrigDatablock(
        datasetId=uploaded.pid,
        size=5,
        dataFileList=[scitacean_model.UploadDataFile(path="f.h5", size=5, time=datetime(2026, 11, 22, tzinfo=UTC))],
    )
    client.scicat.create_orig_datablock(block)
    found = client.get_dataset(uploaded.pid)
    assert (found.name, found.owner_group, found.size) == ("scan-2", "ALS-12345", 5)
    assert found.meta["energy"]["unit"] == "eV"
    assert [file.remote_path.posix for file in found.files] == ["f.h5"]


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
    [("mm", (2.5e-3, "m")), ("degC", (275.65, "K")), ("C", (2.5, "C")), ("furlong", (2.5, "furlong"))],
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


@pytest.fixture
def old_simulator_url(site: Any) -> Iterator[Callable[[], Simulator]]:
    """Starts backend 4.27 on the state of a stopped simulator."""
    started: list[Simulator] = []

    def start() -> Simulator:
        settings = site.config.model_dump()
        settings["scicat"]["personality"] = "4.27"
        started.append(Simulator(SimulatorConfig.model_validate(settings)).start())
        return started[-1]

    yield start
    for running in started:
        running.stop()


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
    assert client.get("/v3/datasets/count", params={"where": '{"pid":"als/01"}'}).json() == {"count": 1}
    assert len(client.get("/v4/datasets").json()) == 10
    assert client.get("/v3/datasets/findOne", params={"filter": '{"where":{"pid":"none"}}'}).content == b""
    assert client.get("/v3/datasets", params={"filter": "{"}).status_code == 400
    assert client.get("/v3/datasets", params={"filter": '{"where":{"pid":{"near":1}}}'}).status_code == 400


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
