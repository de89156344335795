"""Who pressed the button: the name that the login proxy sends becomes a tag of the run, and signs what the run does on record.

Here: Dagster's own queue with our addition, configured by the repository's ``dagster.yaml``. Not here: the proxy.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.run_coordinator import SubmitRunContext
from dagster._core.workspace.context import WorkspaceRequestContext
from dagster._core.workspace.workspace import CurrentWorkspace
from starlette.requests import Request

from als_assets.defs.attribution import WHO, AttributedRuns, who_launched


@dg.job
def something() -> None: ...


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    shutil.copyfile("dagster.yaml", tmp_path / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        yield instance


def submitted(instance: dg.DagsterInstance, headers: dict[str, str], **tags: str) -> dg.DagsterRun:
    """A run that came to the queue with a request."""
    repository = RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin("127.0.0.1", port=1), "r")  # nobody launches it here
    run = instance.create_run_for_job(something, tags=tags, remote_job_origin=repository.get_job_origin("something"))
    request = Request({"type": "http", "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()]})
    process: Any = SimpleNamespace(instance=instance)
    workspace = WorkspaceRequestContext(instance, CurrentWorkspace({}), process, None, request, False)
    assert isinstance(instance.run_coordinator, AttributedRuns)
    return instance.run_coordinator.submit_run(SubmitRunContext(run, workspace))


def test_the_person_is_kept_with_the_run(instance: dg.DagsterInstance) -> None:
    run = submitted(instance, {"X-Forwarded-User": "ada"})
    assert run.status is dg.DagsterRunStatus.QUEUED and run.tags[WHO] == "ada"
    assert who_launched(run) == f"ada (run {run.run_id})"


def test_what_a_proxy_says_is_stronger_than_a_tag(instance: dg.DagsterInstance) -> None:
    """Of an earlier run that is executed again, or that somebody typed in."""
    run = submitted(instance, {"X-Forwarded-User": "grace"}, **{WHO: "ada"})
    assert run.tags[WHO] == "grace"


def test_without_a_person_the_platform_signs(instance: dg.DagsterInstance) -> None:
    run = submitted(instance, {"X-Something": "ada"})
    assert run.status is dg.DagsterRunStatus.QUEUED and who_launched(run) is None


def test_the_queue_keeps_its_limits(instance: dg.DagsterInstance) -> None:
    limits = instance.get_concurrency_config()
    assert limits.run_queue_config is not None and limits.run_queue_config.max_concurrent_runs == 25
    assert limits.pool_config.default_pool_limit == 3
