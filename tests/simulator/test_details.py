"""Details of the wire that drivers meet sooner or later: shapes of injected errors, refused documents, odd requests, filters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import globus_sdk
import httpx
import pytest
from globus_sdk import DeleteData, TransferClient, TransferData

from als_assets.simulator.globus import documents
from als_assets.simulator.server import Simulator
from als_assets.simulator.store import Store

TIME = "2026-11-22T10:00:00.000Z"
RAW: dict[str, Any] = {
    "pid": "als/scan-1",
    "type": "raw",
    "owner": "Jane",
    "ownerGroup": "ingestor",
    "contactEmail": "jane@lbl.gov",
    "sourceFolder": "/data/raw",
    "creationTime": TIME,
    "principalInvestigator": "Jane",
    "creationLocation": "8.3.2",
}


@pytest.fixture
def plain(simulator: Simulator) -> Iterator[httpx.Client]:
    """A client without any credentials."""
    with httpx.Client(base_url=simulator.url, timeout=20) as client:
        yield client


@pytest.fixture
def scicat(simulator: Simulator) -> Iterator[httpx.Client]:
    """The ingestor's client for /api/v3."""
    with httpx.Client(base_url=f"{simulator.url}/api/v3", timeout=20) as client:
        token = client.post("/auth/login", json={"username": "ingestor", "password": "ingest"}).json()["id"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def ended(simulator: Simulator, task_id: str) -> dict[str, Any]:
    def look() -> Any:
        return next((task for task in simulator.control.tasks() if task["task_id"] == task_id and task["completion_time"]), None)

    found: dict[str, Any] = simulator.control.wait_for(look, what="the task's end")
    return found


# --- injected answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v0.10/task_list", {"code": "Oops", "message": "because", "resource": "/v0.10/task_list"}),
        ("/v2/oauth2/token", {"error": "Oops", "error_description": "because"}),
        ("/c2id/token", {"error": "Oops", "error_description": "because"}),
        ("/api/v1.2/status", {"detail": "because"}),
        ("/api/v3/datasets", {"message": "because", "statusCode": 503}),
    ],
)
def test_an_injected_error_has_the_services_shape(simulator: Simulator, plain: httpx.Client, path: str, expected: dict[str, Any]) -> None:
    simulator.control.add_fault(where="http", path=path, status=503, code="Oops", message="because", headers={"X-Why": "test"})
    answer = plain.get(path)
    assert (answer.status_code, answer.headers["x-why"]) == (503, "test")
    found = answer.json()
    found.pop("request_id", None)
    assert found == expected


def test_an_injected_body_is_sent_as_it_is(simulator: Simulator, plain: httpx.Client) -> None:
    simulator.control.add_fault(where="http", status=502, body="<html>", headers={"content-type": "text/html"})
    simulator.control.add_fault(where="http", status=200, body=[1, 2])
    first, second = plain.get("/v0.10/task_list"), plain.get("/v0.10/task_list")
    assert (first.status_code, first.text, first.headers["content-type"]) == (502, "<html>", "text/html")
    assert (second.status_code, second.json()) == (200, [1, 2])


def test_rules_are_tried_in_order_and_one_at_a_time(simulator: Simulator, plain: httpx.Client) -> None:
    for status in (500, 502, 503):
        simulator.control.add_fault(where="http", path="/api/v1.2/*", status=status)
    assert [plain.get("/api/v1.2/status").status_code for _ in range(4)] == [500, 502, 503, 200]


def test_a_dropped_connection_says_nothing(simulator: Simulator, plain: httpx.Client) -> None:
    simulator.control.add_fault(where="http", path="/api/v1.2/status", status="drop")
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        plain.get("/api/v1.2/status")
    assert plain.get("/api/v1.2/status").status_code == 200


def test_a_delay_ends_when_its_rule_is_cleared(simulator: Simulator, plain: httpx.Client) -> None:
    simulator.control.add_fault(where="http", path="/api/v1.2/status", delay_s=3600, times=None)
    with pytest.raises(httpx.ReadTimeout):
        plain.get("/api/v1.2/status", timeout=0.2)
    simulator.control.clear_faults()
    assert plain.get("/api/v1.2/status").status_code == 200


def test_the_control_plane_is_never_struck_nor_logged(simulator: Simulator) -> None:
    simulator.control.add_fault(where="http", status=500, times=None)
    assert simulator.control.ready()
    assert simulator.control.requests() == []


# --- odd requests ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["Basic !!!", "Basic", "Basic YWJj", "Bearer", "Digest x", "\u00e4"])
def test_odd_authorization_headers_are_refused(plain: httpx.Client, header: str) -> None:
    headers = {"Authorization": header.encode("latin-1")}
    form = {"grant_type": "client_credentials", "scope": "x"}
    assert plain.post("/v2/oauth2/token", data=form, headers=headers).status_code == 401
    assert plain.get("/v0.10/task_list", headers=headers).status_code == 401
    assert plain.get("/api/v1.2/account/", headers=headers).status_code == 403
    assert plain.get("/api/v3/users/my/self", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "authorization_code", "scope": "x"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "invalid_scope"),
    ],
)
def test_refused_grants(plain: httpx.Client, form: dict[str, str], error: str) -> None:
    answer = plain.post("/v2/oauth2/token", data=form, auth=("11111111-1111-4111-8111-111111111111", "mover-secret"))
    assert (answer.status_code, answer.json()) == (400, {"error": error})


def test_client_secret_in_the_form(simulator: Simulator, plain: httpx.Client) -> None:
    scope = "urn:globus:auth:scope:transfer.api.globus.org:all"
    form = {"grant_type": "client_credentials", "scope": scope, "client_id": "11111111-1111-4111-8111-111111111111"}
    assert plain.post("/v2/oauth2/token", data={**form, "client_secret": "mover-secret"}).status_code == 200
    (request,) = simulator.control.requests()
    assert (request["client"], request["body"]["client_secret"]) == (form["client_id"], "...")


def test_tokens_open_only_their_own_service(simulator: Simulator, plain: httpx.Client, scicat: httpx.Client) -> None:
    foreign = {"Authorization": scicat.headers["Authorization"]}
    answer = plain.get("/v0.10/task_list", headers=foreign)
    assert (answer.status_code, answer.json()["code"]) == (403, "PermissionDenied")
    assert plain.get("/api/v1.2/account/", headers=foreign).status_code == 403


def test_bodies_that_are_no_json(simulator: Simulator, plain: httpx.Client, transfer_client: TransferClient) -> None:
    transfer_client.task_list()
    token = transfer_client.get_submission_id()._response.request.headers["Authorization"]  # type: ignore[union-attr]
    for body in (b"{", b"[]", b"\xff"):
        answer = plain.post("/v0.10/transfer", content=body, headers={"Authorization": token})
        assert (answer.status_code, answer.json()["code"]) == (400, "ClientError.BadRequest")


@pytest.mark.parametrize("path", ["/V3/datasets", "/api/v3/DATASETS", "/api/v3/Datasets/count"])
def test_case_of_paths(plain: httpx.Client, path: str) -> None:
    """Express does not look at the case of SciCat's resources; nobody else is so lenient."""
    assert plain.get(path).status_code == (200 if path.startswith("/api/") else 501)


def test_an_unencoded_slash_in_a_pid_is_another_path(scicat: httpx.Client) -> None:
    assert scicat.post("/datasets", json=RAW).status_code == 201
    assert scicat.get("/datasets/als%2Fscan-1").status_code == 200
    assert scicat.get("/datasets/als/scan-1").status_code == 501


def test_access_tokens_in_addresses_are_not_logged(simulator: Simulator, scicat: httpx.Client) -> None:
    scicat.get("/datasets", params={"access_token": "abc.def", "filter": "{}"})
    assert simulator.control.requests("GET")[0]["query"] == "access_token=...&filter=%7B%7D"


# --- Globus documents ------------------------------------------------------------------------------------------------------


def document(client: TransferClient, site: Any, **changes: Any) -> dict[str, Any]:
    made = {"DATA_TYPE": "transfer", "submission_id": client.get_submission_id()["value"], "source_endpoint": site.source}
    made |= {"destination_endpoint": site.target, "DATA": [{"source_path": "/f", "destination_path": "/f"}]}
    return {**made, **changes}


def test_mirroring_is_loudly_refused(site: Any, transfer_client: TransferClient) -> None:
    with pytest.raises(globus_sdk.TransferAPIError) as error:
        transfer_client.post("/v0.10/transfer", data=document(transfer_client, site, delete_destination_extra=True))
    assert error.value.http_status == 501


@pytest.mark.parametrize("side", ["source_endpoint", "destination_endpoint"])
def test_unknown_collections_are_refused_at_submission(site: Any, transfer_client: TransferClient, side: str) -> None:
    with pytest.raises(globus_sdk.TransferAPIError) as error:
        transfer_client.post("/v0.10/transfer", data=document(transfer_client, site, **{side: "nowhere"}))
    assert (error.value.http_status, error.value.code) == (404, "EndpointNotFound")


def test_a_mapped_collection_wants_its_consent_at_submission(site: Any, transfer_client: TransferClient) -> None:
    with pytest.raises(globus_sdk.TransferAPIError) as error:
        transfer_client.post("/v0.10/transfer", data=document(transfer_client, site, destination_endpoint=site.mapped))
    assert error.value.code == "ConsentRequired"


def test_a_delete_without_paths_is_refused(site: Any, transfer_client: TransferClient) -> None:
    with pytest.raises(globus_sdk.TransferAPIError, match="at least one item"):
        transfer_client.submit_delete(DeleteData(site.target))


def test_a_checksum_without_a_name_is_md5(simulator: Simulator, site: Any, transfer_client: TransferClient) -> None:
    (site.folders["source"] / "f").write_bytes(b"content")
    data = TransferData(site.source, site.target)
    data.add_item("/f", "/f", external_checksum=hashlib.md5(b"content").hexdigest().upper())
    assert ended(simulator, transfer_client.submit_transfer(data)["task_id"])["status"] == "SUCCEEDED"


def test_a_file_cannot_replace_a_directory(simulator: Simulator, site: Any, transfer_client: TransferClient) -> None:
    (site.folders["source"] / "f").write_bytes(b"x")
    (site.folders["target"] / "f").mkdir()
    task_id = transfer_client.post("/v0.10/transfer", data=document(transfer_client, site))["task_id"]
    simulator.control.wait_for(lambda: transfer_client.get_task(task_id)["nice_status"] == "IS_A_DIRECTORY", what="the error")
    (site.folders["target"] / "f").rmdir()
    task = ended(simulator, task_id)
    assert (task["status"], task["nice_status"]) == ("SUCCEEDED", None)


@pytest.mark.parametrize("skip", [True, False])
def test_a_source_outside_its_collection(simulator: Simulator, site: Any, transfer_client: TransferClient, skip: bool) -> None:
    items = [{"source_path": "/../jobs", "destination_path": "/stolen"}]
    made = document(transfer_client, site, DATA=items, skip_source_errors=skip)
    task_id = transfer_client.post("/v0.10/transfer", data=made)["task_id"]
    if skip:
        assert ended(simulator, task_id)["subtasks_skipped_errors"] == 1
    else:
        denied = lambda: transfer_client.get_task(task_id)["nice_status"] == "PERMISSION_DENIED"  # noqa: E731
        simulator.control.wait_for(denied, what="the error")
    assert not (site.folders["target"] / "stolen").exists()


def test_task_lists_by_time_pause_and_order(simulator: Simulator, site: Any, transfer_client: TransferClient) -> None:
    (site.folders["source"] / "f").write_bytes(b"x")
    labels = ["b", "a"]
    for label in labels:
        ended(simulator, transfer_client.post("/v0.10/transfer", data=document(transfer_client, site, label=label))["task_id"])

    def listed(**query: Any) -> list[str]:
        return [task["label"] for task in transfer_client.task_list(query_params=query)]

    assert listed(orderby="label ASC") == ["a", "b"]
    assert listed(orderby="label DESC") == ["b", "a"]
    assert listed() == ["a", "b"]  # the newest first
    assert listed(filter="request_time:2000-01-01,2001-01-01") == []
    assert sorted(listed(filter="completion_time:2000-01-01,")) == labels[::-1]
    assert listed(filter="is_paused:1") == []
    with pytest.raises(globus_sdk.TransferAPIError):
        listed(filter="colour:red")


def test_events_have_pages(simulator: Simulator, site: Any, transfer_client: TransferClient) -> None:
    (site.folders["source"] / "f").write_bytes(b"x")
    simulator.control.add_fault(where="transfer", action="error", times=15)
    task_id = transfer_client.post("/v0.10/transfer", data=document(transfer_client, site))["task_id"]
    ended(simulator, task_id)
    codes = [event["code"] for event in transfer_client.paginated.task_event_list(task_id).items()]
    assert codes == ["SUCCEEDED", *["ENDPOINT_ERROR"] * 15, "STARTED"]
    assert len(transfer_client.task_event_list(task_id)["DATA"]) == 10
    errors = transfer_client.task_event_list(task_id, limit=100, query_params={"filter": "is_error:1"})
    assert len(errors["DATA"]) == 15


def test_an_ended_task_cannot_be_changed(simulator: Simulator, site: Any, transfer_client: TransferClient) -> None:
    (site.folders["source"] / "f").write_bytes(b"x")
    task_id = transfer_client.post("/v0.10/transfer", data=document(transfer_client, site))["task_id"]
    ended(simulator, task_id)
    with pytest.raises(globus_sdk.TransferAPIError) as error:
        transfer_client.update_task(task_id, {"label": "late"})
    assert error.value.http_status == 409


def test_a_deletion_that_was_cut_off_is_completed(site: Any, globus_client: Callable[..., TransferClient]) -> None:
    """Killed between the deletion and its note: at the next start the missing path counts as deleted, not as missing."""
    with Simulator(site.config) as first:
        client = globus_client(first)
        (site.folders["target"] / "f").write_bytes(b"x")
        first.control.add_fault(where="delete", action="inactive")
        data = DeleteData(site.target)
        data.add_item("/f")
        task_id = client.submit_delete(data)["task_id"]
        first.control.wait_for(lambda: client.get_task(task_id)["status"] == "INACTIVE", what="INACTIVE")
    store = Store(site.config.state_dir)
    store.append(documents.DONE, task_id, {"path": "/f"})
    store.update(documents.TASK, task_id, _held_by=None)
    store.close()
    (site.folders["target"] / "f").unlink()
    with Simulator(site.config) as second:
        assert ended(second, task_id)["status"] == "SUCCEEDED"


def test_listings_of_files_and_missing_directories(site: Any, transfer_client: TransferClient) -> None:
    (site.folders["source"] / "f").write_bytes(b"x")
    for path, code in (("/f", "ExternalError.DirListingFailed.NotDirectory"), ("/nope", "ClientError.NotFound")):
        with pytest.raises(globus_sdk.TransferAPIError) as error:
            transfer_client.operation_ls(site.source, path=path)
        assert error.value.code == code


def test_effective_pause_rules_are_empty(site: Any, transfer_client: TransferClient) -> None:
    assert list(transfer_client.my_effective_pause_rule_list(site.source)) == []


# --- SciCat's blocks -------------------------------------------------------------------------------------------------------


def test_removing_a_block_takes_its_size_away(simulator: Simulator, scicat: httpx.Client) -> None:
    scicat.post("/datasets", json=RAW)
    files = [{"path": f"f{number}", "size": 5, "time": TIME} for number in range(3)]
    made = [scicat.post("/datasets/als%2Fscan-1/origdatablocks", json={"size": 15, "dataFileList": files}) for _ in range(2)]
    assert scicat.get("/datasets/als%2Fscan-1").json()["numberOfFiles"] == 6
    assert scicat.delete(f"/datasets/als%2Fscan-1/origdatablocks/{made[0].json()['id']}").status_code == 200
    record = scicat.get("/datasets/als%2Fscan-1").json()
    assert (record["size"], record["numberOfFiles"]) == (15, 3)
    assert scicat.delete("/datasets/als%2Fscan-1/origdatablocks/none").status_code == 404
    assert len(scicat.get("/datasets/als%2Fscan-1/origdatablocks").json()) == 1


def test_v4_blocks_name_their_dataset(simulator: Simulator, scicat: httpx.Client) -> None:
    scicat.post("/datasets", json=RAW)
    url = f"{simulator.url}/api/v4/origdatablocks"
    body = {"datasetId": "als/scan-1", "size": 5, "dataFileList": [{"path": "f", "size": 5, "time": TIME}]}
    assert scicat.post(url, json={**body, "datasetId": "als/none"}).json()["message"] == "Invalid datasetId"
    assert scicat.post(url, json={**body, "colour": "red"}).status_code == 400
    assert scicat.post(url, json=body).status_code == 201
    where = json.dumps({"where": {"datasetId": "als/scan-1"}})
    assert [found["size"] for found in scicat.get(url, params={"filter": where}).json()] == [5]
    included = scicat.get(f"{simulator.url}/api/v4/datasets/als%2Fscan-1", params={"include": "origdatablocks"}).json()
    assert [found["size"] for found in included["origdatablocks"]] == [5]


def test_at_most_a_hundred_blocks_are_listed(scicat: httpx.Client) -> None:
    scicat.post("/datasets", json=RAW)
    body = {"size": 1, "dataFileList": [{"path": "f", "size": 1, "time": TIME}]}
    for _ in range(103):
        scicat.post("/datasets/als%2Fscan-1/origdatablocks", json=body)
    assert len(scicat.get("/datasets/als%2Fscan-1/origdatablocks").json()) == 100
    assert scicat.get("/datasets/als%2Fscan-1").json()["size"] == 103


@pytest.mark.parametrize("missing", ["archiveId", "version", "packedSize", "size", "dataFileList"])
def test_datablocks_need_all_of_it(scicat: httpx.Client, missing: str) -> None:
    scicat.post("/datasets", json=RAW)
    body = {"archiveId": "a", "version": "1", "packedSize": 1, "size": 1}
    body |= {"dataFileList": [{"path": "f", "size": 1, "time": TIME}]}  # type: ignore[dict-item]
    del body[missing]
    answer = scicat.post("/datasets/als%2Fscan-1/datablocks", json=body)
    assert answer.status_code == 400
    assert any(missing in word for word in answer.json()["message"])
