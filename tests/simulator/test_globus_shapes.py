"""Fidelity of Globus' answers: the SDK's own recorded fixtures, and the official command line client."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from globus_sdk import ConfidentialAppAuthClient, DeleteData, TransferClient, TransferData
from globus_sdk.testing import get_response_set

MOVER = "11111111-1111-4111-8111-111111111111"


def answers(simulator: Any, site: Any, client: TransferClient) -> dict[str, Any]:
    """One answer of ours per recorded fixture."""
    with ConfidentialAppAuthClient(MOVER, "mover-secret", base_url=simulator.url) as auth:
        token = auth.oauth2_client_credentials_tokens("urn:globus:auth:scope:transfer.api.globus.org:all")
    (site.folders["source"] / "f").write_bytes(b"x")
    found: dict[str, Any] = {"auth.oauth2_client_credentials_tokens": token.data}
    found["transfer.operation_stat"] = client.operation_stat(site.source, "/f").data
    found["transfer.operation_mkdir"] = client.operation_mkdir(site.target, "/d").data
    found["transfer.operation_rename"] = client.operation_rename(site.target, oldpath="/d", newpath="/e").data
    found["transfer.get_endpoint"] = client.get_endpoint(site.source).data
    found["transfer.get_submission_id"] = client.get_submission_id().data
    data = TransferData(site.source, site.target)
    data.add_item("/f", "/f")
    found["transfer.submit_transfer"] = client.submit_transfer(data).data
    removal = DeleteData(site.target, ignore_missing=True)
    removal.add_item("/nope")
    found["transfer.submit_delete"] = client.submit_delete(removal).data
    found["transfer.cancel_task"] = client.cancel_task(found["transfer.submit_transfer"]["task_id"]).data
    found["transfer.task_list"] = client.task_list().data
    return found


def test_answers_have_all_keys_of_the_recorded_ones(simulator: Any, site: Any, transfer_client: TransferClient) -> None:
    missing = {}
    for name, ours in answers(simulator, site, transfer_client).items():
        recorded = get_response_set(name).lookup("default").json
        assert recorded is not None
        lacking = set(recorded) - set(ours)
        if name == "transfer.task_list":
            lacking |= {f"DATA.{key}" for key in set(recorded["DATA"][0]) - set(ours["DATA"][0])}
        missing[name] = sorted(lacking)
    assert {name: keys for name, keys in missing.items() if keys} == {}


# --- the command line client ---------------------------------------------------------------------------------------------


@pytest.fixture
def globus(simulator: Any, tmp_path: Path) -> Callable[..., str]:
    """Runs ``globus ARGUMENTS``; its standard output. Fails when it does not end with 0."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "GLOBUS_SDK_SERVICE_URL_AUTH": f"{simulator.url}/",
        "GLOBUS_SDK_SERVICE_URL_TRANSFER": f"{simulator.url}/",
        "GLOBUS_CLI_CLIENT_ID": MOVER,
        "GLOBUS_CLI_CLIENT_SECRET": "mover-secret",
    }

    def run(*arguments: str) -> str:
        command = [str(Path(sys.executable).parent / "globus"), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    return run


def test_the_official_command_line_client(simulator: Any, site: Any, globus: Callable[..., str]) -> None:
    (site.folders["source"] / "d").mkdir()
    for number in range(3):
        (site.folders["source"] / "d" / f"f{number}.h5").write_bytes(os.urandom(1000))
    task_id = ("--jmespath", "task_id", "-F", "unix")

    assert globus("ls", f"{site.source}:/d").split() == ["f0.h5", "f1.h5", "f2.h5"]
    assert "1000" in globus("stat", f"{site.source}:/d/f0.h5")
    globus("mkdir", f"{site.target}:/x")
    copied = globus("transfer", "--recursive", "--sync-level", "checksum", f"{site.source}:/d", f"{site.target}:/x/d", *task_id)
    globus("task", "wait", copied, "--timeout", "20", "--polling-interval", "1")
    assert "SUCCEEDED" in globus("task", "show", copied)
    assert "f1.h5" in globus("task", "show", "--successful-transfers", copied)
    assert "STARTED" in globus("task", "event-list", copied)
    assert copied in globus("task", "list")
    globus("rename", site.target, "/x/d/f0.h5", "/x/d/g0.h5")
    assert (site.folders["target"] / "x" / "d" / "g0.h5").stat().st_size == 1000
    removed = globus("delete", "--recursive", f"{site.target}:/x/d", *task_id)
    globus("task", "wait", removed, "--timeout", "20", "--polling-interval", "1")
    assert list((site.folders["target"] / "x").iterdir()) == []
