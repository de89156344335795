"""The API's documents: what is asked for, and what the scheduler's view becomes of every answer, however odd."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from als_assets.compute.iri.jobs import NO_REASON, name_of, request_of, script_of, view_of
from als_assets.compute.outcomes import LIVE, REASON_OF_STATE, judge
from als_assets.compute.spec import JobSpec, Resources, Step
from als_assets.facility.compute import IriCompute

SETUP = IriCompute.model_validate(
    {"kind": "iri", "api_url": "https://example.org/api", "resource": "frontier", "identity": "x", "account": "csc001", "queue": "batch"}
    | {"raw": "raw", "scratch": "scratch", "log_dir": "/logs", "custom_attributes": {"filesystems": "home:eagle"}}
)


def spec(folder: Path, *argv: str, **changes: Any) -> JobSpec:
    fields: dict[str, Any] = {
        "name": "als-rec-x-1",
        "dataset_key": "x",
        "title": "The reconstruction of x",
        "site": "olcf",
        "steps": (Step("work", argv or ("true",)),),
        "output": PurePosixPath(folder, "out"),
        "log_dir": PurePosixPath(folder, "logs"),
        "walltime_s": 900,
    }
    return JobSpec(**{**fields, **changes})


# --- what is asked for -------------------------------------------------------------------------------------------------------


def test_the_request_is_on_record_in_the_script() -> None:
    script = script_of(spec(Path("/x"), resources=Resources(node_count=2, gpu_cores_per_process=4)), SETUP)

    request = request_of(script)

    assert script.splitlines()[1].startswith('# IRI {"attributes"')
    assert request["arguments"] == ["-lc", script]
    attributes = {"duration": 900, "queue_name": "batch", "account": "csc001", "custom_attributes": {"filesystems": "home:eagle"}}
    assert request["attributes"] == attributes
    resources = {"node_count": 2, "processes_per_node": 1, "process_count": 2, "gpu_cores_per_process": 4, "exclusive_node_use": True}
    assert request["resources"] == resources
    shared = request_of(script_of(spec(Path("/x"), resources=Resources(exclusive_node_use=False)), SETUP))
    assert shared["resources"]["exclusive_node_use"] is False, "the API's default is the other one"


def run(script: str) -> int:
    return subprocess.run(["/bin/bash", "-lc", script], stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode


@pytest.mark.parametrize("code", [0, 42])
def test_the_argument_runs_as_a_script_and_keeps_the_exit_code(tmp_path: Path, code: int) -> None:
    script = script_of(spec(tmp_path, "bash", "-c", f"echo out; echo err >&2; exit {code}"), SETUP)

    assert run(script) == code

    logs = {file.name.removeprefix("als-rec-x-1."): file.read_text() for file in (tmp_path / "logs").iterdir()}
    assert json.loads(logs["result.json"])["exit"] == code
    assert (logs["out"], logs["err"]) == ("out\n", "err\n")


def test_a_folder_of_logs_that_cannot_be_made_is_73(tmp_path: Path) -> None:
    (tmp_path / "logs").touch()

    assert run(script_of(spec(tmp_path), SETUP)) == 73


@given(st.text(min_size=1, max_size=40).filter(lambda text: "\0" not in text))
def test_no_text_leaves_its_place_in_the_request(evil: str) -> None:
    setup = SETUP.model_copy(update={"account": evil, "custom_attributes": {evil: evil}})

    request = request_of(script_of(spec(Path("/x"), title=evil), setup))

    assert request["attributes"]["account"] == evil
    assert request["attributes"]["custom_attributes"] == {evil: evil}


# --- what comes back -----------------------------------------------------------------------------------------------------------


def state_of(state: str, meta: dict[str, Any] | None = None, message: str | None = None, **status: Any) -> str:
    view = view_of({"id": "1", "status": {"state": state, "meta_data": meta, "message": message, **status}})
    assert view is not None
    return view.state


@pytest.mark.parametrize(
    ("state", "word"),
    list({"new": "PENDING", "queued": "PENDING", "held": "PENDING", "active": "RUNNING", "completed": "COMPLETED"}.items()),
)
def test_every_state_that_is_no_failure(state: str, word: str) -> None:
    assert state_of(state) == word


@pytest.mark.parametrize(("state", "word"), [("failed", NO_REASON), ("canceled", "CANCELLED"), ("vanished", "VANISHED")])
def test_every_state_without_more(state: str, word: str) -> None:
    assert state_of(state) == word


@pytest.mark.parametrize("word", sorted(set(REASON_OF_STATE) - {"LOST"}))
def test_the_schedulers_own_word_wins_over_failed(word: str) -> None:
    assert state_of("failed", {"state": word}) == word
    assert state_of("failed", {"STATE": f"{word} by 1"}) == f"{word} by 1"
    assert state_of("failed", message=f"Job ended: {word}.") == word


@pytest.mark.parametrize(("code", "word"), [(None, NO_REASON), (0, NO_REASON), (1, "FAILED"), (143, "FAILED")])
def test_a_failure_without_a_code_is_the_sites_and_not_the_programs(code: int | None, word: str) -> None:
    view = view_of({"id": "1", "status": {"state": "failed", "exit_code": code}})

    assert view is not None and view.state == word
    assert judge(view, None, []).site_fault is (word == NO_REASON)


def test_words_that_contradict_each_other_are_never_a_success() -> None:
    assert state_of("failed", {"state": "COMPLETED"}) == "FAILED"
    assert state_of("failed", {"state": "RUNNING"}) == "FAILED"
    assert state_of("canceled", {"state": "COMPLETED"}) == "CANCELLED"
    assert state_of("completed", {"state": "NODE_FAIL"}) == "NODE_FAIL"
    assert state_of("completed", {"state": "COMPLETING"}) == "COMPLETED"
    assert state_of("active", {"state": "COMPLETED"}) == "RUNNING"
    assert state_of("active", {"state": "COMPLETING"}) == "COMPLETING"


def test_the_facts_of_a_rich_site() -> None:
    times = {"submit": "2026-11-22T10:00:00", "start": "2026-11-22T10:00:30", "end": "2026-11-22T10:07:30"}
    meta = {"state": "FAILED", "exitcode": "3:0", "derivedexitcode": "42:0", "nodelist": "nid001234", "maxrss": "12K", **times}

    view = view_of({"id": "1", "status": {"state": "failed", "exit_code": 3, "meta_data": meta}})

    assert view is not None
    assert (view.exit_code, view.derived, view.nodes, view.max_rss) == ("3:0", "42:0", "nid001234", "12K")
    assert (view.queue_wait_s, view.used_s) == (30.0, 420.0)


def test_times_that_are_not_known_yet() -> None:
    view = view_of(
        {"id": "1", "status": {"state": "active", "meta_data": {"submit": "2026-11-22T10:00:00+00:00", "start": "Unknown", "end": 5}}}
    )

    assert view is not None and (view.queue_wait_s, view.used_s, view.exit_code) == (None, None, "")


@pytest.mark.parametrize("job", [{}, {"status": None}, {"status": {}}, {"status": "completed"}, {"status": {"state": ""}}])
def test_a_job_without_a_status_is_not_known(job: dict[str, Any]) -> None:
    assert view_of(job) is None


words = st.sampled_from(["new", "queued", "active", "completed", "failed", "canceled"]) | st.text(max_size=12)
values = st.none() | st.text(max_size=12) | st.integers() | st.sampled_from(["COMPLETED", "FAILED", "RUNNING", "TIMEOUT", "0:0", "1:0"])


@given(words, st.dictionaries(st.sampled_from(["state", "exitcode", "start", "end", "submit"]), values), values, values)
def test_nothing_but_completed_with_a_good_code_is_a_success(state: str, meta: dict[str, Any], message: Any, code: Any) -> None:
    view = view_of({"id": "1", "status": {"state": state, "meta_data": meta, "message": message, "exit_code": code}})

    if view is not None and not view.live and judge(view, {"exit": 0, "step": "work"}, []).reason == "none":
        assert state.lower() == "completed"
        assert {word.upper() for word in str(meta.get("state") or "").split()[:1]} <= {"COMPLETED", *LIVE}


@pytest.mark.parametrize(
    "job",
    [
        {"job_spec": {"name": "n"}},
        {"job_spec": None, "status": {"meta_data": {"jobname": "n"}}},
        {"status": {"meta_data": {"Job_Name": "n"}}},
    ],
)
def test_a_name_wherever_a_site_shows_it(job: dict[str, Any]) -> None:
    assert name_of(job) == "n"


@pytest.mark.parametrize("job", [{}, {"job_spec": {"name": None}}, {"status": None}, {"status": {"meta_data": ["x"]}}])
def test_no_name(job: dict[str, Any]) -> None:
    assert name_of(job) is None
