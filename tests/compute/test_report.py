"""The judgement of a finished job: a table row by row, and the promise that a success needs every witness."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from als_assets.compute.outcomes import WORDS
from als_assets.compute.report import LIVE, JobReport, Reason, SchedulerView, judge, sentence_of

OK = {"exit": 0, "step": "reconstruct"}
R = Reason


def result(code: int, step: str = "reconstruct") -> dict[str, Any]:
    return {"exit": code, "step": step}


TABLE: list[tuple[SchedulerView, dict[str, Any] | None, list[str], Reason, str]] = [
    (SchedulerView("COMPLETED", "0:0", "0:0"), OK, [], R.NONE, "succeeded"),
    (SchedulerView("COMPLETED"), OK, [], R.NONE, "succeeded"),
    # a success that one witness denies
    (SchedulerView("COMPLETED", "0:0"), None, [], R.BAD_OUTPUT, "without writing its result file"),
    (SchedulerView("COMPLETED", "0:0"), OK, ["3 slices instead of 48"], R.BAD_OUTPUT, "incomplete (3 slices instead of 48)"),
    (SchedulerView("COMPLETED", "0:0", "42:0"), OK, [], R.EXIT_CODE, "exit code 42"),
    (SchedulerView("COMPLETED", "0:0", "0:0"), result(42), [], R.EXIT_CODE, "exit code 42 in step 'reconstruct'"),
    (SchedulerView("COMPLETED", "7:0"), OK, [], R.EXIT_CODE, "exit code 7"),
    # failures of the program
    (SchedulerView("FAILED", "3:0"), result(3), [], R.EXIT_CODE, "failed with exit code 3 in step 'reconstruct'"),
    (SchedulerView("FAILED", "3:0"), None, [], R.EXIT_CODE, "failed with exit code 3"),
    (SchedulerView("FAILED", "0:9"), None, [], R.EXIT_CODE, "exit code 137 (killed by signal 9)"),
    (SchedulerView("FAILED", "0:0"), OK, [], R.EXIT_CODE, "failed with exit code 0"),
    (SchedulerView("FAILED", ""), None, [], R.EXIT_CODE, "failed with exit code 0"),
    (SchedulerView("FAILED", "74:0"), result(74, "stage_in"), [], R.EXIT_CODE, "could not copy the raw file"),
    (SchedulerView("FAILED", "125:0"), result(125), [], R.EXIT_CODE, "could not start its container"),
    (SchedulerView("FAILED", "126:0"), result(126), [], R.EXIT_CODE, "could not start its program"),
    (SchedulerView("FAILED", "127:0"), result(127), [], R.EXIT_CODE, "did not find its program (exit code 127 in step"),
    # failures of the site
    (SchedulerView("FAILED", "0:53"), None, [], R.LAUNCH, "could not be started by the site"),
    (SchedulerView("FAILED", "0:53"), result(3), [], R.EXIT_CODE, "exit code 181"),
    (SchedulerView("LAUNCH_FAILED"), None, [], R.LAUNCH, "could not be started"),
    (SchedulerView("TIMEOUT", "0:15"), result(143), [], R.TIMEOUT, "ran into its time limit"),
    (SchedulerView("OUT_OF_MEMORY", "0:125"), None, [], R.OUT_OF_MEMORY, "ran out of memory"),
    (SchedulerView("NODE_FAIL"), None, [], R.NODE_FAIL, "its node failed"),
    (SchedulerView("BOOT_FAIL"), None, [], R.NODE_FAIL, "its node failed"),
    (SchedulerView("PREEMPTED"), None, [], R.PREEMPTED, "more urgent job"),
    (SchedulerView("CANCELLED by 1"), result(143), [], R.CANCELLED_BY_USER, "cancelled at the site"),
    (SchedulerView("CANCELLED"), None, [], R.CANCELLED_BY_USER, "cancelled at the site"),
    (SchedulerView("REVOKED"), None, [], R.CANCELLED_BY_USER, "cancelled at the site"),
    (SchedulerView("DEADLINE"), None, [], R.DEADLINE, "missed its deadline"),
    (SchedulerView("LOST"), None, [], R.LOST, "not known to the scheduler any more"),
    (SchedulerView("LOST"), OK, [], R.LOST, "not known to the scheduler any more"),
    # words that nobody knows are red
    (SchedulerView("RECONFIG_FAIL"), OK, [], R.UNKNOWN, "not known here ('RECONFIG_FAIL')"),
    (SchedulerView("completed", "0:0"), OK, [], R.UNKNOWN, "('completed')"),
    (SchedulerView(""), OK, [], R.UNKNOWN, "('UNKNOWN')"),
    (SchedulerView("   "), OK, [], R.UNKNOWN, "('UNKNOWN')"),
]


@pytest.mark.parametrize(("view", "said", "wrong", "reason", "words"), TABLE)
def test_the_table(view: SchedulerView, said: dict[str, Any] | None, wrong: list[str], reason: Reason, words: str) -> None:
    found = judge(view, said, wrong)

    assert found.reason is reason
    assert words in found.what
    assert bool(found.next_step) is (reason is not R.NONE), "a failure comes with a next step"
    assert not view.live


@pytest.mark.parametrize("word", sorted(LIVE))
def test_live_states(word: str) -> None:
    assert SchedulerView(word).live
    assert SchedulerView(f"{word} since yesterday").live


def test_every_reason_has_a_row() -> None:
    assert {row[3] for row in TABLE} == set(Reason) - {R.CANCELLED_BY_PLATFORM}


@pytest.mark.parametrize("state", ["CANCELLED by 1", "CANCELLED", "REVOKED"])
def test_who_asked_for_the_end_is_known(state: str) -> None:
    assert judge(SchedulerView(state), None, []).reason is R.CANCELLED_BY_USER
    ours = judge(SchedulerView(state), None, [], cancelled_by_us=True)
    assert ours.reason is R.CANCELLED_BY_PLATFORM and "by this platform" in ours.what
    assert judge(SchedulerView("COMPLETED", "0:0"), OK, [], cancelled_by_us=True).reason is R.NONE, "it was quicker"


@pytest.mark.parametrize(("code", "reason"), [(143, R.TIMEOUT), (137, R.TIMEOUT), (3, R.EXIT_CODE), (0, R.NONE)])
def test_a_site_with_one_word_for_every_failure_is_understood_by_the_clock(code: int, reason: Reason) -> None:
    view = SchedulerView("FAILED" if code else "COMPLETED", f"{code}:0")
    assert judge(view, result(code), [], out_of_time=True).reason is reason
    assert judge(view, result(code), []).reason is (R.EXIT_CODE if code else R.NONE)
    if code > 128:
        assert judge(view, result(code), [], cancelled_by_us=True, out_of_time=True).reason is R.CANCELLED_BY_PLATFORM


@pytest.mark.parametrize(
    ("view", "guilty"),
    [
        (SchedulerView("NODE_FAIL"), True),
        (SchedulerView("LOST"), True),
        (SchedulerView("FAILED", "125:0"), True),
        (SchedulerView("FAILED", "74:0"), True),
        (SchedulerView("FAILED", "3:0"), False),
        (SchedulerView("TIMEOUT"), False),
        (SchedulerView("OUT_OF_MEMORY"), False),
        (SchedulerView("CANCELLED"), False),
        (SchedulerView("COMPLETED", "0:0"), False),
    ],
    ids=lambda value: str(getattr(value, "state", value)),
)
def test_the_site_is_blamed_for_its_own_faults_only(view: SchedulerView, guilty: bool) -> None:
    assert judge(view, None, []).site_fault is guilty


def test_every_reason_has_words() -> None:
    assert set(WORDS) == set(Reason) - {R.NONE, R.EXIT_CODE}


CODES = st.one_of(st.just(""), st.just("0:0"), st.text(max_size=6), st.builds("{}:{}".format, st.integers(0, 255), st.integers(0, 64)))
RESULTS = st.one_of(st.none(), st.fixed_dictionaries({"exit": st.integers(0, 255), "step": st.text(max_size=8)}))
STATES = st.one_of(st.text(max_size=12), st.sampled_from(["COMPLETED", "FAILED", "TIMEOUT", "LOST", "CANCELLED by 1"]))


@given(STATES, CODES, CODES, RESULTS, st.lists(st.text(min_size=1, max_size=5), max_size=2))
@example("COMPLETED", "", "²", None, [])  # a digit to Python, and no number
def test_only_unanimous_witnesses_make_a_success(
    state: str, code: str, derived: str, said: dict[str, Any] | None, wrong: list[str]
) -> None:
    found = judge(SchedulerView(state, code, derived), said, wrong)

    assert found.what
    if found.reason is R.NONE:
        assert state.split()[0] == "COMPLETED"
        assert said is not None and said["exit"] == 0
        assert not wrong
        for text in (code, derived):
            assert not text.partition(":")[0].isdecimal() or int(text.partition(":")[0]) == 0


def test_the_sentence_holds_title_site_job_time_and_reason() -> None:
    view = SchedulerView("FAILED", "3:0", used_s=12.0)

    sentence = sentence_of("The reconstruction of X", "NERSC", "1001", view, "failed with exit code 3", "no flats in the file.")

    assert sentence == "The reconstruction of X at NERSC (job 1001) failed with exit code 3 after 12.0 s: no flats in the file."


def test_a_report_is_a_success_only_with_the_reason_none() -> None:
    fields = dict.fromkeys(JobReport.__dataclass_fields__, "")
    for reason in Reason:
        report = JobReport(**{**fields, "reason": reason})
        assert report.success is (reason is R.NONE)
        assert report.as_dict()["reason"] == reason
