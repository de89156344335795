"""Globus Compute as the unmodified globus-compute-sdk and globus-sdk see it: functions that really run, and what goes wrong on purpose.

Here: the simulator alone. Not here: our own client of it (``tests/compute``).
"""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import globus_sdk
import pytest
from forks import Process
from globus_compute_sdk import Client
from globus_compute_sdk.errors import TaskExecutionFailed, TaskPending
from globus_compute_sdk.sdk import client as sdk_client
from globus_compute_sdk.serialize import AllCodeStrategies, JSONData, PureSourceDill, PureSourceTextInspect
from globus_sdk import ClientApp, ComputeClientV2, ComputeClientV3, ConfidentialAppAuthClient, GlobusAppConfig
from globus_sdk.transport import RetryConfig

from als_assets.simulator.config import SimulatorConfig
from als_assets.simulator.control import Control
from als_assets.simulator.server import Simulator

JOBS, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
POLARIS, TEMPLATED = "33333333-3333-4333-8333-333333333333", "44444444-4444-4444-8444-444444444444"


def config_at(folder: Path, **compute: Any) -> SimulatorConfig:
    endpoints = {
        POLARIS: {"name": "Polaris", "slots": 2, "queue_wait_s": 0.0},
        TEMPLATED: {"name": "templated", "queue_wait_s": 0.0, "required": ["account"]},
    }
    clients = {JOBS: "jobs-secret", OTHER: "other-secret"}
    document = {"state_dir": folder / "state", "globus": {"clients": clients}, "compute": {"endpoints": endpoints, **compute}}
    return SimulatorConfig.model_validate(document)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with Simulator(config_at(tmp_path_factory.mktemp("compute"))) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Iterator[Simulator]:
    running.control.clear_faults()
    running.control.set_endpoint(POLARIS, "online")
    yield running
    running.control.clear_faults()


def app_of(url: str, client: str = JOBS, secret: str = "jobs-secret") -> ClientApp:
    login = ConfidentialAppAuthClient(client, secret, base_url=url)
    return ClientApp("als-test", login_client=login, config=GlobusAppConfig(token_storage="memory"))


@pytest.fixture
def sdk(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Client]:
    """The SDK's own Client; only the address of the service, which it takes from a table, is ours."""
    monkeypatch.setattr(sdk_client, "get_web_service_url", lambda envname=None: simulator.url)

    def make(**options: Any) -> Client:
        return Client(app=app_of(simulator.url), **options)

    return make


def answer(client: Client, task_id: str) -> Any:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            return client.get_result(task_id)
        except TaskPending:
            time.sleep(0.03)
    raise TimeoutError(task_id)


def add(a: int, b: int = 1) -> dict[str, Any]:
    import os

    return {"sum": a + b, "task": os.environ["GC_TASK_UUID"]}


def fail() -> None:
    raise ValueError("boom 832")


# --- the SDK's client ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [AllCodeStrategies(), PureSourceDill(), PureSourceTextInspect()], ids=lambda code: type(code).__name__)
def test_a_function_in_every_form(sdk: Callable[..., Client], code: Any) -> None:
    client = sdk(code_serialization_strategy=code, data_serialization_strategy=JSONData(), do_version_check=True)
    function_id = client.register_function(add)

    task_id = client.run(2, b=40, endpoint_id=POLARIS, function_id=function_id)

    assert answer(client, task_id) == {"sum": 42, "task": task_id}
    assert client.get_function(function_id)["function_name"] == "add"


def test_source_text_and_a_result_as_json(sdk: Callable[..., Client], simulator: Simulator) -> None:
    client = sdk(data_serialization_strategy=JSONData())
    function_id = client.register_source_code("def f(x):\n    return {'twice': 2 * x}\n", "f")
    batch = client.create_batch(result_serializers=["globus_compute_sdk.serialize.JSONData"], user_endpoint_config={"queue": "debug"})
    batch.add(function_id, args=(21,))

    answered = client.batch_run(POLARIS, batch)

    (task_id,) = answered["tasks"][function_id]  # type: ignore[call-overload,index]
    assert answer(client, task_id) == {"twice": 42}
    (task,) = [task for task in simulator.control.compute_tasks() if task["task_id"] == task_id]
    assert task["result"] == '11\n{"twice": 42}' and task["config"] == {"queue": "debug"}


def test_a_function_that_raises(sdk: Callable[..., Client]) -> None:
    client = sdk(code_serialization_strategy=PureSourceTextInspect())
    task_id = client.run(endpoint_id=POLARIS, function_id=client.register_function(fail))

    with pytest.raises(TaskExecutionFailed, match="boom 832"):
        answer(client, task_id)
    assert client.get_batch_result([task_id]) == {}, "this is why we read the raw answers"


def test_an_endpoint_and_its_status(sdk: Callable[..., Client], simulator: Simulator) -> None:
    client = sdk(code_serialization_strategy=PureSourceTextInspect())
    assert client.get_endpoint_status(POLARIS)["status"] == "online"
    assert client.get_endpoint_metadata(POLARIS)["name"] == "Polaris"

    simulator.control.set_endpoint(POLARIS, "offline")
    assert client.get_endpoint_status(POLARIS)["status"] == "offline"
    task_id = client.run(1, endpoint_id=POLARIS, function_id=client.register_function(add))
    with pytest.raises(TaskPending, match="waiting-for-ep"):
        client.get_result(task_id)

    simulator.control.set_endpoint(POLARIS, "online")
    assert answer(client, task_id)["sum"] == 2


# --- raw ------------------------------------------------------------------------------------------------------------------


class Raw:
    """globus-sdk's own clients, and source text that is run with JSON."""

    def __init__(self, url: str, client: str = JOBS, secret: str = "jobs-secret") -> None:
        app, once = app_of(url, client, secret), RetryConfig(max_retries=0)
        self.v2 = ComputeClientV2(app=app, base_url=url, retry_config=once)
        self.v3 = ComputeClientV3(app=app, base_url=url, retry_config=once)

    def function(self, source: str) -> str:
        document = {"function_name": "f", "function_code": source, "serialized": False, "meta": {}}
        return str(self.v3.register_function(document)["function_uuid"])

    def submit(self, source: str, endpoint: str = POLARIS, **fields: Any) -> tuple[str, str]:
        function_id, arguments = self.function(source), ("11\n[]", "11\n{}")
        tasks = {function_id: ["".join(f"{len(part)}\n{part}" for part in arguments)]}
        serializers = ["globus_compute_sdk.serialize.JSONData"]
        answered = self.v3.submit(endpoint, {"create_queue": False, "tasks": tasks, "result_serializers": serializers, **fields})
        return answered["tasks"][function_id][0], answered["task_group_id"]

    def task(self, task_id: str) -> dict[str, Any]:
        return dict(self.v2.get_task(task_id).data)

    def ended(self, control: Control, task_id: str) -> dict[str, Any]:
        found = control.wait_for(lambda: (t := self.task(task_id))["status"] in ("success", "failed") and t, what="the task's end")
        return dict(found)


@pytest.fixture
def raw(simulator: Simulator) -> Raw:
    return Raw(simulator.url)


def test_a_batch_shows_all_that_is_known_and_nothing_else(raw: Raw, simulator: Simulator) -> None:
    good, _ = raw.submit("def f():\n    return 1\n")
    bad, _ = raw.submit("def f():\n    return 1 / 0\n")
    for task_id in (good, bad):
        raw.ended(simulator.control, task_id)

    results = raw.v2.get_task_batch([good, bad, str(uuid.uuid4())])["results"]

    assert results.keys() == {good, bad}
    assert results[good]["result"] == "11\n1" and "ZeroDivisionError" in results[bad]["exception"]
    assert float(results[good]["completion_t"]) > 0 and results[good]["details"]["endpoint_id"] == POLARIS


def test_a_group_is_joined_by_its_id_and_cannot_be_invented(raw: Raw) -> None:
    first, group = raw.submit("def f():\n    return 1\n")
    second, same = raw.submit("def f():\n    return 1\n", task_group_id=group)

    assert same == group
    assert [task["id"] for task in raw.v2.get_task_group(group)["tasks"]] == [first, second]
    with pytest.raises(globus_sdk.GlobusAPIError) as caught:
        raw.submit("def f():\n    return 1\n", task_group_id=str(uuid.uuid4()))
    assert (caught.value.http_status, caught.value.code) == (404, "TASK_GROUP_NOT_FOUND")


REFUSALS: list[tuple[Callable[[Raw], Any], int, str]] = [
    (lambda raw: raw.v2.get_task(str(uuid.uuid4())), 404, "TASK_NOT_FOUND"),
    (lambda raw: raw.v2.get_function(str(uuid.uuid4())), 404, "FUNCTION_NOT_FOUND"),
    (lambda raw: raw.v2.get_endpoint_status(str(uuid.uuid4())), 404, "ENDPOINT_NOT_FOUND"),
    (lambda raw: raw.submit("def f(): ...\n", endpoint=str(uuid.uuid4())), 404, "ENDPOINT_NOT_FOUND"),
    (lambda raw: raw.v3.submit(POLARIS, {"tasks": {str(uuid.uuid4()): ["x"]}}), 404, "FUNCTION_NOT_FOUND"),
    (lambda raw: raw.v3.submit(POLARIS, {"tasks": {}}), 422, "SEMANTICALLY_INVALID"),
    (lambda raw: raw.v3.register_function({"function_name": "f"}), 422, "SEMANTICALLY_INVALID"),
    (lambda raw: raw.v2.get_result_amqp_url(), 501, "NotImplemented"),
]


@pytest.mark.parametrize(("ask", "status", "code"), REFUSALS, ids=[f"{n}-{code}" for n, (_, _, code) in enumerate(REFUSALS)])
def test_refusals(raw: Raw, ask: Callable[[Raw], Any], status: int, code: str) -> None:
    with pytest.raises(globus_sdk.GlobusAPIError) as caught:
        ask(raw)

    assert (caught.value.http_status, caught.value.code) == (status, code)


def test_what_one_identity_did_another_does_not_see(raw: Raw, simulator: Simulator) -> None:
    task_id, group = raw.submit("def f():\n    return 1\n")
    other = Raw(simulator.url, OTHER, "other-secret")

    assert other.v2.get_task_batch([task_id])["results"] == {}
    for ask in (lambda: other.v2.get_task(task_id), lambda: other.v2.get_task_group(group)):
        with pytest.raises(globus_sdk.GlobusAPIError) as caught:
            ask()
        assert caught.value.http_status == 403


def test_a_token_of_transfer_opens_nothing_here(simulator: Simulator) -> None:
    app = app_of(simulator.url)
    app.add_scope_requirements({"transfer.api.globus.org": [globus_sdk.TransferClient.scopes.all]})
    authorizer = app.get_authorizer("transfer.api.globus.org")
    client = ComputeClientV2(authorizer=authorizer, base_url=simulator.url, retry_config=RetryConfig(max_retries=0))

    with pytest.raises(globus_sdk.GlobusAPIError) as caught:
        client.get_task_batch(["x"])
    assert caught.value.http_status == 403


# --- faults ---------------------------------------------------------------------------------------------------------------


def test_a_template_that_lacks_a_word(raw: Raw, simulator: Simulator) -> None:
    task_id, _ = raw.submit("def f():\n    return 1\n", TEMPLATED)
    assert "account is required" in raw.ended(simulator.control, task_id)["exception"]

    task_id, _ = raw.submit("def f():\n    return 1\n", TEMPLATED, user_endpoint_config={"account": "als"})
    assert raw.ended(simulator.control, task_id)["status"] == "success"


def test_a_walltime_ends_everything_that_the_task_started(raw: Raw, simulator: Simulator, tmp_path: Path) -> None:
    source = (
        "def f():\n    import subprocess\n"
        f"    subprocess.run(['bash', '-c', 'setsid sleep 600 & echo $! > {tmp_path}/pid; wait'], start_new_session=True)\n"
    )
    task_id, _ = raw.submit(source, user_endpoint_config={"walltime": "00:00:01"})

    assert "ManagerLost" in raw.ended(simulator.control, task_id)["exception"]
    pid = int((tmp_path / "pid").read_text())
    simulator.control.wait_for(lambda: not _runs(pid), what="the end of what it left")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_can_go_wrong_with_a_task(raw: Raw, simulator: Simulator, tmp_path: Path) -> None:
    def ended(action: str, source: str = "def f():\n    return 1\n", **fields: Any) -> dict[str, Any]:
        simulator.control.add_fault(where="task", action=action, **fields)
        return raw.ended(simulator.control, raw.submit(source)[0])

    assert ended("fail", message="qsub: no hours left")["exception"] == "qsub: no hours left"
    assert "WorkerLost" in ended("lose_worker", "def f():\n    import time\n    time.sleep(600)\n")["exception"]
    expired = ended("expire")
    assert (expired["status"], expired["reason"]) == ("success", "the result has expired") and "result" not in expired
    twice = f"def f():\n    open('{tmp_path}/twice', 'a').write('x')\n    import time\n    time.sleep(0.5)\n"
    ended("twice", twice)
    simulator.control.wait_for(lambda: (tmp_path / "twice").read_text() == "xx", what="the second run")


def test_a_worker_that_dies_is_a_lost_worker(raw: Raw, simulator: Simulator) -> None:
    task_id, _ = raw.submit("def f():\n    import os\n    os._exit(11)\n")

    assert "WorkerLost" in raw.ended(simulator.control, task_id)["exception"]


def test_a_task_is_held_until_the_fault_is_cleared(raw: Raw, simulator: Simulator) -> None:
    fault = simulator.control.add_fault(where="task", action="state", state="waiting-for-launch")
    task_id, _ = raw.submit("def f():\n    return 1\n")
    simulator.control.wait_for(lambda: raw.task(task_id)["status"] == "waiting-for-launch", what="the word")

    simulator.control.clear_fault(fault)

    assert raw.ended(simulator.control, task_id)["result"] == "11\n1"


# --- restarts -------------------------------------------------------------------------------------------------------------


def test_tasks_outlive_a_killed_simulator_and_are_reported_by_the_next(tmp_path: Path) -> None:
    go = tmp_path / "go"
    waits = f"import os, time\ndef f():\n    while not os.path.exists('{go}'):\n        time.sleep(0.02)\n    return 832\n"
    with Process(config_at(tmp_path, result_kept_s=0.001)) as process:
        control = process.control
        process.start()
        first = Raw(process.url)
        finishing, _ = first.submit(waits)
        dying, _ = first.submit(waits)
        control.wait_for(lambda: all(first.task(task)["status"] == "running" for task in (finishing, dying)), what="both to run")
        boxes = {task: tmp_path / "state" / "compute" / task / "0" for task in (finishing, dying)}
        control.wait_for(lambda: all((box / "pids.json").exists() for box in boxes.values()), what="both workers")
        assert process.end(signal.SIGKILL) == -signal.SIGKILL
        os.kill(json.loads((boxes[dying] / "pids.json").read_text())["worker"], signal.SIGKILL)
        go.touch()

        process.start()
        second = Raw(process.url)
        done = second.ended(control, finishing)
        assert done["status"] == "success" and "result" not in done, "its result is kept for a moment only, at the service"
        assert "WorkerLost" in second.ended(control, dying)["exception"]
        assert {task["task_id"]: task.get("result") for task in control.compute_tasks()}[finishing] == "11\n832"
        assert process.end(signal.SIGTERM) == 0


def test_a_clean_stop_ends_what_runs(tmp_path: Path) -> None:
    with Simulator(config_at(tmp_path)) as simulator:
        task_id, _ = Raw(simulator.url).submit("def f():\n    import time\n    time.sleep(600)\n")
        pids = tmp_path / "state" / "compute" / task_id / "0" / "pids.json"
        simulator.control.wait_for(pids.exists, what="the worker")
        pid = json.loads(pids.read_text())["worker"]

    assert not _runs(pid)
