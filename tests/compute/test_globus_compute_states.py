"""Every word of Globus Compute in a scheduler's words, and wire formats against the SDK's own serializer. Pure functions alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from globus_compute_sdk.serialize import ComputeSerializer, JSONData, PureSourceTextInspect
from hypothesis import given, settings
from hypothesis import strategies as st

from als_assets.compute.globus_compute.client import packed, unpacked
from als_assets.compute.globus_compute.notes import Notes
from als_assets.compute.globus_compute.states import fate_of, view_of_state
from als_assets.compute.outcomes import Reason, judge

JSON = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text() | st.integers(), max_size=3)


def result(**state: Any) -> str:
    return "11\n" + json.dumps(state)


@pytest.mark.parametrize(
    ("task", "state", "where"),
    [
        ({"status": "received"}, "PENDING", "(waiting for the service)"),
        ({"status": "waiting-for-ep"}, "PENDING", "(waiting for the endpoint)"),
        ({"status": "WAITING-FOR-NODES"}, "PENDING", "(waiting for nodes)"),
        ({"status": "waiting-for-launch"}, "PENDING", "(starting)"),
        ({"status": "running"}, "RUNNING", ""),
        ({"status": "execution-start"}, "RUNNING", ""),
        ({"status": "success", "result": result(state="COMPLETED", exit=0, signal=0, host="x1")}, "COMPLETED", "x1"),
        ({"status": "success", "result": result(state="FAILED", exit=3, signal=0, host="x1")}, "FAILED", "x1"),
    ],
)
def test_what_the_service_can_say(task: dict[str, Any], state: str, where: str) -> None:
    view = fate_of(task).view

    assert view is not None and (view.state, view.nodes) == (state, where)
    assert view.live == (state in ("PENDING", "RUNNING"))


@pytest.mark.parametrize("word", ["gremlins", "", "cancelled-by-gremlins"])
def test_a_word_that_nobody_knows_is_red(word: str) -> None:
    view = fate_of({"status": word}).view

    assert view is not None and not view.live
    assert judge(view, None, []).reason is Reason.UNKNOWN


@pytest.mark.parametrize(
    "task",
    [
        None,
        {"status": "success", "reason": "the result has expired"},
        {"status": "success", "result": "00\nAAAA"},  # a pickle: never opened
        {"status": "success", "result": "11\n{half"},
        {"status": "success", "result": "11\n[1]"},
        {"status": "success", "result": result(state="RUNNING", claimed=True)},  # another task does the work
    ],
)
def test_what_only_the_site_can_tell(task: dict[str, Any] | None) -> None:
    fate = fate_of(task)

    assert (fate.view, fate.fallback) == (None, None)


FAILURES = [
    ("parsl.executors.high_throughput.errors.WorkerLost: Task failure due to loss of worker 3 on host x3", Reason.NODE_FAIL),
    ("parsl.executors.high_throughput.errors.ManagerLost: Task failure due to loss of manager on host x3", Reason.NODE_FAIL),
    ("parsl.jobs.errors.ScaleOutFailed: Unable to scale out: qsub: Request rejected: allocation IRIProd is exhausted", Reason.LAUNCH),
    ("parsl.providers.errors.SubmitException: disk quota exceeded", Reason.LAUNCH),
    ("Failed to start user endpoint: template error", Reason.LAUNCH),
    ("Identity failed to map to a local user name.  (LookupError)", Reason.LAUNCH),
    ("ModuleNotFoundError: No module named 'parsl'", Reason.LAUNCH),
    ("globus_compute_sdk.errors.DeserializationError: Deserialization failed", Reason.LAUNCH),
    ("ZeroDivisionError: division by zero", Reason.EXIT_CODE),
    ("", Reason.EXIT_CODE),
]


@pytest.mark.parametrize(("words", "reason"), FAILURES)
def test_why_a_task_failed(words: str, reason: Reason) -> None:
    fate = fate_of({"status": "failed", "exception": words})

    assert fate.view is None, "the site may know better"
    assert fate.fallback is not None and judge(fate.fallback, None, []).reason is reason
    assert fate.words == words


def test_the_sites_own_word_with_all_its_facts() -> None:
    state = {"state": "FAILED", "exit": 0, "signal": 9, "host": "x1", "sent": 50.0, "began": 100.0, "ended": 160.5, "maxrss_kib": 2048}

    view = view_of_state(state)

    assert view is not None
    assert (view.exit_code, view.used_s, view.queue_wait_s, view.max_rss, view.nodes) == ("0:9", 60.5, 50.0, "2048K", "x1")
    skewed = view_of_state({**state, "sent": 101.0})
    assert skewed is not None and skewed.queue_wait_s == 0.0, "the clocks of two places differ"
    assert view_of_state({"state": "UNKNOWN"}) is None


# --- the wire ------------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_requests_and_answers_are_those_of_the_sdk(request_: dict[str, Any]) -> None:
    sdk = ComputeSerializer(strategy_code=PureSourceTextInspect(), strategy_data=JSONData())
    code = sdk.pack_buffers([sdk.serialize(json.dumps)])

    _, positional, named = sdk.unpack_and_deserialize(code + packed(request_))

    assert (positional, named) == ([request_], {})
    assert unpacked(sdk.serialize(request_)) == request_


# --- notes ---------------------------------------------------------------------------------------------------------------


def test_notes_are_kept_between_processes_and_forgotten_when_old(tmp_path: Path) -> None:
    Notes(tmp_path).write("groups", "job", {"group": "g"})
    Notes(tmp_path).write("groups", "old", {"group": "o"})
    os.utime(tmp_path / "groups" / "old", (0, 0))

    notes = Notes(tmp_path)
    assert notes.read("groups", "job") == {"group": "g"}
    assert notes.read("groups", "old") is None and notes.read("groups", "never") is None
    assert notes.read("groups", "job", max_age_s=-1) is None
    notes.write("groups", "new", {})
    assert {path.name for path in (tmp_path / "groups").iterdir()} == {"job", "new"}
    (tmp_path / "groups" / "job").write_text("{half")
    assert notes.read("groups", "job") is None
