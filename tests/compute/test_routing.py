"""Which site: the first against which nothing speaks, with the reason for each passed over, and held until when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from als_assets.compute.health import SiteHealth
from als_assets.compute.history import Ending
from als_assets.compute.routing import QUEUE_S, Candidate, Route, objection, route

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FAULT = Ending(NOW - timedelta(minutes=5), success=False, site_fault=True, sentence="node failed")
GOOD = Ending(NOW - timedelta(minutes=6), success=True, site_fault=False, sentence="")
OWN = Ending(NOW - timedelta(minutes=4), success=False, site_fault=False, sentence="exit 3")


def site(name: str = "nersc", **changes: Any) -> Candidate:
    return Candidate(name, name.upper(), 3600, **changes)


def well(**changes: Any) -> SiteHealth:
    return SiteHealth(**{"ok": True, "sentence": "Perlmutter is active.", **changes})


AGAINST = [
    pytest.param({"barred": "nersc is switched off"}, "nersc is switched off", None, id="barred"),
    pytest.param({"health": well(ok=False, sentence="Perlmutter is unavailable.")}, "takes no jobs: Perlmutter is unav", None, id="down"),
    pytest.param(
        {"health": well(ok=False, sentence="Down.", outage_from=NOW - HOUR, outage_to=NOW + HOUR)}, "takes no jobs", NOW + HOUR, id="outage"
    ),
    pytest.param(
        {"health": well(outage_from=NOW + HOUR, outage_to=NOW + 9 * HOUR)},
        "in maintenance from 2026-11-22 13:00 to 2026-11-22 21:00 UTC",
        NOW + 9 * HOUR,
        id="a job would run into maintenance",
    ),
    pytest.param({"health": well(outage_from=NOW + HOUR)}, "in maintenance from 2026-11-22 13:00 UTC", None, id="maintenance without end"),
    pytest.param({"credential_ends": NOW + HOUR}, "ends (2026-11-22 13:00 UTC), before a job would be over", None, id="credential ends"),
    pytest.param({"credential_ends": NOW - HOUR}, "our credential for nersc has ended", None, id="credential ended"),
    pytest.param({"endings": [FAULT] * 3}, "the last 3 jobs at nersc failed", FAULT.at + timedelta(minutes=30), id="failing"),
    pytest.param({"open_jobs": 20}, "has 20 of our jobs already", None, id="full"),
]
FINE = [
    pytest.param({}, id="nothing is known"),
    pytest.param({"health": well()}, id="well"),
    pytest.param({"health": well(outage_from=NOW + 9 * HOUR)}, id="maintenance after the job"),
    pytest.param({"health": well(outage_from=NOW - 9 * HOUR, outage_to=NOW - HOUR)}, id="maintenance is over"),
    pytest.param({"credential_ends": NOW + 9 * HOUR}, id="the credential lasts"),
    pytest.param({"endings": [FAULT, FAULT, GOOD, FAULT]}, id="one of the last three succeeded"),
    pytest.param({"endings": [FAULT, OWN, FAULT]}, id="one failed for the scan's own reason"),
    pytest.param({"endings": [FAULT, FAULT]}, id="two are not enough"),
    pytest.param({"endings": [Ending(NOW - HOUR, False, True, "")] * 3}, id="that was long ago"),
    pytest.param({"open_jobs": 19}, id="room for one more"),
]


@pytest.mark.parametrize(("facts", "words", "until"), AGAINST)
def test_what_speaks_against_a_site(facts: dict[str, Any], words: str, until: datetime | None) -> None:
    found = objection(site(**facts), NOW, tried=False)
    assert found is not None and words in found.words
    assert found.until == until

    held = route([site(**facts)], NOW)
    assert (held.site, held.until) == ("", until) and words in held.why
    elsewhere = route([site(**facts), site("als")], NOW)
    assert elsewhere.site == "als" and words in elsewhere.passed["nersc"] and words in elsewhere.why


@pytest.mark.parametrize("facts", FINE)
def test_what_does_not(facts: dict[str, Any]) -> None:
    assert objection(site(**facts), NOW, tried=False) is None
    assert route([site(**facts), site("als")], NOW).site == "nersc"


def test_the_walltime_and_the_queue_decide_what_overlaps() -> None:
    begin = NOW + timedelta(seconds=QUEUE_S + 3600)
    assert objection(site(health=well(outage_from=begin)), NOW, tried=False) is None
    assert objection(site(health=well(outage_from=begin - timedelta(seconds=1))), NOW, tried=False) is not None


def test_a_site_that_has_just_failed_is_not_tried_again() -> None:
    assert route([site("nersc"), site("als")], NOW, tried=["nersc"]).site == "als"
    assert "nersc has just failed for a reason of its own" in route([site("nersc")], NOW, tried=["nersc"]).why


def test_a_pin_is_obeyed_or_waited_for() -> None:
    both = [site("nersc"), site("als")]
    assert route(both, NOW, pinned="als") == Route("als", "ALS is pinned for this scan")
    down = [site("nersc"), site("als", health=well(ok=False, sentence="Full."))]
    assert route(down, NOW, pinned="als").site == ""
    assert "mars is pinned, but cannot run jobs" in route(both, NOW, pinned="mars").why


def test_it_is_held_until_the_first_may_take_it() -> None:
    ends = [NOW + 5 * HOUR, NOW + 3 * HOUR]
    ill = [site(name, health=well(outage_from=NOW, outage_to=end)) for name, end in zip(("nersc", "olcf"), ends, strict=True)]
    assert route([*ill, site("als", barred="als is switched off")], NOW).until == NOW + 3 * HOUR
    assert route([], NOW).why == "no site is listed"


HEALTH = st.one_of(
    st.none(),
    st.builds(
        SiteHealth,
        st.booleans(),
        st.text(max_size=5),
        st.one_of(st.none(), st.integers(-9, 9).map(lambda h: NOW + h * HOUR)),
        st.one_of(st.none(), st.integers(-9, 9).map(lambda h: NOW + h * HOUR)),
    ),
)
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        st.sampled_from(["nersc", "alcf", "olcf", "als"]),
        st.just("A site"),
        st.integers(60, 14400),
        st.sampled_from(["", "", "it is switched off"]),
        HEALTH,
        st.one_of(st.none(), st.integers(-3, 3).map(lambda h: NOW + h * HOUR)),
        st.lists(st.sampled_from([FAULT, GOOD, OWN]), max_size=4),
        st.integers(0, 30),
    ),
    unique_by=lambda c: c.site,
    max_size=4,
)


@given(CANDIDATES, st.sampled_from(["", "nersc", "als"]), st.lists(st.sampled_from(["nersc", "als"]), max_size=1))
def test_the_choice_is_the_first_without_objection_and_everything_is_explained(
    candidates: list[Candidate], pinned: str, tried: list[str]
) -> None:
    found = route(candidates, NOW, pinned=pinned, tried=tried)

    fit = [c.site for c in candidates if (not pinned or c.site == pinned) and objection(c, NOW, c.site in tried) is None]
    assert found.site == (fit[0] if fit else "")
    assert found.why
    if found.site:
        chosen = next(c for c in candidates if c.site == found.site)
        assert not chosen.barred and found.site not in tried
        assert found.until is None
    else:
        assert set(found.passed) >= {c.site for c in candidates if not pinned or c.site == pinned}
