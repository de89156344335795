"""How sites are, asked over their real status pages, kept in the record, and told in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from facility_in_a_box import Bench

from als_assets.compute.sites import Sites, expiry_stage, expiry_warning

API = "/api/v1.2"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def sites(bench: Bench) -> Any:
    yield bench.platform.sites
    bench.control.set_system("perlmutter", "active")
    bench.control.set_outages([])


def test_a_site_that_is_up_and_the_end_of_our_credential(sites: Sites) -> None:
    state = sites.ask("nersc")

    assert state.ok and state.sentence == "Perlmutter is active: System Active."
    assert state.outage_from is None
    assert state.credential_ends is not None and state.credential_ends > datetime.now(UTC)
    known = sites.knowledge()
    assert known.health["nersc"].ok and known.credentials["nersc"] == state.credential_ends


@pytest.mark.parametrize(("word", "ok"), [("active", True), ("degraded", True), ("unavailable", False), ("other", False)])
def test_what_the_status_page_says(bench: Bench, sites: Sites, word: str, ok: bool) -> None:
    bench.control.set_system("perlmutter", word, "Cooling")

    state = sites.ask("nersc")

    assert (state.ok, state.sentence) == (ok, f"Perlmutter is {word}: Cooling.")


def test_the_next_planned_outage_is_known_in_utc(bench: Bench, sites: Sites) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    times = [(timedelta(days=9), timedelta(days=10)), (timedelta(hours=2), timedelta(hours=6)), (timedelta(hours=-6), timedelta(hours=-2))]
    bench.control.set_outages([{"start_at": (now + a).isoformat(), "end_at": (now + b).isoformat()} for a, b in times])

    state = sites.ask("nersc")

    assert (state.outage_from, state.outage_to) == (now + timedelta(hours=2), now + timedelta(hours=6))


def test_a_site_that_does_not_answer_is_not_well(bench: Bench, sites: Sites) -> None:
    bench.control.add_fault(where="http", path=f"{API}/status/perlmutter", status=503, times=None)
    assert not sites.ask("nersc").ok
    bench.control.clear_faults()
    bench.control.expire_tokens("sfapi")
    bench.control.add_fault(where="http", path="/c2id/token", status=401, body={"error": "invalid_client"}, times=None)
    state = sites.ask("nersc")
    assert not state.ok and "Renew the client in Iris" in state.sentence


def test_sites_are_asked_once_in_a_while(bench: Bench, sites: Sites) -> None:
    sites.ask("nersc")
    before = len(bench.control.requests(path=f"{API}/status/*"))
    sites.ask_due()
    assert len(bench.control.requests(path=f"{API}/status/*")) == before
    assert "nersc" in {state.site for state in sites.ask_due(timedelta(0))}
    assert len(bench.control.requests(path=f"{API}/status/*")) > before


@pytest.mark.parametrize(
    ("left", "stage", "words"),
    [
        (timedelta(days=8), 0, ""),
        (timedelta(days=6), 1, r"ends in 6 days \(2026-11-28 12:00 UTC\)\. Renew it this week"),
        (timedelta(days=2), 2, "ends in 2 days .*Renew it today"),
        (timedelta(hours=30), 2, "ends in 30 hours"),
        (timedelta(hours=5), 3, "ends in 5 hours .*Renew it now"),
        (timedelta(minutes=9), 3, "ends in less than an hour"),
        (timedelta(0), 4, "has ended .*no job can be submitted"),
    ],
)
def test_the_end_of_a_credential_is_told_at_seven_days_two_days_and_six_hours(left: timedelta, stage: int, words: str) -> None:
    import re

    said = expiry_warning("NERSC", NOW + left, NOW)
    assert expiry_stage(NOW + left, NOW) == stage
    assert bool(said) is (stage > 0) and re.search(words, said)


def test_a_credential_without_an_end_is_never_told() -> None:
    assert expiry_warning("ALS", None, NOW) == "" and expiry_stage(None, NOW) == 0
