"""The whole platform as real processes, and the hands of a person: dropping scans, pressing buttons, pulling the plug.

Here: what end-to-end tests do and look at. Not here: tests. Buttons are pressed through the same GraphQL that Dagster's pages use;
what came of it is read from Dagster's own storage, which costs the web server nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import httpx
import yaml

from als_assets.demo.processes import Processes
from als_assets.facility import load_facility
from als_assets.ledger import Dataset, Ledger, OperationKind
from als_assets.simulator.box import Box, Ports, make_box
from als_assets.simulator.control import Control
from als_assets.simulator.detector import synthetic_scan

FOLDER = "demo-00847_jdoe"
REPOSITORY = Path(__file__).parent.parent.parent
T = TypeVar("T")

_LAUNCH = """mutation($p: ExecutionParams!) { launchPipelineExecution(executionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
_RETRY = """mutation($p: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
_STOP = """mutation($id: String!) { terminateRun(runId: $id, terminatePolicy: SAFE_TERMINATE) { __typename } }"""


@dataclass
class World:
    """A running platform in a folder."""

    box: Box
    processes: Processes
    control: Control
    ledger: Ledger
    http: httpx.Client  # one for all requests: making one costs more than asking
    instance: dg.DagsterInstance

    @classmethod
    def start(cls, state_dir: Path, ports: Ports, *, settings: dict[str, Any] | None = None) -> World:
        box = make_box(state_dir, ports, settings=settings)
        processes = Processes(box, state_dir, REPOSITORY)
        try:
            processes.start_all()
        except BaseException:
            processes.stop_all()
            raise
        ledger = Ledger.of(load_facility(box.facility_file))
        instance = dg.DagsterInstance.from_config(str(processes.home))
        return cls(box, processes, Control(box.simulator_url), ledger, httpx.Client(timeout=60), instance)

    def stop(self) -> None:
        self.instance.dispose()
        self.ledger.close()
        self.control.close()
        self.http.close()
        self.processes.stop_all()

    # --- the detector and the settings -----------------------------------------------------------------------------------

    def drop_scan(
        self, name: str, *, seed: int = 1, rows: int = 8, columns: int = 96, pieces: int = 1, pause_s: float = 0.0, folder: str = FOLDER
    ) -> Path:
        """A small scan appears at spot832, complete at once unless it is written in pieces."""
        path = self.box.watched / folder / f"{name}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        synthetic_scan(path, rows=rows, columns=columns, angles=61, seed=seed, pieces=pieces, pause_s=pause_s)
        return path

    def set_steps(self, **steps: bool) -> None:
        document = yaml.safe_load(self.box.settings_file.read_text())
        document["steps"] = steps
        self.write_settings(document)

    def write_settings(self, document: dict[str, Any]) -> None:
        fresh = self.box.settings_file.with_suffix(".new")
        fresh.write_text(yaml.safe_dump(document))
        fresh.replace(self.box.settings_file)

    # --- waiting and looking ---------------------------------------------------------------------------------------------

    def wait(self, what: str, ask: Callable[[], T | None], limit_s: float = 90.0) -> T:
        """The first answer that is not empty."""
        end = time.monotonic() + limit_s
        while True:
            answer = ask()
            if answer:
                return answer
            self.processes.check()
            assert time.monotonic() < end, f"waited {limit_s:.0f} s in vain for {what}\n{self.tail()}"
            time.sleep(0.4)

    def tail(self) -> str:
        log = self.processes.state_dir / "logs" / "dagster-daemon.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-40:])

    def dataset(self, name: str) -> Dataset:
        """The admitted scan with this file name."""
        return self.wait(
            f"admission of {name}", lambda: next((d for d in self.ledger.datasets.list() if d.file_name == f"{name}.h5"), None)
        )

    def runs(self, key: str) -> list[dg.DagsterRun]:
        """The runs of a partition, newest first."""
        return list(self.instance.get_runs(dg.RunsFilter(tags={"dagster/partition": key})))

    def wait_run(self, key: str, *statuses: str, count: int = 1, limit_s: float = 90.0) -> dg.DagsterRun:
        """The newest run of a partition, once there are ``count`` of them and it has one of the statuses."""

        def look() -> dg.DagsterRun | None:
            runs = self.runs(key)
            return runs[0] if len(runs) >= count and runs[0].status.value in statuses else None

        return self.wait(f"run {count} of {key} to be {statuses}, have {[r.status.value for r in self.runs(key)]}", look, limit_s)

    def materialised_by(self, name: str, key: str) -> list[str]:
        """The runs that made an asset's partition, the newest first."""
        chosen = dg.AssetRecordsFilter(asset_key=dg.AssetKey(name), asset_partitions=[key])
        return [record.run_id for record in self.instance.fetch_materializations(chosen, limit=5).records]

    def observations(self, name: str, key: str) -> list[tuple[str, dg.AssetObservation]]:
        """Run and observation, the newest first."""
        chosen = dg.AssetRecordsFilter(asset_key=dg.AssetKey(name), asset_partitions=[key])
        found = self.instance.fetch_observations(chosen, limit=5).records
        return [(record.run_id, record.asset_observation) for record in found if record.asset_observation is not None]

    def reason(self, name: str, key: str) -> str:
        """What the newest observation of an asset says."""
        observations = self.observations(name, key)
        return str(observations[0][1].description) if observations else ""

    def open_operation(self, key: str, kind: OperationKind) -> Any:
        """The submitted operation of a kind, if there is one."""
        mine = (o for o in self.ledger.operations.of(key) if o.kind is kind and o.state == "submitted")
        return next(mine, None)

    # --- buttons ---------------------------------------------------------------------------------------------------------

    def graphql(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        answer = self.http.post(f"{self.processes.dagster_url}/graphql", json={"query": query, "variables": variables}).json()
        assert "errors" not in answer, answer
        return dict(answer["data"])

    def reexecute_from_failure(self, run_id: str) -> str:
        params = {"parentRunId": run_id, "strategy": "FROM_FAILURE"}
        answer = self.graphql(_RETRY, {"p": params})["launchRunReexecution"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def materialise(self, key: str, assets: list[str], config: dict[str, Any] | None = None) -> str:
        """What the Launchpad sends."""
        selector = {
            "repositoryLocationName": "als-assets",
            "repositoryName": "__repository__",
            "jobName": "bl832_scan",
            "assetSelection": [{"path": [name]} for name in assets],
        }
        tags = [{"key": "dagster/partition", "value": key}]
        params = {"selector": selector, "runConfigData": config or {}, "executionMetadata": {"tags": tags}, "mode": "default"}
        answer = self.graphql(_LAUNCH, {"p": params})["launchPipelineExecution"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def terminate(self, run_id: str) -> None:
        answer = self.graphql(_STOP, {"id": run_id})["terminateRun"]
        assert answer["__typename"] == "TerminateRunSuccess", answer

    def worker_of(self, run_id: str) -> int:
        """The process that works on a run."""
        worker = self.wait(f"a worker on {run_id}", lambda: self.ledger.workers.find(run_id))
        return int(worker.pid)

    def send(self, pid: int, number: int) -> None:
        os.kill(pid, number)
