"""Dying processes: whatever is killed, the next run adopts the same task and the same job, and Terminate alone cancels.

Here: SIGKILL, a power cut, SIGTERM and Terminate on real runs. Not here: failing services (``test_faults``).
"""

from __future__ import annotations

import signal
from typing import Any

import pytest

from als_assets.ledger import OperationKind
from tests.e2e.world import World

COPY_ONLY = {"preview": False, "raw_on_nersc": False, "scicat_record": False, "reconstruction": False, "bring_back": False}
RECON = {**COPY_ONLY, "reconstruction": True}
STALL = {"where": "transfer", "action": "stall", "times": 1}
HOLD = {"where": "job", "action": "hold", "times": 1}


def in_flight(world: World, name: str, kind: OperationKind) -> tuple[str, dict[str, Any]]:
    """Drop a scan and wait until its run has a remote operation in flight; its key and run."""
    world.set_steps(**(RECON if kind is OperationKind.JOB else COPY_ONLY))
    world.control.add_fault(HOLD if kind is OperationKind.JOB else STALL)
    world.drop_scan(name, seed=21)
    key = world.dataset(name).key
    world.wait(f"a {kind} of {name} in flight", lambda: world.open_operation(key, kind))
    return key, world.wait_run(key, "STARTED")


def remote_count(world: World, name: str, kind: OperationKind) -> int:
    if kind is OperationKind.JOB:
        return sum(1 for j in world.control.jobs() if name in str(j["script"]) and "reconstruct" in str(j["script"]))
    return sum(1 for t in world.control.tasks() if name in str(t["document"]))


@pytest.mark.parametrize("kind", [OperationKind.TRANSFER, OperationKind.JOB], ids=str)
def test_killed_run_is_retried_and_adopts(world: World, kind: OperationKind) -> None:
    name = f"killed_{kind}"
    key, run = in_flight(world, name, kind)
    world.send(world.worker_of(run["runId"]), signal.SIGKILL)
    world.wait_run(key, "STARTED", count=2)
    world.control.clear_faults()
    assert world.wait_run(key, "SUCCESS", "FAILURE", count=2, limit_s=120)["status"] == "SUCCESS"
    assert remote_count(world, name, kind) == 1


@pytest.mark.parametrize("kind", [OperationKind.TRANSFER, OperationKind.JOB], ids=str)
def test_power_cut_loses_nothing(world: World, kind: OperationKind) -> None:
    name = f"power_{kind}"
    key, run = in_flight(world, name, kind)
    world.processes.kill_dagster()
    assert world.processes.dagster_processes() == []
    world.processes.start_dagster()
    world.wait(f"the dead run {run['runId']} to be noticed", lambda: len(world.runs(key)) >= 2, limit_s=120)
    world.control.clear_faults()
    assert world.wait_run(key, "SUCCESS", "FAILURE", count=2, limit_s=120)["status"] == "SUCCESS"
    assert remote_count(world, name, kind) == 1


def test_terminate_cancels_the_remote_task(world: World) -> None:
    key, run = in_flight(world, "terminated", OperationKind.TRANSFER)
    world.terminate(run["runId"])
    world.wait_run(key, "CANCELED")
    task = next(t for t in world.control.tasks() if "terminated" in str(t["document"]))
    assert task["status"] == "FAILED"
    assert "CANCELED" in str(task["fatal_error"]).upper()
    assert world.ledger.operations.of(key)[0].state == "cancelled"
    assert len(world.runs(key)) == 1, "a terminated run is not retried"


def test_terminate_cancels_the_remote_job(world: World) -> None:
    key, run = in_flight(world, "terminated_job", OperationKind.JOB)
    world.terminate(run["runId"])
    world.wait_run(key, "CANCELED")
    job = next(j for j in world.control.jobs() if "terminated_job" in str(j["script"]))
    assert str(job["state"]).startswith("CANCELLED")


def test_sigterm_leaves_the_remote_task_alone(world: World) -> None:
    key, run = in_flight(world, "sigterm", OperationKind.TRANSFER)
    world.send(world.worker_of(run["runId"]), signal.SIGTERM)
    world.wait_run(key, "STARTED", count=2)
    task = next(t for t in world.control.tasks() if "sigterm" in str(t["document"]))
    assert task["status"] == "ACTIVE"
    world.control.clear_faults()
    assert world.wait_run(key, "SUCCESS", "FAILURE", count=2, limit_s=120)["status"] == "SUCCESS"
    assert remote_count(world, "sigterm", OperationKind.TRANSFER) == 1
