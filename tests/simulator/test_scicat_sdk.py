"""SciCat through its own generated client: what we answer must pass the models generated from the real backend."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from als_assets.simulator.server import Simulator
from tests.late import late

sdk = late("scicat_sdk_py")
TIME = datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.fixture
def api(simulator: Simulator) -> Iterator[sdk.ApiClient]:
    configuration = sdk.Configuration(host=simulator.url)
    with sdk.ApiClient(configuration) as client:
        answer = sdk.AuthApi(client).auth_controller_login_v3(sdk.CredentialsDto(username="ingestor", password="ingest"))
        configuration.access_token = answer.access_token
        client.set_default_header("Authorization", f"Bearer {answer.access_token}")
        yield client


def raw(**changes: Any) -> sdk.CreateDatasetDto:
    fields: dict[str, Any] = {
        "type": "raw",
        "pid": "als/sdk-1",
        "dataset_name": "sdk-1",
        "owner": "Jane",
        "owner_group": "ALS-12345",
        "access_groups": ["ingestor"],
        "contact_email": "jane@lbl.gov",
        "source_folder": "/data",
        "creation_time": TIME,
        "principal_investigators": ["Jane"],
        "scientific_metadata": {"energy": {"value": 25.0, "unit": "keV"}},
    }
    return sdk.CreateDatasetDto(**fields | changes)


def test_v4_dataset_and_block(api: sdk.ApiClient) -> None:
    datasets = sdk.DatasetsV4Api(api)
    made = datasets.datasets_v4_controller_create_v4(raw())
    assert (made.pid, made.created_by, made.principal_investigators) == ("als/sdk-1", "ingestor", ["Jane"])
    block = sdk.CreateOrigDatablockDto(
        dataset_id=made.pid,
        owner_group="ALS-12345",
        size=12,
        data_file_list=[sdk.DataFile(path="f.h5", size=12, time=TIME)],
    )
    # Its model of the answer wants a version, which no backend sends.
    stored = sdk.OrigdatablocksV4Api(api).orig_datablocks_v4_controller_create_v4_without_preload_content(block)
    assert stored.json()["datasetId"] == "als/sdk-1"
    assert datasets.datasets_v4_controller_find_by_id_v4("als/sdk-1").size == 12
    assert datasets.datasets_v4_controller_find_one_v4(filter='{"where": {"datasetName": "sdk-1"}}').pid == "als/sdk-1"
    assert [found.pid for found in datasets.datasets_v4_controller_find_all_v4()] == ["als/sdk-1"]
    assert datasets.datasets_v4_controller_count_v4().count == 1
    assert datasets.datasets_v4_controller_find_lifecycle_by_id_v4("als/sdk-1").archivable is True
    assert datasets.datasets_v4_controller_is_valid_v4(raw(pid="als/3")).valid is True


def test_attachments(api: sdk.ApiClient) -> None:
    sdk.DatasetsV4Api(api).datasets_v4_controller_create_v4(raw())
    attachments = sdk.AttachmentsV4Api(api)
    relation = sdk.AttachmentRelationshipsV4Dto(target_id="als/sdk-1", target_type="dataset", relation_type="is attached to")
    fields = {"aid": "preview", "caption": "slice", "owner_group": "ingestor", "is_published": False}
    made = attachments.attachments_v4_controller_create_attachment_v4(sdk.CreateAttachmentV4Dto(**fields, relationships=[relation]))
    assert (made.aid, made.relationships[0].target_id) == ("preview", "als/sdk-1")
    assert attachments.attachments_v4_controller_find_one_v4("preview").caption == "slice"
    # Its model of the older answer wants an aid, which no backend sends.
    listed = sdk.DatasetsApi(api).datasets_controller_find_all_attachments_v3_without_preload_content("als/sdk-1")
    assert [item["caption"] for item in listed.json()] == ["slice"]


def test_users_and_logins(api: sdk.ApiClient, simulator: Simulator) -> None:
    with pytest.raises(sdk.exceptions.UnauthorizedException):
        sdk.AuthApi(api).auth_controller_login_v3(sdk.CredentialsDto(username="ingestor", password="wrong"))
    answer = sdk.UsersApi(api).users_controller_get_my_user_v3_with_http_info()  # its answer has no model
    assert b'"username":"ingestor"' in answer.raw_data
    simulator.control.expire_tokens("scicat")
    with pytest.raises(sdk.exceptions.UnauthorizedException, match="SESSION_EXPIRED"):
        sdk.DatasetsV4Api(api).datasets_v4_controller_find_all_v4()


def test_refusals_are_the_clients_exceptions(api: sdk.ApiClient) -> None:
    datasets = sdk.DatasetsV4Api(api)
    datasets.datasets_v4_controller_create_v4(raw())
    with pytest.raises(sdk.exceptions.ConflictException, match="already exists"):
        datasets.datasets_v4_controller_create_v4(raw())
    with pytest.raises(sdk.exceptions.BadRequestException, match="semicolon"):
        datasets.datasets_v4_controller_create_v4(raw(pid="als/2", contact_email="a@b.org, c@d.org"))
    with pytest.raises(sdk.exceptions.NotFoundException, match="not found"):
        datasets.datasets_v4_controller_find_by_id_v4("als/none")
