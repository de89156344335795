"""Processes killed with -9 around a job at ALCF: one job begun, one run of the step on disk, and a complete report.

Here: the points that belong to this transport. Those of the record alone are the same at every site (``test_job_kills``).
"""

from __future__ import annotations

import pytest
from alcf_shop import AlcfShop, alcf
from doomed import Zygote
from small_jobs import GOOD

from als_assets.ledger import OperationState

__all__ = ["alcf"]

OPERATIONS = "ledger.operations:Operations"
TRANSPORT, CLIENT = "compute.globus_compute.transport:GlobusComputeTransport", "compute.globus_compute.client:ComputeClient"
POINTS = [
    f"after {TRANSPORT}._check",
    f"after {CLIENT}.submit",  # the site was asked whether the job was ever begun: its task group exists, and nobody remembers it
    f"after {TRANSPORT}.find",  # the group is remembered
    f"after {CLIENT}.submit 2",  # the job was accepted, its task is not known yet
    f"after {TRANSPORT}.submit",
    f"after {OPERATIONS}.submitted",
    f"after {TRANSPORT}.look_many 2",
    f"after {TRANSPORT}.tail",
    f"after {TRANSPORT}.listing",
]
SLOW = "sleep 0.2; " + GOOD


@pytest.mark.parametrize("point", POINTS)
def test_one_job_whatever_is_killed(alcf: AlcfShop, zygote: Zygote, point: str) -> None:
    zygote.dies("job", point, **alcf.arguments(SLOW))

    operation = alcf.do(SLOW)

    report = operation.outcome["report"]
    assert operation.state is OperationState.SUCCEEDED
    assert (report["step"], report["stdout_tail"], report["exit_code"]) == ("work", "working", "0:0")
    assert alcf.runs() == 1
    assert len(alcf.tasks()) == 1
    assert alcf.task_id() == alcf.tasks()[0]["task_id"]
