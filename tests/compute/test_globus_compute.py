"""Jobs at ALCF over Globus Compute: done once, told truly, found again, stopped when told.

Here: a job from its submission to its report. Not here: what the service and the endpoints may say (``test_globus_compute_answers``)
and killed processes (``test_globus_compute_kills``).
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from alcf_shop import SUBMIT, AlcfShop, alcf, request_of
from golden_jobs import HOSTILE
from small_jobs import GOOD

from als_assets.compute.globus_compute.client import ComputeClient
from als_assets.ledger import OperationState
from als_assets.simulator.box_alcf import LOGIN, POLARIS

__all__ = ["alcf"]

LONG = "for i in {1..600}; do sleep 0.1; done"


def test_a_good_job_runs_once_and_its_report_has_all_the_facts(alcf: AlcfShop) -> None:
    operation = alcf.do()

    report = operation.outcome["report"]
    assert (operation.state, alcf.runs()) == (OperationState.SUCCEEDED, 1)
    assert (report["reason"], report["state"], report["exit_code"], report["step"]) == ("none", "COMPLETED", "0:0", "work")
    assert (report["stdout_tail"], report["stderr_tail"]) == ("working", "started")
    assert report["nodes"] and report["max_rss"].endswith("K")
    assert report["used_s"] is not None and report["queue_wait_s"] is not None
    assert f"at ALCF (simulated) (job {alcf.task_id()}) succeeded" in report["sentence"]
    (task,) = alcf.tasks()
    assert task["endpoint"] == POLARIS
    wanted = {"account": "IRIProd", "queue": "debug", "nodes_per_block": 1, "walltime": "00:10:00"}
    assert task["config"] == wanted, "five minutes of work, and five to begin"
    assert {task["endpoint"] for task in alcf.tasks("tail") + alcf.tasks("listing") + alcf.tasks("status")} == {LOGIN}


def test_a_job_that_is_cancelled_in_the_queue_never_begins(alcf: AlcfShop) -> None:
    """It is over at once, for every process of this machine, although its task still waits for a node."""
    hold = alcf.fault("hold", times=1)
    _, job_id = alcf.submit()
    alcf.bench.control.wait_for(lambda: (view := alcf.view(job_id)) and view.nodes == "(waiting for nodes)", what="the queue")
    assert alcf.view(job_id).live

    alcf.transport.cancel(job_id)

    assert alcf.view(job_id).state == "CANCELLED"
    alcf.bench.control.clear_fault(hold)
    (task,) = alcf.bench.control.wait_for(lambda: [t for t in alcf.tasks() if t["status"] == "success"], what="the task's turn")
    assert '"claimed": true' in task["result"]
    assert alcf.runs() == 0


def test_a_hostile_name_runs_nothing(alcf: AlcfShop) -> None:
    alcf.output = alcf.output.parent / alcf.key / HOSTILE

    operation = alcf.do(title=f"The work on {HOSTILE}\n# wishes: {{}}", parameters=f'{{"note": "{HOSTILE}"}}')

    assert operation.state is OperationState.SUCCEEDED and alcf.runs() == 1
    assert not list(Path(alcf.bench.box.root).rglob("INJECTED*"))
    assert request_of(alcf.tasks()[0])["limit_s"] == 300, "a title cannot ask for anything"


def test_files_at_the_site(alcf: AlcfShop, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.touch()
    names = ["plain.tiff", "deep/er/x.tiff", "with blank 'and' \"quotes\";$(touch owned).txt", "größe.json", ".zattrs"]
    for number, name in enumerate(names):
        (alcf.output / name).parent.mkdir(parents=True, exist_ok=True)
        (alcf.output / name).write_bytes(b"x\n" * number)

    assert alcf.transport.listing(PurePosixPath(alcf.output)) == {name: 2 * number for number, name in enumerate(names)}
    assert alcf.transport.listing(PurePosixPath(f"/x'; rm {victim}; echo '")) is None
    assert alcf.transport.tail(PurePosixPath(alcf.output / ".zattrs"), 2) == "x\nx"
    assert alcf.transport.tail(PurePosixPath(f"/x$(rm {victim})"), 3) == ""
    assert victim.exists()


# --- once ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [{"status": "drop"}, {"status": 200, "body": {}}], ids=str)
def test_an_answer_lost_after_acceptance_starts_one_job(alcf: AlcfShop, answer: dict[str, Any]) -> None:
    alcf.bench.control.add_fault(where="http", method="POST", path=SUBMIT, after=True, **answer)

    operation = alcf.do()

    assert operation.state is OperationState.SUCCEEDED
    assert len(alcf.tasks()) == 1 and alcf.task_id() == alcf.tasks()[0]["task_id"], "it was found in its task group"
    assert alcf.runs() == 1


def test_a_submission_that_was_heard_too_late_runs_once(alcf: AlcfShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first request arrives after we have given up, looked, and sent a second one: the claim at the site lets one begin."""
    client = alcf.alcf._client
    alcf.alcf._require_online()  # opens the connections
    fault = alcf.bench.control.add_fault(where="http", method="POST", path=SUBMIT, delay_s=3600)
    monkeypatch.setattr(client._act.transport, "http_timeout", 0.2)
    find = type(alcf.alcf).find
    looks: list[str | None] = []

    def found(self: Any, *arguments: Any) -> str | None:
        looks.append(find(self, *arguments))
        return looks[-1]

    monkeypatch.setattr(type(alcf.alcf), "find", found)
    with pytest.raises(Exception, match="did not answer while submitting als-test"):
        alcf.do("sleep 0.3; " + GOOD)
    assert looks[-1] is None
    monkeypatch.setattr(client._act.transport, "http_timeout", 30)
    submit = ComputeClient.submit

    def and_the_first_arrives(self: ComputeClient, *arguments: Any, **options: Any) -> Any:
        second = submit(self, *arguments, **options)
        if "als-test" in arguments[0]:
            alcf.bench.control.clear_fault(fault)
            alcf.bench.control.wait_for(lambda: len(alcf.tasks()) == 2, what="the first request")
        return second

    monkeypatch.setattr(ComputeClient, "submit", and_the_first_arrives)

    assert alcf.do("sleep 0.3; " + GOOD).state is OperationState.SUCCEEDED

    assert len(alcf.tasks()) == 2 and alcf.runs() == 1


def test_an_endpoint_that_runs_a_task_twice_runs_the_script_once(alcf: AlcfShop) -> None:
    alcf.fault("twice")

    assert alcf.do("sleep 0.3; " + GOOD).state is OperationState.SUCCEEDED

    assert alcf.runs() == 1


def test_a_job_is_found_again_when_this_machine_has_forgotten_everything(alcf: AlcfShop) -> None:
    name, _ = alcf.submit("sleep 0.3; " + GOOD)
    alcf.wait_until_running()
    (alcf.alcf._notes._folder / "groups" / name).unlink()

    job_id = alcf.find(name)

    assert job_id == f"{alcf.log_dir}/{name}/-", "by its claim at the site"
    assert alcf.ended(job_id).state == "COMPLETED"


def test_many_jobs_are_looked_at_in_one_request(alcf: AlcfShop) -> None:
    ids = [alcf.submit("sleep 60")[1] for _ in range(2)]
    unknown = f"{alcf.log_dir}/never/{'0' * 8}-0000-4000-8000-{'0' * 12}"
    before = len(alcf.bench.control.requests("POST", "/v2/batch_status"))

    views = alcf.transport.look_many(ids)

    assert views.keys() == set(ids) and all(view.live for view in views.values())
    assert len(alcf.bench.control.requests("POST", "/v2/batch_status")) == before + 1
    assert unknown not in alcf.transport.look_many([unknown, *ids]), "nobody knows it"
    for job_id in ids:
        alcf.transport.cancel(job_id)
