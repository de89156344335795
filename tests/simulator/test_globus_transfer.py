"""Globus Auth and Transfer, driven by the unmodified globus-sdk: operations, tasks and what they promise."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import globus_sdk
import pytest
from globus_sdk import ConfidentialAppAuthClient, DeleteData, TransferClient, TransferData


def wait(simulator: Any, task_id: str) -> dict[str, Any]:
    """The task as the control plane shows it, once it has ended."""

    def ended() -> Any:
        return next((task for task in simulator.control.tasks() if task["task_id"] == task_id and task["completion_time"]), None)

    found: dict[str, Any] = simulator.control.wait_for(ended, what=f"the end of task {task_id}")
    return found


def submit(client: TransferClient, site: Any, *items: tuple[str, str], **options: Any) -> str:
    recursive = options.pop("recursive", None)
    data = TransferData(site.source, options.pop("target", site.target), **options)
    for source, target in items:
        extra = {} if recursive is None else {"recursive": recursive}
        data.add_item(source, target, **extra)
    return str(client.submit_transfer(data)["task_id"])


# --- identity ----------------------------------------------------------------------------------------------------------


def test_wrong_secret_is_invalid_client(simulator: Any, site: Any, globus_client: Callable[..., TransferClient]) -> None:
    client = globus_client(simulator, secret="wrong")
    with pytest.raises(globus_sdk.AuthAPIError) as error:
        client.operation_ls(site.source)
    assert error.value.http_status == 401
    assert "invalid_client" in error.value.text


def test_expired_token_is_renewed_by_the_sdk(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    transfer_client.operation_ls(site.source)
    simulator.control.expire_tokens("globus")
    transfer_client.operation_ls(site.source)
    assert len(simulator.control.requests("POST", "/v2/oauth2/token")) == 2


def test_introspection_and_revocation(simulator: Any) -> None:
    with ConfidentialAppAuthClient("11111111-1111-4111-8111-111111111111", "mover-secret", base_url=simulator.url) as auth:
        scope = "urn:globus:auth:scope:transfer.api.globus.org:all"
        token = auth.oauth2_client_credentials_tokens(scope).by_resource_server["transfer.api.globus.org"]["access_token"]
        assert auth.oauth2_token_introspect(token)["active"] is True
        auth.oauth2_revoke_token(token)
        assert auth.oauth2_token_introspect(token)["active"] is False


def test_two_scopes_give_two_tokens(simulator: Any) -> None:
    with ConfidentialAppAuthClient("11111111-1111-4111-8111-111111111111", "mover-secret", base_url=simulator.url) as auth:
        tokens = auth.oauth2_client_credentials_tokens("openid urn:globus:auth:scope:transfer.api.globus.org:all")
        assert set(tokens.by_resource_server) == {"auth.globus.org", "transfer.api.globus.org"}


def test_mapped_collection_wants_a_consent_once(simulator: Any, site: Any, globus_client: Callable[..., TransferClient]) -> None:
    client = globus_client(simulator)
    with pytest.raises(globus_sdk.TransferAPIError) as error:
        client.operation_ls(site.mapped)
    assert error.value.code == "ConsentRequired"
    scopes = error.value.info.consent_required.required_scopes
    with ConfidentialAppAuthClient("11111111-1111-4111-8111-111111111111", "mover-secret", base_url=simulator.url) as auth:
        auth.oauth2_client_credentials_tokens(scopes)
    assert client.operation_ls(site.mapped)["DATA"] == []


def test_data_access_scope_of_a_guest_collection_does_not_exist(simulator: Any, site: Any) -> None:
    scope = f"urn:globus:auth:scope:transfer.api.globus.org:all[*https://auth.globus.org/scopes/{site.source}/data_access]"
    with (
        ConfidentialAppAuthClient("11111111-1111-4111-8111-111111111111", "mover-secret", base_url=simulator.url) as auth,
        pytest.raises(globus_sdk.AuthAPIError, match="unknown_scope"),
    ):
        auth.oauth2_client_credentials_tokens(scope)


# --- operations --------------------------------------------------------------------------------------------------------


def test_ls_filters_orders_and_pages(site: Any, transfer_client: TransferClient) -> None:
    folder = site.folders["source"] / "raw"
    folder.mkdir()
    for number in range(12):
        (folder / f"f{number:02}.h5").write_bytes(b"x" * number)
    (folder / "sub").mkdir()
    (folder / ".hidden").write_bytes(b"")

    def names(**query: Any) -> list[str]:
        return [entry["name"] for entry in transfer_client.operation_ls(site.source, path="/raw", **query)]

    assert names(filter={"name": "~f0*"}) == [f"f{number:02}.h5" for number in range(10)]
    assert names(filter=["type:dir"]) == ["sub"]
    assert names(filter=["size:>9", "type:file"]) == ["f10.h5", "f11.h5"]
    assert names(filter={"name": ["f01.h5", "f03.h5"]}) == ["f01.h5", "f03.h5"]
    assert names(filter="name:!~f*", show_hidden=False) == ["sub"]
    assert names(orderby="size DESC", limit=2, filter="type:file") == ["f11.h5", "f10.h5"]
    page = transfer_client.operation_ls(site.source, path="/raw", limit=5, offset=5)
    assert (page["length"], page["total"], page["has_next_page"]) == (5, 14, True)


def test_unknown_filter_is_refused(site: Any, transfer_client: TransferClient) -> None:
    with pytest.raises(globus_sdk.TransferAPIError) as error:
        transfer_client.operation_ls(site.source, filter="colour:red")
    assert error.value.http_status == 400


def test_stat_describes_files_directories_and_links(site: Any, transfer_client: TransferClient) -> None:
    root = site.folders["source"]
    (root / "f.h5").write_bytes(b"12345")
    (root / "link").symlink_to("f.h5")
    os.utime(root / "f.h5", (1_700_000_000, 1_700_000_000))
    found = transfer_client.operation_stat(site.source, "/f.h5")
    assert (found["name"], found["type"], found["size"]) == ("f.h5", "file", 5)
    assert found["last_modified"] == "2023-11-14 22:13:20+00:00"
    assert transfer_client.operation_stat(site.source, "/")["type"] == "dir"


def test_stat_of_a_missing_path(site: Any, transfer_client: TransferClient) -> None:
    with pytest.raises(globus_sdk.TransferAPIError) as error:
        transfer_client.operation_stat(site.source, "/nope")
    assert (error.value.http_status, error.value.code) == (404, "NotFound")


def test_unknown_collection(transfer_client: TransferClient) -> None:
    with pytest.raises(globus_sdk.TransferAPIError) as error:
        transfer_client.get_endpoint("33333333-3333-4333-8333-333333333333")
    assert (error.value.http_status, error.value.code) == (404, "EndpointNotFound")


def test_mkdir_and_rename(site: Any, transfer_client: TransferClient) -> None:
    assert transfer_client.operation_mkdir(site.target, "/a")["code"] == "DirectoryCreated"
    with pytest.raises(globus_sdk.TransferAPIError) as error:
        transfer_client.operation_mkdir(site.target, "/a")
    assert error.value.code == "ExternalError.MkdirFailed.Exists"
    assert transfer_client.operation_rename(site.target, oldpath="/a", newpath="/b")["code"] == "FileRenamed"
    assert (site.folders["target"] / "b").is_dir()
    with pytest.raises(globus_sdk.TransferAPIError) as error:
        transfer_client.operation_rename(site.target, oldpath="/a", newpath="/c")
    assert error.value.http_status == 404


@pytest.mark.parametrize("path", ["/../outside", "/a/../../outside", "/escape/f", "/absolute"])
def test_paths_stay_in_the_collection(site: Any, transfer_client: TransferClient, path: str) -> None:
    outside = site.folders["source"].parent / "outside"
    outside.mkdir()
    (outside / "f").write_bytes(b"secret")
    (site.folders["source"] / "escape").symlink_to("../outside")
    (site.folders["source"] / "absolute").symlink_to(outside / "f")
    with pytest.raises(globus_sdk.TransferAPIError) as error:
        transfer_client.operation_stat(site.source, path)
    assert (error.value.http_status, error.value.code) == (403, "EndpointPermissionDenied")


def test_only_writers_may_write(simulator: Any, site: Any, globus_client: Callable[..., TransferClient]) -> None:
    with pytest.raises(globus_sdk.TransferAPIError) as error:
        globus_client(simulator).operation_mkdir(site.readonly, "/x")
    assert error.value.http_status == 403
    globus_client(simulator, "22222222-2222-4222-8222-222222222222", "pruner-secret").operation_mkdir(site.readonly, "/x")


# --- transfers ---------------------------------------------------------------------------------------------------------


def test_directory_with_filter_is_copied_exactly(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    top = site.folders["source"] / "scan"
    (top / "sub").mkdir(parents=True)
    for number in range(5):
        (top / f"f{number}.h5").write_bytes(os.urandom(1000 + number))
    (top / "sub" / "x.tif").write_bytes(b"x")
    (top / "f9.tmp").write_bytes(b"partial")
    (top / "link").symlink_to("f0.h5")
    data = TransferData(site.source, site.target, label="dir", sync_level="checksum", verify_checksum=True)
    data.add_item("/scan/", "/copy/", recursive=True)
    data.add_filter_rule("*.tmp", method="exclude", type="file")
    task_id = transfer_client.submit_transfer(data)["task_id"]
    task = wait(simulator, task_id)
    assert (task["status"], task["files"], task["files_transferred"], task["symlinks"]) == ("SUCCEEDED", 6, 6, 1)
    assert task["bytes_transferred"] == sum(1000 + number for number in range(5)) + 1
    copied = {path.relative_to(site.folders["target"] / "copy") for path in (site.folders["target"] / "copy").rglob("*")}
    assert {str(path) for path in copied} == {"f0.h5", "f1.h5", "f2.h5", "f3.h5", "f4.h5", "sub", "sub/x.tif"}
    for path in top.glob("*.h5"):
        assert (site.folders["target"] / "copy" / path.name).read_bytes() == path.read_bytes()
    listed = list(transfer_client.paginated.task_successful_transfers(task_id).items())
    digest = hashlib.sha256((top / "f0.h5").read_bytes()).hexdigest()
    assert [entry["checksum"] for entry in listed if entry["source_path"] == "/scan/f0.h5"] == [digest]
    assert [event["code"] for event in transfer_client.task_event_list(task_id)] == ["SUCCEEDED", "STARTED"]


def test_more_successful_transfers_than_a_page(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    (site.folders["source"] / "many").mkdir()
    for number in range(250):
        (site.folders["source"] / "many" / f"{number}").write_bytes(b"x")
    task_id = submit(transfer_client, site, ("/many", "/many"))
    assert wait(simulator, task_id)["status"] == "SUCCEEDED"
    listed = list(transfer_client.paginated.task_successful_transfers(task_id).items())
    assert len({entry["source_path"] for entry in listed}) == len(listed) == 250


@pytest.mark.parametrize(
    ("level", "copied"),
    [(None, "new"), ("exists", "old"), ("size", "old"), ("mtime", "new"), ("checksum", "new")],
)
def test_sync_levels(simulator: Any, site: Any, transfer_client: TransferClient, level: Any, copied: str) -> None:
    (site.folders["source"] / "f").write_bytes(b"new")
    (site.folders["target"] / "f").write_bytes(b"old")
    os.utime(site.folders["target"] / "f", (1_000_000_000, 1_000_000_000))
    options = {"sync_level": level} if level else {}
    task = wait(simulator, submit(transfer_client, site, ("/f", "/f"), **options))
    assert (site.folders["target"] / "f").read_text() == copied
    assert task["files_skipped"] == (copied == "old")


def test_equal_checksums_are_not_sent_again(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    for name in ("source", "target"):
        (site.folders[name] / "f").write_bytes(b"same")
    task_id = submit(transfer_client, site, ("/f", "/f"), sync_level="checksum")
    assert wait(simulator, task_id)["files_skipped"] == 1
    assert list(transfer_client.task_successful_transfers(task_id)) == []


@pytest.mark.parametrize("preserve", [True, False])
def test_preserve_timestamp(simulator: Any, site: Any, transfer_client: TransferClient, preserve: bool) -> None:
    (site.folders["source"] / "f").write_bytes(b"x")
    os.utime(site.folders["source"] / "f", (1_500_000_000, 1_500_000_000))
    wait(simulator, submit(transfer_client, site, ("/f", "/f"), preserve_timestamp=preserve))
    assert ((site.folders["target"] / "f").stat().st_mtime == 1_500_000_000) is preserve


@pytest.mark.parametrize(("recursive", "kind", "code"), [(False, "dir", "IS_A_DIRECTORY"), (True, "file", "NOT_A_DIRECTORY")])
def test_recursive_must_fit(simulator: Any, site: Any, transfer_client: TransferClient, recursive: bool, kind: str, code: str) -> None:
    path = site.folders["source"] / "thing"
    path.mkdir() if kind == "dir" else path.write_bytes(b"x")
    task = wait(simulator, submit(transfer_client, site, ("/thing", "/thing"), recursive=recursive))
    assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", code)


def test_recursive_absent_finds_out(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    (site.folders["source"] / "d").mkdir()
    (site.folders["source"] / "d" / "f").write_bytes(b"x")
    (site.folders["source"] / "g").write_bytes(b"y")
    assert wait(simulator, submit(transfer_client, site, ("/d", "/d"), ("/g", "/g")))["files_transferred"] == 2
    assert (site.folders["target"] / "d" / "f").read_bytes() == b"x"


def test_external_checksum(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    (site.folders["source"] / "f").write_bytes(b"content")
    for digest, status in ((hashlib.sha256(b"content").hexdigest(), "SUCCEEDED"), ("0" * 64, "FAILED")):
        data = TransferData(site.source, site.target, verify_checksum=True)
        data.add_item("/f", "/f", external_checksum=digest, checksum_algorithm="SHA256")
        task = wait(simulator, transfer_client.submit_transfer(data)["task_id"])
        assert task["status"] == status
    assert task["fatal_error"]["code"] == "VERIFY_CHECKSUM"


def test_missing_source_stays_active_until_it_appears(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    (site.folders["source"] / "here").write_bytes(b"x")
    task_id = submit(transfer_client, site, ("/late", "/late"), ("/here", "/here"))
    looks: list[Any] = []

    def stuck_on_the_missing_one() -> bool:
        looks.append(transfer_client.get_task(task_id))  # one look: the other file's end says OK until the next attempt
        return looks[-1]["files_transferred"] == 1 and looks[-1]["nice_status"] == "FILE_NOT_FOUND"

    simulator.control.wait_for(stuck_on_the_missing_one, what="the error")
    assert (looks[-1]["status"], looks[-1]["is_ok"], looks[-1]["faults"] >= 1) == ("ACTIVE", False, True)
    assert (site.folders["target"] / "here").exists()
    (site.folders["source"] / "late").write_bytes(b"late")
    assert wait(simulator, task_id)["status"] == "SUCCEEDED"


def test_missing_source_is_skipped_only_on_request(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    (site.folders["source"] / "here").write_bytes(b"x")
    task_id = submit(transfer_client, site, ("/nope", "/nope"), ("/here", "/here"), skip_source_errors=True)
    task = wait(simulator, task_id)
    assert (task["status"], task["subtasks_skipped_errors"]) == ("SUCCEEDED", 1)
    (skipped,) = transfer_client.task_skipped_errors(task_id)
    assert (skipped["error_code"], skipped["source_path"]) == ("FILE_NOT_FOUND", "/nope")


def test_deadline_expires(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    task = wait(simulator, submit(transfer_client, site, ("/nope", "/nope"), deadline=past))
    assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", "EXPIRED")


def test_cancel(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    task_id = submit(transfer_client, site, ("/nope", "/nope"))
    assert transfer_client.cancel_task(task_id)["code"] == "Canceled"
    task = transfer_client.get_task(task_id)
    assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", "CANCELED")
    assert transfer_client.cancel_task(task_id)["code"] == "TaskComplete"


def test_label_and_deadline_can_be_changed(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    task_id = submit(transfer_client, site, ("/nope", "/nope"))
    transfer_client.update_task(task_id, {"DATA_TYPE": "task", "label": "new", "deadline": "2000-01-01T00:00:00+00:00"})
    task = wait(simulator, task_id)
    assert (task["label"], task["fatal_error"]["code"]) == ("new", "EXPIRED")


def test_writing_where_only_reading_is_allowed(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    (site.folders["source"] / "f").write_bytes(b"x")
    task_id = submit(transfer_client, site, ("/f", "/f"), target=site.readonly)
    simulator.control.wait_for(lambda: transfer_client.get_task(task_id)["nice_status"] == "PERMISSION_DENIED", what="the error")
    assert not list(site.folders["readonly"].iterdir())


# --- submission --------------------------------------------------------------------------------------------------------


def test_one_submission_id_is_one_task(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    (site.folders["source"] / "f").write_bytes(b"x")
    data = TransferData(site.source, site.target, submission_id=transfer_client.get_submission_id()["value"])
    data.add_item("/f", "/f")
    first, second = transfer_client.submit_transfer(data), transfer_client.submit_transfer(data)
    assert (first["code"], second["code"]) == ("Accepted", "Duplicate")
    assert first["task_id"] == second["task_id"]
    assert len(simulator.control.tasks()) == 1


def test_a_foreign_submission_id_is_refused(site: Any, transfer_client: TransferClient) -> None:
    data = TransferData(site.source, site.target, submission_id="44444444-4444-4444-8444-444444444444")
    data.add_item("/f", "/f")
    with pytest.raises(globus_sdk.TransferAPIError, match="submission id"):
        transfer_client.submit_transfer(data)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"DATA": []}, "at least one item"),
        ({"label": "two\nlines"}, "label"),
        ({"label": "x" * 129}, "label"),
        ({"deadline": "tomorrow"}, "deadline"),
        ({"sync_level": 7}, "sync_level"),
        ({"DATA": [{"source_path": "/f"}]}, "destination_path"),
        ({"DATA": [{"source_path": "/f", "destination_path": "/f", "external_checksum": "0", "checksum_algorithm": "CRC"}]}, "CRC"),
    ],
)
def test_bad_documents_are_refused(site: Any, transfer_client: TransferClient, change: dict[str, Any], words: str) -> None:
    document = {"DATA_TYPE": "transfer", "source_endpoint": site.source, "destination_endpoint": site.target}
    document |= {"submission_id": transfer_client.get_submission_id()["value"]}
    document |= {"DATA": [{"source_path": "/f", "destination_path": "/f"}]} | change
    with pytest.raises(globus_sdk.TransferAPIError, match=words) as error:
        transfer_client.post("/v0.10/transfer", data=document)
    assert error.value.http_status == 400


def test_three_run_and_the_fourth_is_queued(simulator: Any, site: Any, globus_client: Callable[..., TransferClient]) -> None:
    client = globus_client(simulator)
    other = globus_client(simulator, "22222222-2222-4222-8222-222222222222", "pruner-secret")
    running = [submit(client, site, (f"/nope{number}", "/x")) for number in range(3)]
    waiting = submit(client, site, ("/nope", "/x"))
    (site.folders["source"] / "f").write_bytes(b"x")
    assert wait(simulator, submit(other, site, ("/f", "/f")))["status"] == "SUCCEEDED"  # slots are per identity
    assert client.get_task(waiting)["nice_status"] == "Queued"
    client.cancel_task(running[0])
    simulator.control.wait_for(lambda: client.get_task(waiting)["nice_status"] != "Queued", what="a free slot")


def test_tasks_belong_to_their_identity(simulator: Any, site: Any, globus_client: Callable[..., TransferClient]) -> None:
    task_id = submit(globus_client(simulator), site, ("/nope", "/x"))
    other = globus_client(simulator, "22222222-2222-4222-8222-222222222222", "pruner-secret")
    assert list(other.task_list()) == []
    with pytest.raises(globus_sdk.TransferAPIError) as error:
        other.get_task(task_id)
    assert (error.value.http_status, error.value.code) == (404, "TaskNotFound")


def test_task_list_filters(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    (site.folders["source"] / "f").write_bytes(b"x")
    done = submit(transfer_client, site, ("/f", "/f"), label="one")
    wait(simulator, done)
    active = submit(transfer_client, site, ("/nope", "/x"), label="two")

    def ids(**query: Any) -> set[str]:
        return {task["task_id"] for task in transfer_client.task_list(**query)}

    assert ids() == {done, active}
    assert ids(filter={"status": "SUCCEEDED"}) == {done}
    assert ids(filter={"task_id": [done, active], "status": ["ACTIVE", "INACTIVE"]}) == {active}
    assert ids(filter="label:=one") == {done}
    assert ids(filter="label:~t*/type:TRANSFER") == {active}
    assert ids(filter="type:DELETE") == set()
    assert [task["task_id"] for task in transfer_client.task_list(limit=1)] == [active]


# --- deletions ---------------------------------------------------------------------------------------------------------


def delete(client: TransferClient, collection: str, *paths: str, **options: Any) -> str:
    data = DeleteData(collection, **options)
    for path in paths:
        data.add_item(path)
    return str(client.submit_delete(data)["task_id"])


def test_delete_files_links_and_trees(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    root = site.folders["target"]
    (root / "d" / "e").mkdir(parents=True)
    (root / "d" / "e" / "f").write_bytes(b"x")
    (root / "kept").write_bytes(b"kept")
    (root / "link").symlink_to("kept")
    task = wait(simulator, delete(transfer_client, site.target, "/d", "/link", recursive=True))
    assert (task["status"], task["type"], task["files"]) == ("SUCCEEDED", "DELETE", 2)
    assert [path.name for path in root.iterdir()] == ["kept"]


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("/nope", {}, "FAILED"),
        ("/nope", {"ignore_missing": True}, "SUCCEEDED"),
        ("/d", {}, "FAILED"),
        ("/", {"recursive": True}, "FAILED"),
    ],
)
def test_delete_rules(simulator: Any, site: Any, transfer_client: TransferClient, path: str, options: dict[str, bool], status: str) -> None:
    (site.folders["target"] / "d").mkdir()
    assert wait(simulator, delete(transfer_client, site.target, path, **options))["status"] == status
    assert (site.folders["target"] / "d").is_dir()


def test_delete_needs_the_right_to_write(simulator: Any, site: Any, globus_client: Callable[..., TransferClient]) -> None:
    (site.folders["readonly"] / "raw").write_bytes(b"only copy")
    client = globus_client(simulator)
    task_id = delete(client, site.readonly, "/raw")
    simulator.control.wait_for(lambda: client.get_task(task_id)["nice_status"] == "PERMISSION_DENIED", what="the error")
    assert (site.folders["readonly"] / "raw").exists()
    pruner = globus_client(simulator, "22222222-2222-4222-8222-222222222222", "pruner-secret")
    assert wait(simulator, delete(pruner, site.readonly, "/raw"))["status"] == "SUCCEEDED"
    assert not (site.folders["readonly"] / "raw").exists()


def test_a_partial_file_is_visible_under_its_final_name(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    (site.folders["source"] / "big").write_bytes(os.urandom(400_000))
    simulator.control.add_fault(where="transfer", action="slow", bytes_per_s=200_000)
    task_id = submit(transfer_client, site, ("/big", "/big"))
    target = site.folders["target"] / "big"
    simulator.control.wait_for(lambda: target.exists() and 0 < target.stat().st_size < 400_000, what="a partial file")
    task = wait(simulator, task_id)
    assert (task["bytes_transferred"], target.stat().st_size) == (400_000, 400_000)
