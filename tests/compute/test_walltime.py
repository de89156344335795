"""Time asked for: by size, with a rate that is learnt, within fixed ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from als_assets.compute.walltime import BASE_S, ENOUGH, MARGIN, Past, walltime_s

GB = 10**9
PASTS = st.lists(st.builds(Past, st.integers(0, 100 * GB), st.floats(0, 1e5), st.booleans()), max_size=12)


def test_without_history_the_standard_holds() -> None:
    few = [Past(GB, 60.0)] * (ENOUGH - 1)
    assert walltime_s(GB, [], standard_s=900, most_s=14400) == 900
    assert walltime_s(50 * GB, few, standard_s=900, most_s=14400) == 900


def test_the_rate_of_slow_jobs_is_asked_for_with_a_margin() -> None:
    history = [Past(GB, 40.0)] * 8 + [Past(GB, 100.0)] * 2

    asked = walltime_s(10 * GB, history, standard_s=900, most_s=14400)

    assert BASE_S + MARGIN * 100 * 10 <= asked <= BASE_S + MARGIN * 100 * 10 + 60


def test_one_freak_among_many_does_not_count() -> None:
    assert walltime_s(GB, [Past(GB, 40.0)] * 19 + [Past(GB, 9000.0)], standard_s=900, most_s=14400) == 180


def test_a_job_that_was_cut_off_teaches_that_more_is_needed() -> None:
    ended = [Past(GB, 600.0)] * 5
    cut_off = [Past(GB, 600.0, cut_off=True)] * 5
    assert walltime_s(GB, cut_off, standard_s=900, most_s=14400) > walltime_s(GB, ended, standard_s=900, most_s=14400)


@given(st.integers(0, 200 * GB), PASTS, st.integers(60, 7200), st.integers(120, 86400))
def test_what_is_asked_for_is_whole_minutes_between_the_ends(size: int, history: list[Past], standard: int, most: int) -> None:
    asked = walltime_s(size, history, standard_s=standard, most_s=most)

    assert 60 <= asked <= most
    assert asked % 60 == 0 or asked in (standard, most)


@given(st.integers(1, 100 * GB), st.integers(1, 100 * GB), PASTS)
def test_a_larger_scan_never_gets_less_time(one: int, two: int, history: list[Past]) -> None:
    small, large = sorted((one, two))
    times = [walltime_s(size, history, standard_s=900, most_s=14400) for size in (small, large)]
    assert times[0] <= times[1]
