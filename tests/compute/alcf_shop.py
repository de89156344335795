"""Jobs at the simulated ALCF, and looks at what its endpoints really did. Here: makers and looks. Not here: assertions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from facility_in_a_box import Bench
from small_jobs import Shop, shop_at

from als_assets.compute import submission
from als_assets.compute.globus_compute import client as globus_compute_client
from als_assets.compute.globus_compute.transport import GlobusComputeTransport
from als_assets.simulator.box_alcf import LOGIN, POLARIS

SUBMIT, BATCH = f"/v3/endpoints/{POLARIS}/submit", "/v2/batch_status"
SMALL_SUBMIT = f"/v3/endpoints/{LOGIN}/submit"


def request_of(task: dict[str, Any]) -> dict[str, Any]:
    """What a task was asked to do."""
    length, _, rest = task["payload"].partition("\n")
    return dict(json.loads(rest[: int(length)].removeprefix("11\n"))[0])


@dataclass
class AlcfShop(Shop):
    """As ``Shop``, with the tasks of its site."""

    @property
    def alcf(self) -> GlobusComputeTransport:
        assert isinstance(self.transport, GlobusComputeTransport)
        return self.transport

    def tasks(self, verb: str = "run") -> list[dict[str, Any]]:
        """The tasks of one kind about this scan."""
        found = self.bench.control.compute_tasks()
        return [task for task in found if self.key in task["payload"] and request_of(task)["verb"] == verb]

    def fault(self, action: str, verb: str = "run", **fields: Any) -> str:
        """Something goes wrong with the next task of this kind about this scan."""
        return self.bench.control.add_fault(where="task", name=f'*"{verb}"*{self.key}*', action=action, **fields)

    def task_id(self) -> str:
        return str(self.operation.handle["job_id"].rsplit("/", 1)[1])


def alcf_shop(bench: Bench) -> AlcfShop:
    shop = shop_at(bench, "alcf")
    return AlcfShop(shop.bench, shop.site, shop.key, shop.output, shop.log_dir)


@pytest.fixture
def alcf(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[AlcfShop]:
    """ALCF with nothing wrong, and a client that does not sleep long between its own repetitions."""
    monkeypatch.setattr(globus_compute_client, "_MAX_SLEEP_S", 0.03)
    monkeypatch.setattr(submission, "SUBMIT_GRACE", timedelta(seconds=0.3))  # what comes later than that is held off by the claim
    for endpoint in (POLARIS, LOGIN):
        bench.control.set_endpoint(endpoint, "online")
    yield alcf_shop(bench)
