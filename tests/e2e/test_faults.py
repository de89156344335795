"""Every failure is red, says why in plain words, and is completed by "re-execute from failure".

Here: faults of the services, as the simulated facility injects them. Not here: dying processes (``test_crashes``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import yaml

from tests.e2e.world import World

# Steps that each group of scans goes through: what a fault is not about is left out.
RECORDED = {"preview": False, "raw_on_nersc": False, "scicat_record": True, "reconstruction": False, "bring_back": False}
COMPUTED = {"preview": False, "raw_on_nersc": False, "scicat_record": False, "reconstruction": True, "bring_back": False}


@dataclass(frozen=True)
class Fault:
    """A fault, the asset that it makes red, and words that staff must find there. KEY stands for the scan's key."""

    name: str
    rule: dict[str, Any]
    asset: str
    words: list[str]

    @property
    def key(self) -> str:
        return f"fault_{self.name}"

    def rule_for_its_scan(self) -> dict[str, Any]:
        return {k: v.replace("KEY", self.key) if isinstance(v, str) else v for k, v in self.rule.items()}


def transfer(action: str, times: int = 1) -> dict[str, Any]:
    return {"where": "transfer", "action": action, "label": "KEY *", "times": times}


def job(**rule: Any) -> dict[str, Any]:
    return {"where": "job", "name": "als-rec-KEY-*", "times": 1, **rule}


SCICAT_DOWN = {"where": "http", "method": "POST", "path": "/api/v3/datasets", "status": 500, "times": 100}
FAULTS = [
    Fault("task_fails", transfer("fail"), "raw_on_data832", ["failed", "data832_raw"]),
    Fault("task_inactive", transfer("inactive"), "raw_on_data832", ["waits for a person"]),
    Fault("bits_flip", transfer("flip", 1000), "raw_on_data832", ["damaged", "checksums differ"]),
    Fault("job_exits_3", job(action="exit", exit_code=3), "recon_tiff", ["exit code 3"]),
    Fault("node_fails", job(action="node_fail"), "recon_tiff", ["node failed"]),
    Fault("scicat_500", SCICAT_DOWN, "scicat_record", ["SciCat", "500"]),
]


def drop_scans(world: World, faults: list[Fault], steps: dict[str, bool]) -> None:
    """A scan for each fault, until the dispatcher has launched its run with these steps."""
    world.set_steps(**steps)
    settings = yaml.safe_load(world.box.settings_file.read_text())
    world.write_settings({**settings, "reconstruction": {"sites": ["nersc"]}})  # else a site's own fault is mended elsewhere, by itself
    for fault in faults:
        world.control.add_fault(fault.rule_for_its_scan())
        world.drop_scan(fault.key, seed=11)
    for fault in faults:
        world.wait(f"a run of {fault.key}", lambda key=fault.key: world.runs(key), limit_s=120)


@pytest.fixture(scope="module")
def failed_runs(shared_world: World) -> dict[str, str]:
    """One scan for each fault, until each run has failed and was re-executed: key -> the run that failed. The fault of SciCat is about
    no scan in particular; the others of its group never come so far as to ask SciCat."""
    world = shared_world
    drop_scans(world, [fault for fault in FAULTS if fault.asset != "recon_tiff"], RECORDED)
    drop_scans(world, [fault for fault in FAULTS if fault.asset == "recon_tiff"], COMPUTED)
    runs = {fault.key: world.wait_run(fault.key, "FAILURE", "SUCCESS", limit_s=240) for fault in FAULTS}
    world.control.clear_faults()
    for task in world.control.tasks():
        if task["status"] == "INACTIVE":
            world.control.resume(task["task_id"])
    assert {key: run.status.value for key, run in runs.items()} == dict.fromkeys(runs, "FAILURE")
    for run in runs.values():
        world.reexecute_from_failure(run.run_id)
    return {key: run.run_id for key, run in runs.items()}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_fault_is_red_explained_and_mended_by_re_execution(shared_world: World, failed_runs: dict[str, str], fault: Fault) -> None:
    world, key = shared_world, fault.key
    observation = next(seen for run, seen in world.observations(fault.asset, key) if run == failed_runs[key])
    reason = str(observation.description)
    assert all(word in reason for word in fault.words), reason
    assert "re-execute" in reason.lower(), "the observation says what to do"
    assert {"what happened", "next step", "scan page", "help page"} <= set(observation.metadata)
    again = world.wait_run(key, "FAILURE", "SUCCESS", count=2, limit_s=180)
    assert again.status.value == "SUCCESS", world.reason(fault.asset, key)
    assert set(world.materialised_by(fault.asset, key)) == {again.run_id}, "it was red until the re-execution"


def test_suspended_task_itself_went_on(shared_world: World, failed_runs: dict[str, str]) -> None:
    shared_world.wait_run("fault_task_inactive", "SUCCESS", count=2, limit_s=180)
    mine = [t for t in shared_world.control.tasks() if "fault_task_inactive" in str(t["document"]) and "raw to data832" in str(t["label"])]
    assert len(mine) == 1


def test_failed_job_keeps_its_report(shared_world: World, failed_runs: dict[str, str]) -> None:
    operations = shared_world.ledger.operations.of("fault_job_exits_3")
    report = next(o for o in operations if o.kind == "job" and o.state == "failed").outcome["report"]
    assert report["reason"] == "exit_code"
    assert report["exit_code"] == "3:0"
    assert report["stdout_tail"], "the last lines of its log are kept"


def test_board_tells_the_failure_and_the_next_step(shared_world: World, failed_runs: dict[str, str]) -> None:
    page = httpx.get(f"http://127.0.0.1:{shared_world.box.ports.board}/scan/fault_node_fails").text
    assert "node failed" in page
