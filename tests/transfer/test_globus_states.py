"""The meaning of Globus task documents: a table row by row, and the promise that nothing unheard-of is ever a success."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from als_assets.transfer.globus_outcomes import OTHER, OUTCOMES, STATE_OF, Answer, Outcome, Says, outcome
from als_assets.transfer.globus_states import DAMAGE_FAULTS, view_of
from als_assets.transfer.mover import TaskState, TaskView
from als_assets.transfer.outcomes_page import page

GOOD = {"status": "SUCCEEDED", "type": "TRANSFER", "verify_checksum": True, "subtasks_skipped_errors": 0}
S = TaskState
HOPELESS_CODES = {row.code: row.words for row in OUTCOMES if row.answer is Answer.GIVE_UP}
AWAY = [row.code for row in OUTCOMES if row.says is Says.NICE and row.rests]

TABLE: list[tuple[dict[str, Any], TaskState, str]] = [
    (GOOD, S.SUCCEEDED, "finished the task"),
    ({"status": "SUCCEEDED", "type": "DELETE"}, S.SUCCEEDED, "finished the task"),
    (GOOD | {"verify_checksum": False}, S.FAILED, "did not compare checksums"),
    (GOOD | {"verify_checksum": None}, S.FAILED, "did not compare checksums"),
    (GOOD | {"subtasks_skipped_errors": 3}, S.FAILED, "left out 3 file(s)"),
    ({"status": "FAILED", "fatal_error": {"code": "CANCELED", "description": "canceled by user"}}, S.FAILED, "CANCELED: canceled by user"),
    ({"status": "FAILED", "fatal_error": {"code": "EXPIRED", "description": "deadline"}}, S.FAILED, "EXPIRED: deadline"),
    ({"status": "FAILED", "fatal_error": None}, S.FAILED, "no code: no description"),
    ({"status": "INACTIVE", "nice_status_short_description": "credentials expired"}, S.NEEDS_PERSON, "credentials expired"),
    ({"status": "INACTIVE", "nice_status": "PAUSED_BY_ADMIN"}, S.NEEDS_PERSON, "PAUSED_BY_ADMIN"),
    ({"status": "INACTIVE"}, S.NEEDS_PERSON, "no reason given"),
    ({"status": "ACTIVE", "is_paused": True, "nice_status": "OK"}, S.WAITING, "Waiting: it is paused by a rule"),
    ({"status": "ACTIVE", "nice_status": "Queued"}, S.QUEUED, "free Globus slot"),
    ({"status": "ACTIVE", "nice_status": "OK", "bytes_transferred": 12_900_000_000}, S.ACTIVE, ""),
    ({"status": "ACTIVE", "nice_status": None}, S.ACTIVE, ""),
    (
        {"status": "ACTIVE", "nice_status": "A_CODE_OF_2031"},
        S.ACTIVE,
        "not known here, and goes on trying (A_CODE_OF_2031)",
    ),
    ({"status": "ACTIVE", "nice_status": "VERIFY_CHECKSUM", "faults": DAMAGE_FAULTS - 1}, S.ACTIVE, "VERIFY_CHECKSUM"),
    ({"status": "ACTIVE", "nice_status": "VERIFY_CHECKSUM", "faults": DAMAGE_FAULTS}, S.DAMAGED, f"damaged {DAMAGE_FAULTS} times"),
    ({"status": "PAUSED"}, S.UNKNOWN, "'PAUSED'"),
    ({"status": "succeeded"}, S.UNKNOWN, "'succeeded'"),
    ({"status": None}, S.UNKNOWN, "'None'"),
    ({}, S.UNKNOWN, "'None'"),
]
TABLE += [({"status": "ACTIVE", "nice_status": code}, S.WAITING, f"({code}); Globus goes on trying") for code in AWAY]
TABLE += [({"status": "ACTIVE", "nice_status": code}, S.HOPELESS, words) for code, words in HOPELESS_CODES.items()]


@pytest.mark.parametrize(("task", "state", "words"), TABLE)
def test_the_table(task: dict[str, Any], state: TaskState, words: str) -> None:
    view = view_of(task, link="https://app.globus.org/activity/1")

    assert view.state is state
    assert words in view.sentence
    assert view.link == "https://app.globus.org/activity/1"
    assert view.facts["status"] == task.get("status")


def test_a_fatal_error_is_among_the_facts_and_other_fields_stay_out() -> None:
    fatal = {"code": "X", "description": "y"}

    view = view_of({"status": "FAILED", "fatal_error": fatal, "username": "u_private"}, link="")

    assert view.facts["fatal_error"] == fatal
    assert "username" not in view.facts


WORDS = st.one_of(
    st.none(), st.text(max_size=30), st.sampled_from(["SUCCEEDED", "FAILED", "ACTIVE", "INACTIVE", "OK", "Queued", *HOPELESS_CODES])
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "status": WORDS,
        "type": st.sampled_from(["TRANSFER", "DELETE"]),
        "nice_status": WORDS,
        "is_paused": st.booleans(),
        "faults": st.one_of(st.none(), st.integers(0, 10**6)),
        "verify_checksum": st.one_of(st.none(), st.booleans()),
        "subtasks_skipped_errors": st.one_of(st.none(), st.integers(0, 10**6)),
        "bytes_transferred": st.one_of(st.none(), st.integers(0, 10**18)),
        "request_time": st.one_of(st.none(), st.text(max_size=30), st.datetimes().map(str), st.datetimes().map(lambda t: f"{t}+00:00")),
        "fatal_error": st.one_of(st.none(), st.dictionaries(st.sampled_from(["code", "description"]), st.text(max_size=20))),
    },
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # of drawing the first document on a busy machine
@given(DOCUMENTS)
def test_any_document_has_a_state_and_only_a_proven_success_is_one(task: dict[str, Any]) -> None:
    view = view_of(task, link="")

    assert view.sentence.endswith(".") or view.state is S.ACTIVE
    if view.state is S.SUCCEEDED:
        assert task["status"] == "SUCCEEDED"
        assert not task.get("subtasks_skipped_errors")
        assert task.get("type") != "TRANSFER" or task["verify_checksum"] is True
    if task.get("status") not in ("SUCCEEDED", "FAILED", "ACTIVE", "INACTIVE"):
        assert view.state is S.UNKNOWN


# --- the table as data -----------------------------------------------------------------------------------------------------


def _document(row: Outcome) -> dict[str, Any]:
    """A task document in which Globus says what the row is about."""
    code = "A_CODE_OF_2031" if row.code == OTHER else row.code
    late = {"faults": DAMAGE_FAULTS, "type": "TRANSFER", "verify_checksum": True}
    return {
        Says.STATUS: {**late, "status": code, "nice_status": "OK"},
        Says.PAUSED: {**late, "status": "ACTIVE", "is_paused": True},
        Says.NICE: {**late, "status": "ACTIVE", "nice_status": code},
        Says.FATAL: {**late, "status": "FAILED", "fatal_error": {"code": code, "description": "Globus' own words"}},
    }[row.says]


def _seen(row: Outcome) -> TaskView:
    return view_of(_document(row), link="")


OF_TASKS = [row for row in OUTCOMES if row.says in (Says.STATUS, Says.PAUSED, Says.NICE, Says.FATAL)]


@pytest.mark.parametrize("row", OF_TASKS, ids=lambda row: f"{row.says} {row.code}")
def test_the_code_does_what_each_row_says(row: Outcome) -> None:
    view = _seen(row)

    assert view.state is (S.QUEUED if row.code == "Queued" else STATE_OF[row.answer])
    if row.says is not Says.STATUS and row.code != "OK":
        assert row.words in view.sentence
    if row.code not in ("ACTIVE", "FAILED"):  # what those mean is decided by another field
        assert view.next_step == row.next_step
        assert bool(view.trouble) is row.rests


def test_no_row_is_there_twice_and_each_field_has_a_default() -> None:
    assert len({(row.says, row.code) for row in OUTCOMES}) == len(OUTCOMES)
    for says in (Says.STATUS, Says.NICE, Says.FATAL, Says.EVENT):
        assert outcome(says, "A_CODE_OF_2031").code == OTHER
    assert outcome(Says.STATUS, "A_STATE_OF_2031").answer is Answer.ALARM, "an unheard-of state is red"


def test_whoever_has_to_act_is_told_how() -> None:
    red = [row for row in OUTCOMES if row.answer in (Answer.PERSON, Answer.FAIL, Answer.GIVE_UP, Answer.ALARM, Answer.RESENT)]
    assert [row for row in red if row.next_step == "Nothing to do." and row.code not in ("FAILED",)] == []


def test_the_operators_page_is_the_table() -> None:
    written = Path(__file__).parents[2] / "docs/operators/transfer-outcomes.md"
    assert written.read_text() == page(), "run: python -m als_assets.transfer.outcomes_page docs/operators/transfer-outcomes.md"
