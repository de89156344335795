"""SciCat, driven by unmodified pyscicat and scitacean. Here: their calls. Not here: what is refused, habits and rights."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

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
from scicat_kit import RAW, TIME

from als_assets.simulator.server import Simulator

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
