"""Faults of transfers, deletions and HTTP, one test per fault, seen through the unmodified globus-sdk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import globus_sdk
import pytest
from globus_sdk import DeleteData, TransferClient, TransferData


@pytest.fixture
def fast_retries(transfer_client: TransferClient) -> Iterator[None]:
    with transfer_client.retry_config.tune(max_sleep=0.05):
        yield


def submit(client: TransferClient, site: Any, path: str = "/f", **options: Any) -> str:
    data = TransferData(site.source, site.target, **options)
    data.add_item(path, path)
    return str(client.submit_transfer(data)["task_id"])


def wait(simulator: Any, task_id: str) -> dict[str, Any]:
    def ended() -> Any:
        return next((task for task in simulator.control.tasks() if task["task_id"] == task_id and task["completion_time"]), None)

    found: dict[str, Any] = simulator.control.wait_for(ended, what=f"the end of task {task_id}")
    return found


def errors(client: TransferClient, task_id: str) -> list[str]:
    return [event["code"] for event in client.task_event_list(task_id) if event["is_error"]]


@pytest.fixture
def content(site: Any) -> bytes:
    made = os.urandom(100_000)
    (site.folders["source"] / "f").write_bytes(made)
    return made


# --- transfers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["flip", "truncate"])
def test_damage_in_flight_is_repaired_with_verify(
    simulator: Any, site: Any, transfer_client: TransferClient, content: bytes, action: str
) -> None:
    simulator.control.add_fault(where="transfer", action=action, times=2)
    task_id = submit(transfer_client, site, verify_checksum=True)
    task = wait(simulator, task_id)
    assert (task["status"], task["faults"]) == ("SUCCEEDED", 2)
    assert errors(transfer_client, task_id) == ["VERIFY_CHECKSUM", "VERIFY_CHECKSUM"]
    assert (site.folders["target"] / "f").read_bytes() == content


def test_one_flipped_bit_is_silent_without_verify(simulator: Any, site: Any, transfer_client: TransferClient, content: bytes) -> None:
    simulator.control.add_fault(where="transfer", action="flip")
    task = wait(simulator, submit(transfer_client, site, verify_checksum=False))
    arrived = (site.folders["target"] / "f").read_bytes()
    assert (task["status"], task["faults"]) == ("SUCCEEDED", 0)
    changed = [bin(here ^ there).count("1") for here, there in zip(content, arrived, strict=True)]
    assert sum(changed) == 1


def test_fail_is_fatal(simulator: Any, site: Any, transfer_client: TransferClient, content: bytes) -> None:
    simulator.control.add_fault(where="transfer", action="fail", code="ENDPOINT_ERROR", message="the disk is gone")
    task = wait(simulator, submit(transfer_client, site))
    assert (task["status"], task["fatal_error"]) == ("FAILED", {"code": "ENDPOINT_ERROR", "description": "the disk is gone"})
    assert not (site.folders["target"] / "f").exists()


def test_error_is_retried(simulator: Any, site: Any, transfer_client: TransferClient, content: bytes) -> None:
    simulator.control.add_fault(where="transfer", action="error", code="CONNECT_FAILED", times=3)
    task_id = submit(transfer_client, site)
    task = wait(simulator, task_id)
    assert (task["status"], task["faults"], errors(transfer_client, task_id)) == ("SUCCEEDED", 3, ["CONNECT_FAILED"] * 3)


def test_fail_at_percent_leaves_nearly_everything(simulator: Any, site: Any, transfer_client: TransferClient, content: bytes) -> None:
    simulator.control.add_fault(where="transfer", action="fail_at_percent", percent=99)
    task = wait(simulator, submit(transfer_client, site))
    assert task["status"] == "FAILED"
    assert (site.folders["target"] / "f").read_bytes() == content[:99_000]


def test_fail_at_hundred_percent_has_all_bytes_but_failed(
    simulator: Any, site: Any, transfer_client: TransferClient, content: bytes
) -> None:
    simulator.control.add_fault(where="transfer", action="fail_at_percent", percent=100)
    task = wait(simulator, submit(transfer_client, site))
    assert (task["status"], (site.folders["target"] / "f").read_bytes()) == ("FAILED", content)


@pytest.mark.parametrize(("fail_on_quota", "status"), [(True, "FAILED"), (False, "SUCCEEDED")])
def test_quota(simulator: Any, site: Any, transfer_client: TransferClient, content: bytes, fail_on_quota: bool, status: str) -> None:
    simulator.control.add_fault(where="transfer", action="quota")
    task_id = submit(transfer_client, site, fail_on_quota_errors=fail_on_quota)
    assert wait(simulator, task_id)["status"] == status
    assert "QUOTA_EXCEEDED" in [event["code"] for event in transfer_client.task_event_list(task_id)]


def test_inactive_waits_for_a_person(simulator: Any, site: Any, transfer_client: TransferClient, content: bytes) -> None:
    simulator.control.add_fault(where="transfer", action="inactive")
    task_id = submit(transfer_client, site)
    simulator.control.wait_for(lambda: transfer_client.get_task(task_id)["status"] == "INACTIVE", what="INACTIVE")
    assert transfer_client.get_task(task_id)["nice_status"] == "CREDENTIALS_EXPIRED"
    assert transfer_client.task_wait(task_id, timeout=1, polling_interval=1) is True  # the SDK's trap, as at the real service
    simulator.control.clear_faults()
    assert transfer_client.get_task(task_id)["status"] == "INACTIVE"
    simulator.control.resume(task_id)
    assert wait(simulator, task_id)["status"] == "SUCCEEDED"


def test_pause_shows_its_message(simulator: Any, site: Any, transfer_client: TransferClient, content: bytes) -> None:
    simulator.control.add_fault(where="transfer", action="pause")
    task_id = submit(transfer_client, site)
    simulator.control.wait_for(lambda: transfer_client.get_task(task_id)["is_paused"], what="the pause")
    assert transfer_client.task_pause_info(task_id)["source_pause_message"]
    simulator.control.clear_faults()
    task = wait(simulator, task_id)
    assert (task["status"], task["is_paused"]) == ("SUCCEEDED", False)


def test_stall_makes_no_progress_until_cleared(simulator: Any, site: Any, transfer_client: TransferClient, content: bytes) -> None:
    rule = simulator.control.add_fault(where="transfer", action="stall", source_path="/f")
    task_id = submit(transfer_client, site)
    (held,) = simulator.control.wait_for(lambda: [task for task in simulator.control.tasks() if task["held_by"]], what="the stall")
    assert (held["status"], held["bytes_transferred"], held["held_by"]) == ("ACTIVE", 0, rule)
    simulator.control.clear_fault(rule)
    assert wait(simulator, task_id)["status"] == "SUCCEEDED"


def test_a_held_task_can_be_cancelled(simulator: Any, site: Any, transfer_client: TransferClient, content: bytes) -> None:
    simulator.control.add_fault(where="transfer", action="inactive")
    task_id = submit(transfer_client, site)
    simulator.control.wait_for(lambda: transfer_client.get_task(task_id)["status"] == "INACTIVE", what="INACTIVE")
    transfer_client.cancel_task(task_id)
    assert transfer_client.get_task(task_id)["fatal_error"]["code"] == "CANCELED"


def test_rules_strike_only_what_they_name(simulator: Any, site: Any, transfer_client: TransferClient, content: bytes) -> None:
    simulator.control.add_fault(where="transfer", action="fail", label="bl733*")
    simulator.control.add_fault(where="transfer", action="fail", source_path="/other/*")
    simulator.control.add_fault(where="transfer", action="fail", collection=site.readonly)
    assert wait(simulator, submit(transfer_client, site, label="bl832 scan"))["status"] == "SUCCEEDED"
    assert [rule["left"] for rule in simulator.control.faults()] == [1, 1, 1]
    assert wait(simulator, submit(transfer_client, site, label="bl733 scan"))["status"] == "FAILED"
    assert [rule["left"] for rule in simulator.control.faults()] == [0, 1, 1]


@pytest.mark.parametrize(("action", "status"), [("fail", "FAILED"), ("error", "SUCCEEDED")])
def test_delete_faults(simulator: Any, site: Any, transfer_client: TransferClient, action: str, status: str) -> None:
    (site.folders["target"] / "f").write_bytes(b"x")
    simulator.control.add_fault(where="delete", action=action, code="PERMISSION_DENIED")
    data = DeleteData(site.target)
    data.add_item("/f")
    task = wait(simulator, transfer_client.submit_delete(data)["task_id"])
    assert task["status"] == status
    assert (site.folders["target"] / "f").exists() is (status == "FAILED")


# --- HTTP --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, "drop"])
@pytest.mark.usefixtures("fast_retries")
def test_an_answer_lost_after_acceptance_makes_one_task(
    simulator: Any, site: Any, transfer_client: TransferClient, content: bytes, status: int | str
) -> None:
    simulator.control.add_fault(where="http", method="POST", path="/v0.10/transfer", status=status, after=True)
    data = TransferData(site.source, site.target)
    data.add_item("/f", "/f")
    assert transfer_client.submit_transfer(data)["code"] == "Duplicate"
    assert len(simulator.control.tasks()) == 1
    assert len(simulator.control.requests("POST", "/v0.10/transfer")) == 2


@pytest.mark.usefixtures("fast_retries")
def test_a_request_lost_before_acceptance_makes_one_task(
    simulator: Any, site: Any, transfer_client: TransferClient, content: bytes
) -> None:
    simulator.control.add_fault(where="http", method="POST", path="/v0.10/transfer", status="drop")
    data = TransferData(site.source, site.target)
    data.add_item("/f", "/f")
    assert transfer_client.submit_transfer(data)["code"] == "Accepted"
    assert len(simulator.control.tasks()) == 1


@pytest.mark.usefixtures("fast_retries")
def test_too_many_requests_are_retried(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    simulator.control.add_fault(where="http", path="*/ls", status=429, code="TooManyRequests", headers={"Retry-After": "0"}, times=2)
    transfer_client.operation_ls(site.source)
    assert len(simulator.control.requests("GET", "*/ls")) == 3


def test_external_errors_are_not_retried_by_the_sdk(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    code = "ExternalError.DirListingFailed.GCDisconnected"
    simulator.control.add_fault(where="http", path="*/ls", status=502, code=code)
    with pytest.raises(globus_sdk.TransferAPIError) as error:
        transfer_client.operation_ls(site.source)
    assert (error.value.http_status, error.value.code) == (502, code)
    assert len(simulator.control.requests("GET", "*/ls")) == 1


def test_a_refused_token(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    simulator.control.add_fault(where="http", path="/v2/oauth2/token", status=401, code="invalid_client")
    with pytest.raises(globus_sdk.AuthAPIError, match="invalid_client"):
        transfer_client.operation_ls(site.source)
    transfer_client.operation_ls(site.source)


def test_a_slow_answer_still_comes(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    rule = simulator.control.add_fault(where="http", path="*/stat", delay_s=0.2)
    assert transfer_client.operation_stat(site.source, "/")["type"] == "dir"
    assert [found["left"] for found in simulator.control.faults() if found["id"] == rule] == [0]


def test_the_log_shows_requests_without_secrets(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    transfer_client.operation_mkdir(site.target, "/x")
    (request,) = simulator.control.requests("POST", "*/mkdir")
    assert request["client"] == "11111111-1111-4111-8111-111111111111"
    assert request["body"] == {"DATA_TYPE": "mkdir", "path": "/x"}
    assert "mover-secret" not in str(simulator.control.requests())
