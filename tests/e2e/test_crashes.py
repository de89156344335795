"""Dying processes: whatever is killed, the next run adopts the same task and the same job, and Terminate alone cancels.

Here: SIGKILL, a power cut, SIGTERM and Terminate on real runs. Not here: failing services (``test_faults``).
"""

from __future__ import annotations

import signal

from als_assets.ledger import OperationKind
from tests.e2e.world import World

STEPS = {"preview": False, "raw_on_nersc": False, "scicat_record": False, "reconstruction": True, "bring_back": False}
COPY, JOB = OperationKind.TRANSFER, OperationKind.JOB


def both_in_flight(world: World, name: str) -> dict[OperationKind, str]:
    """Two scans, one whose first copy stalls and one whose job is held: the run ids, once both are in flight."""
    world.set_steps(**STEPS)
    world.control.add_fault({"where": "transfer", "action": "stall", "label": f"{name}_transfer *"})
    world.control.add_fault({"where": "job", "action": "hold", "name": f"als-rec-{name}_job-*"})
    runs = {}
    for kind in (COPY, JOB):
        world.drop_scan(f"{name}_{kind}", seed=21)
    for kind in (COPY, JOB):
        key = world.dataset(f"{name}_{kind}").key
        world.wait(f"a {kind} of {key} in flight", lambda key=key, kind=kind: world.open_operation(key, kind), limit_s=120)
        runs[kind] = world.wait_run(key, "STARTED").run_id
    return runs


def remote_count(world: World, name: str, kind: OperationKind) -> int:
    """How many tasks for the first copy, or jobs for the reconstruction, the remote side has ever seen."""
    if kind is JOB:
        return sum(1 for j in world.control.jobs() if str(j["name"]).startswith(f"als-rec-{name}_job-"))
    return sum(1 for t in world.control.tasks() if str(t["label"]).startswith(f"{name}_transfer raw to data832"))


def let_go_and_expect_success(world: World, name: str, runs: int) -> None:
    world.control.clear_faults()
    for kind in (COPY, JOB):
        run = world.wait_run(f"{name}_{kind}", "SUCCESS", "FAILURE", count=runs, limit_s=180)
        assert run.status.value == "SUCCESS", (kind, world.reason("recon_tiff", f"{name}_{kind}"))
        assert remote_count(world, name, kind) == 1, f"exactly one {kind}"


def send_all(world: World, name: str, number: int, runs: dict[OperationKind, str], attempt: int) -> dict[OperationKind, str]:
    """Signal the workers of the runs; their retries, once those are at work."""
    for run in runs.values():
        world.send(world.worker_of(run), number)
    retries = {kind: world.wait_run(f"{name}_{kind}", "STARTED", count=attempt, limit_s=150).run_id for kind in runs}
    for run in retries.values():
        world.worker_of(run)
    return retries


def test_killed_and_stopped_runs_are_retried_and_adopt(world: World) -> None:
    """kill -9, then SIGTERM for the retries: neither touches the remote work, and the third run of each carries it to its end."""
    retries = send_all(world, "killed", signal.SIGKILL, both_in_flight(world, "killed"), attempt=2)
    send_all(world, "killed", signal.SIGTERM, retries, attempt=3)
    task = next(t for t in world.control.tasks() if str(t["label"]).startswith("killed_transfer"))
    assert task["status"] == "ACTIVE"
    let_go_and_expect_success(world, "killed", runs=3)


def test_power_cut_loses_nothing(world: World) -> None:
    both_in_flight(world, "power")
    world.processes.kill_dagster()
    assert world.processes.dagster_processes() == []
    world.processes.start_dagster()
    for kind in (COPY, JOB):
        world.wait("the dead runs to be noticed", lambda kind=kind: len(world.runs(f"power_{kind}")) >= 2, limit_s=150)
    let_go_and_expect_success(world, "power", runs=2)


def test_terminate_cancels_the_remote_work(world: World) -> None:
    runs = both_in_flight(world, "ended")
    for kind, run in runs.items():
        world.terminate(run)
        world.wait_run(f"ended_{kind}", "CANCELED")
    task = next(t for t in world.control.tasks() if str(t["label"]).startswith("ended_transfer"))
    assert task["status"] == "FAILED"
    assert "CANCELED" in str(task["fatal_error"]).upper()
    job = next(j for j in world.control.jobs() if str(j["name"]).startswith("als-rec-ended_job"))
    assert str(job["state"]).startswith("CANCELLED")
    for kind in (COPY, JOB):
        assert world.ledger.operations.of(f"ended_{kind}")[0].state == "cancelled"
        assert len(world.runs(f"ended_{kind}")) == 1, "a terminated run is not retried"
