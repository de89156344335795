"""How sites are, asked over their real status pages, kept in the record, and told in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from facility_in_a_box import Bench

from als_assets.compute import sites as sites_module
from als_assets.compute.sites import Sites, expiry_stage, expiry_warning

API = "/api/v1.2"
COMMAND = f"{API}/utilities/command/perlmutter"
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


# --- scratch ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def with_quota(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sites that ask for the quota at every look."""
    monkeypatch.setattr(sites_module, "ASK_QUOTA_EVERY", timedelta(0))
    yield bench.platform.sites
    bench.control.set_quota()


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"used_bytes": 19_200 * 10**9}, "96% (19.2 TB of 20.0 TB) and 1% of its files"),
        ({"used_bytes": 21_000 * 10**9}, "105% (21.0 TB of 20.0 TB) and 1% of its files"),
        ({"used_files": 9_600_000}, "5% (1.0 TB of 20.0 TB) and 96% of its files"),
    ],
    ids=["bytes", "over", "files"],
)
def test_a_site_whose_scratch_is_full_for_us_takes_no_jobs(bench: Bench, with_quota: Sites, numbers: dict[str, int], words: str) -> None:
    assert with_quota.ask("nersc").ok
    bench.control.set_quota(**numbers)

    state = with_quota.ask("nersc")

    assert not state.ok
    assert state.sentence == f"Our quota at /pscratch is used up to {words}. Prune there, or ask for more: jobs would lose their results."


def test_a_quota_is_asked_now_and_then_and_speaks_for_nothing_while_it_cannot_be(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Sites(bench.platform.facility, bench.ledger, bench.platform.transports)
    bench.control.set_quota(used_bytes=20 * 10**12)
    try:
        bench.control.add_fault(where="http", path=COMMAND, status=503)
        assert fresh.ask("nersc").ok, "nothing could be learnt"
        assert fresh.ask("nersc").ok, "and it is not asked again at once"
        monkeypatch.setattr(sites_module, "ASK_QUOTA_EVERY", timedelta(0))
        assert not fresh.ask("nersc").ok
    finally:
        bench.control.set_quota()


def test_a_site_with_words_to_fill_in_is_not_asked(bench: Bench) -> None:
    setup = bench.platform.facility.sites["nersc"]
    compute = setup.compute.model_copy(update={"account": "<NERSC project>"})  # type: ignore[union-attr]
    changed = {**bench.platform.facility.sites, "nersc": setup.model_copy(update={"compute": compute})}
    facility = bench.platform.facility.model_copy(update={"sites": changed})
    before = len(bench.control.requests())

    state = Sites(facility, bench.ledger, bench.platform.transports).ask("nersc")

    assert not state.ok and "<NERSC project> must be filled in at sites.nersc.compute.account" in state.sentence
    assert len(bench.control.requests()) == before
    bench.platform.sites.ask("nersc")  # the record tells the truth again
