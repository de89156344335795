"""Stories of the demo: what goes wrong on purpose, what a person does about it if anything, and how it must have ended.

Here: one class for each fault of ``als demo --fault``; the same words are in ``docs/operators/demo-faults.md``. Not here: starting
processes and following scans (``run``). A story is told only when its ending was seen in the record, at the simulated site and in Dagster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
import httpx

from als_assets.compute.outcomes import Reason
from als_assets.demo.follow import ASSETS
from als_assets.ledger import Ledger, Operation, OperationKind, OperationState, ReplicaState
from als_assets.platform import Platform
from als_assets.simulator.control import Control

NERSC_JOBS = "/api/v1.2/compute/jobs/perlmutter"


@dataclass
class World:
    """All that a story may look at and act on."""

    control: Control
    platform: Platform
    instance: dg.DagsterInstance
    dagster_url: str
    tell: Callable[[str], None]

    @property
    def ledger(self) -> Ledger:
        return self.platform.ledger

    def job_operations(self, key: str) -> list[Operation]:
        """The reconstructions of a scan, the oldest first."""
        found = (o for o in self.ledger.operations.of(key) if o.kind is OperationKind.JOB)
        return sorted((o for o in found if o.request.get("steps") == ["reconstruct"]), key=lambda o: o.id)

    def site_jobs(self, key: str) -> list[dict[str, Any]]:
        """What the simulated NERSC really started for the reconstruction of a scan."""
        return [job for job in self.control.jobs() if job["name"].startswith(f"als-rec-{key[:40]}")]

    def newest_run(self, key: str) -> dg.DagsterRun:
        return self.instance.get_runs(dg.RunsFilter(tags={"dagster/partition": key}), limit=1)[0]


class Story:
    """``settings`` are merged into those of the beamline. ``arm`` prepares the fault; ``recover`` acts when all runs are over and tells
    whether more is to be waited for; ``verdict`` lists what is not as documented."""

    title = ""
    ending = ""
    settings: Mapping[str, Any] = {}

    def arm(self, world: World) -> None:
        raise NotImplementedError

    def recover(self, world: World, key: str) -> bool:
        return False

    def verdict(self, world: World, key: str) -> list[str]:
        missing = [a for a in ASSETS if key not in world.instance.event_log_storage.get_materialized_partitions(dg.AssetKey(a))]
        return [f"{', '.join(missing)} is missing"] if missing else []


class NodeFail(Story):
    title = "The node that reconstructs the scan at NERSC breaks down."
    ending = "The failure is the site's, so the scan is reconstructed once more at the next site, by itself; nobody had to do anything."

    def arm(self, world: World) -> None:
        world.control.add_fault(where="job", name="als-rec-*", action="node_fail", delay_s=0.3)

    def verdict(self, world: World, key: str) -> list[str]:
        jobs = world.job_operations(key)
        wrong = super().verdict(world, key)
        seen = [(o.request["site"], (o.outcome.get("report") or {}).get("reason")) for o in jobs]
        if seen != [("nersc", Reason.NODE_FAIL), ("als", Reason.NONE)]:
            wrong.append(f"the jobs went {seen} instead of failing at nersc and succeeding at als")
        if not world.ledger.replicas.of(key, product="recon_tiff", location="data832_scratch", state=ReplicaState.VERIFIED):
            wrong.append("no verified volume lies at the ALS")
        return wrong


class Exit3(Story):
    title = "The reconstruction program at NERSC ends with exit code 3."
    ending = "The asset is red with the job's own words; after 'Re-execute from failure' everything is there, and nothing was done twice."

    def __init__(self) -> None:
        self._pressed = False

    def arm(self, world: World) -> None:
        world.control.add_fault(where="job", name="als-rec-*", action="exit", exit_code=3)

    def recover(self, world: World, key: str) -> bool:
        if self._pressed:
            return False
        self._pressed = True
        run = world.newest_run(key)
        world.tell(f"Run {run.run_id[:8]} has failed. A person presses 'Re-execute from failure'.")
        reexecute(world.dagster_url, run.run_id)
        return True

    def verdict(self, world: World, key: str) -> list[str]:
        wrong = super().verdict(world, key)
        states = [o.state for o in world.job_operations(key)]
        if states != [OperationState.FAILED, OperationState.SUCCEEDED]:
            wrong.append(f"the jobs ended {[str(s) for s in states]}")
        told = [row.why for row in world.ledger.audit.of(key) if row.subject == f"step recon_tiff of {key}"]
        if not any("failed with exit code 3" in why for why in told):
            wrong.append(f"staff read {told} instead of the exit code")
        return wrong


class SubmitLost(Story):
    title = "NERSC takes the job, but its answer is lost on the way."
    ending = "The job is found by its name and followed; exactly one was started."

    def arm(self, world: World) -> None:
        world.control.add_fault(where="http", method="POST", path=NERSC_JOBS, after=True, status="drop")

    def verdict(self, world: World, key: str) -> list[str]:
        jobs = world.site_jobs(key)
        wrong = super().verdict(world, key)
        if len(jobs) != 1:
            wrong.append(f"{len(jobs)} reconstructions were started at NERSC")
        return wrong


class SiteDown(Story):
    title = "NERSC is in an unplanned outage when the scan arrives, and no other site is in the settings."
    ending = "Copies, preview and record are made at once; the reconstruction is held with its reason, and starts when NERSC is back."
    settings: Mapping[str, Any] = {"reconstruction": {"sites": ["nersc"]}}

    def arm(self, world: World) -> None:
        world.control.set_system("perlmutter", "unavailable", "Power outage")
        world.platform.sites.ask("nersc")  # what the sensor site_health does, without waiting for its turn
        self._held = ""

    def recover(self, world: World, key: str) -> bool:
        if self._held:  # until the sensor has launched the second run
            return len(world.instance.get_runs(dg.RunsFilter(tags={"dagster/partition": key}))) < 2
        held = world.ledger.placing.waits(key)
        if held is None:
            return False
        self._held = held.why
        world.tell(f"The reconstruction is held: {held.why}. NERSC comes back.")
        world.control.set_system("perlmutter", "active")
        world.platform.sites.ask("nersc")
        return True

    def verdict(self, world: World, key: str) -> list[str]:
        wrong = super().verdict(world, key)
        if "Power outage" not in self._held:
            wrong.append(f"the reason on record was '{self._held}'")
        runs = world.instance.get_runs(dg.RunsFilter(tags={"dagster/partition": key}))
        if len(runs) != 2 or not all(run.is_success for run in runs):
            wrong.append(f"{len(runs)} run(s) instead of two that succeeded")
        return wrong


STORIES: Mapping[str, type[Story]] = {
    "job_node_fail": NodeFail,
    "job_exit_3": Exit3,
    "submit_lost": SubmitLost,
    "site_down": SiteDown,
}


def reexecute(dagster_url: str, run_id: str) -> None:
    """What the button does. Raises RuntimeError with Dagster's words."""
    query = (
        "mutation ($p: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $p) { __typename"
        " ... on PythonError { message } ... on RunConfigValidationInvalid { errors { message } } } }"
    )
    variables = {"p": {"parentRunId": run_id, "strategy": "FROM_FAILURE"}}
    answer = httpx.post(f"{dagster_url}/graphql", json={"query": query, "variables": variables}, timeout=60).json()
    result = (answer.get("data") or {}).get("launchRunReexecution") or {}
    if result.get("__typename") != "LaunchRunSuccess":
        raise RuntimeError(f"Dagster did not re-execute run {run_id}: {answer}")
