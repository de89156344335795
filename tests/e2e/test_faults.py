"""Every failure is red, says why in plain words, and is completed by "re-execute from failure".

Here: faults of the services, as the simulated facility injects them. Not here: dying processes (``test_crashes``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e.world import World

COPY_ONLY = {"preview": False, "raw_on_nersc": False, "scicat_record": False, "reconstruction": False, "bring_back": False}


@dataclass(frozen=True)
class Fault:
    """A fault, the asset that it makes red, and words that staff must find there."""

    name: str
    rule: dict[str, Any]
    asset: str
    words: list[str]
    steps: dict[str, bool] = field(default_factory=lambda: COPY_ONLY)
    resume: bool = False


RECON = {**COPY_ONLY, "reconstruction": True}
FAULTS = [
    Fault("task_fails", {"where": "transfer", "action": "fail", "times": 1}, "raw_on_data832", ["failed", "data832_raw"]),
    Fault("task_inactive", {"where": "transfer", "action": "inactive", "times": 1}, "raw_on_data832", ["waits for a person"], resume=True),
    Fault("bits_flip", {"where": "transfer", "action": "flip", "times": 3}, "raw_on_data832", ["damaged", "checksums differ"]),
    Fault("job_exits_3", {"where": "job", "action": "exit", "code": 3, "times": 1}, "recon_tiff", ["exit code 3"], RECON),
    Fault("node_fails", {"where": "job", "action": "node_fail", "times": 1}, "recon_tiff", ["node failed"], RECON),
    Fault(
        "scicat_500",
        {"where": "http", "method": "POST", "path": "/api/v3/datasets", "status": 500, "times": 50},
        "scicat_record",
        ["SciCat", "500"],
        {**COPY_ONLY, "scicat_record": True},
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_fault_is_red_explained_and_mended_by_re_execution(world: World, fault: Fault) -> None:
    world.set_steps(**fault.steps)
    world.control.add_fault(fault.rule)
    world.drop_scan(f"fault_{fault.name}", seed=11)
    key = world.dataset(f"fault_{fault.name}").key
    run = world.wait_run(key, "FAILURE", "SUCCESS", limit_s=120)
    assert run["status"] == "FAILURE"
    assert not world.materialised(fault.asset, key)
    reason = world.reason(fault.asset, key)
    assert all(word in reason for word in fault.words), reason
    assert "re-execute" in reason.lower(), "the observation says what to do"
    world.control.clear_faults()
    if fault.resume:
        world.control.resume(next(t["task_id"] for t in world.control.tasks() if t["status"] == "INACTIVE"))
    world.reexecute_from_failure(run["runId"])
    again = world.wait_run(key, "FAILURE", "SUCCESS", count=2, limit_s=120)
    assert again["status"] == "SUCCESS", world.reason(fault.asset, key)
    assert world.materialised(fault.asset, key)
    if fault.resume:
        mine = [t for t in world.control.tasks() if f"fault_{fault.name}" in str(t["document"])]
        assert len(mine) == 1, "the suspended task itself went on"


def test_failed_job_shows_its_last_log_lines(world: World) -> None:
    world.set_steps(**RECON)
    world.control.add_fault({"where": "job", "action": "exit", "code": 3, "times": 1})
    world.drop_scan("fault_log_lines", seed=12)
    key = world.dataset("fault_log_lines").key
    world.wait_run(key, "FAILURE", limit_s=120)
    labels = {e["label"] for e in world.asset("recon_tiff", key)["assetObservations"][0]["metadataEntries"]}
    assert {"what happened", "next step", "scan page", "job"} <= labels
    operation = next(o for o in world.ledger.operations.of(key) if o.kind == "job")
    assert operation.outcome["report"]["stdout_tail"] or operation.outcome["report"]["stderr_tail"]
